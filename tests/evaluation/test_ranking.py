from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from ftl.evaluation.ranking import auroc, average_precision, rank, vus_pr


@st.composite
def scored_rows(draw, max_rows=30):
    """Scores with many ties, and labels with both kinds."""
    n = draw(st.integers(2, max_rows))
    score = draw(arrays(np.float64, n, elements=st.integers(-4, 4).map(float)))
    label = draw(arrays(np.int8, n, elements=st.integers(0, 1)))
    assume(0 < label.sum() < n)
    return score, label


def vus_pr_by_definition(score, label, buffers=(0, 2, 4, 8)):
    """The docstring of vus_pr, row by row and threshold by threshold."""
    n = len(score)
    events, row = [], 0
    while row < n:
        end = row
        while end < n and label[end]:
            end += 1
        if end > row:
            events.append((row, end))
        row = max(end, row + 1)
    areas = []
    for length in buffers:
        soft = np.zeros(n)
        for start, end in events:
            for i in range(n):
                distance = max(start - i, i - (end - 1), 0)
                if distance == 0:
                    soft[i] += 1
                elif distance <= length // 2:
                    soft[i] += sqrt(1 - distance / length)
        soft = np.minimum(soft, 1)
        area, recall_before = 0.0, 0.0
        for threshold in sorted(set(score), reverse=True):
            flagged = score >= threshold
            hits = soft[flagged].sum()
            found = [flagged[max(s - length // 2, 0) : e + length // 2].any() for s, e in events]
            recall = min(1, hits / ((label.sum() + soft.sum()) / 2)) * np.mean(found)
            area += (recall - recall_before) * hits / flagged.sum()
            recall_before = recall
        areas.append(area)
    return np.mean(areas)


@given(scored_rows())
def test_auroc_and_average_precision_agree_with_sklearn_ties_included(rows):
    score, label = rows
    assert auroc(score, label) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert average_precision(score, label) == pytest.approx(average_precision_score(label, score), abs=1e-12)


@given(scored_rows())
def test_auroc_is_the_share_of_pairs_in_the_right_order(rows):
    score, label = rows
    pairs = score[label == 1][:, None] - score[label == 0][None]
    assert auroc(score, label) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)


@given(scored_rows())
def test_ranking_metrics_ignore_monotone_transforms_of_the_score(rows):
    score, label = rows
    for metric in (auroc, average_precision, vus_pr):
        assert metric(np.exp(score) * 3 - 7, label) == metric(score, label)


@given(scored_rows())
def test_auroc_of_the_reversed_score_is_the_rest(rows):
    score, label = rows
    assert auroc(-score, label) == pytest.approx(1 - auroc(score, label), abs=1e-12)


@given(scored_rows())
def test_vus_pr_is_what_its_docstring_says(rows):
    score, label = rows
    assert vus_pr(score, label) == pytest.approx(vus_pr_by_definition(score, label), abs=1e-12)


def test_a_sorted_score_can_be_shared():
    score, label = np.array([0.1, 0.9, 0.5, 0.5]), np.array([0, 1, 1, 0])
    ranking = rank(score)
    for metric in (auroc, average_precision, vus_pr):
        assert metric(score, label, ranking) == metric(score, label)


def test_constant_scores_rank_nothing():
    score, label = np.full(40, 3.0), np.array([1] * 4 + [0] * 36)
    assert auroc(score, label) == 0.5
    assert average_precision(score, label) == pytest.approx(0.1)


def test_infinite_scores_rank_first_and_last():
    score, label = np.array([np.inf, 1.0, -np.inf, np.inf]), np.array([1, 0, 0, 1])
    assert auroc(score, label) == 1.0
    assert average_precision(score, label) == 1.0


@pytest.mark.parametrize("label", [[0, 0, 0], []])
def test_without_anomalies_nothing_can_be_ranked(label):
    score, label = np.arange(float(len(label))), np.array(label, dtype=np.int8)
    assert all(isnan(metric(score, label)) for metric in (auroc, average_precision, vus_pr))


def test_without_normal_rows_auroc_is_undefined_and_average_precision_is_one():
    score, label = np.array([1.0, 2.0]), np.array([1, 1])
    assert isnan(auroc(score, label))
    assert average_precision(score, label) == 1.0
    assert vus_pr(score, label) == 1.0


def test_vus_pr_rewards_an_alarm_one_window_early_where_average_precision_does_not():
    label = np.zeros(60, dtype=np.int8)
    label[30:34] = 1
    near, far = np.zeros(60), np.zeros(60)
    near[29], far[10] = 1.0, 1.0
    assert average_precision(near, label) == average_precision(far, label)
    assert vus_pr(near, label) > vus_pr(far, label)


def test_without_buffers_vus_pr_of_one_event_is_average_precision():
    label = np.zeros(30, dtype=np.int8)
    label[10:15] = 1
    score = np.random.default_rng(0).normal(size=30)
    score[12] = 9  # the first flagged row finds the only event
    assert vus_pr(score, label, buffers=(0,)) == pytest.approx(average_precision(score, label), abs=1e-12)
