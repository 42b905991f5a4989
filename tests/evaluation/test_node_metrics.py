from math import isnan

import numpy as np
import pytest

from ftl.evaluation.node_metrics import node_metrics
from ftl.evaluation.results import COUNT_COLUMNS, METRIC_COLUMNS

TIME = np.arange(96) * 900  # one day


@pytest.fixture
def rows():
    label = np.zeros(96, dtype=np.int8)
    label[[20, 21, 22, 60]] = 1
    score = np.zeros(96)
    score[[21, 22, 80]] = 2.0  # two of three windows of the first event, the second missed, one false alarm
    return score, label


def test_a_worked_example(rows):
    score, label = rows
    found = node_metrics(score, label, 1.0, TIME, 1.0)
    assert (found["tp"], found["fp"], found["tn"], found["fn"]) == (2, 1, 91, 2)
    assert found["f1"] == pytest.approx(4 / 7)
    assert found["event_recall"] == 0.5
    assert found["detection_delay"] == 1.0
    assert found["alarms_per_node_day"] == 2.0
    assert (found["n_test_rows"], found["n_test_anomalies"]) == (96, 4)


def test_it_returns_the_counts_and_metrics_of_the_results_table(rows):
    assert set(node_metrics(*rows, 1.0, TIME, 1.0)) == {*COUNT_COLUMNS, *METRIC_COLUMNS}


def test_a_score_equal_to_the_threshold_is_not_flagged(rows):
    score, label = rows
    assert node_metrics(score, label, 2.0, TIME, 1.0)["tp"] == 0
    assert node_metrics(score, label, np.nextafter(2.0, 0), TIME, 1.0)["tp"] == 2


def test_each_row_may_have_a_threshold_of_its_own(rows):
    assert node_metrics(*rows, np.full(96, 1.0), TIME, 1.0) == node_metrics(*rows, 1.0, TIME, 1.0)
    risen = node_metrics(*rows, np.where(np.arange(96) < 70, 1.0, 3.0), TIME, 1.0)
    assert (risen["tp"], risen["fp"]) == (2, 0)


def test_without_test_anomalies_tnr_accuracy_and_alarm_rate_are_left(rows):
    found = node_metrics(rows[0], np.zeros(96, dtype=np.int8), 1.0, TIME, 1.0)
    assert {name for name in METRIC_COLUMNS if not isnan(found[name])} == {"tnr", "accuracy", "alarms_per_node_day"}


def test_no_test_rows_give_counts_of_zero_and_no_metric():
    empty = np.array([])
    found = node_metrics(empty, empty.astype(np.int8), 1.0, empty.astype(np.int64), 1.0)
    assert all(found[name] == 0 for name in COUNT_COLUMNS)
    assert all(isnan(found[name]) for name in METRIC_COLUMNS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": np.full(96, -1)}, "label must be 0 or 1; 96 of 96 rows are not, first -1"),
        ({"label": np.zeros(95)}, "one length"),
        ({"score": np.full(96, np.nan)}, "score must not be NaN; 96 of 96"),
        ({"threshold": float("nan")}, "threshold must be a number"),
        ({"threshold": np.r_[np.zeros(95), np.nan]}, "threshold must be a number"),
        ({"threshold": np.zeros(95)}, r"one number or one per row; got \(95,\) for \(96,\)"),
    ],
)
def test_wrong_input_is_refused_with_what_was_given(rows, change, words):
    given = {"score": rows[0], "label": rows[1], "threshold": 1.0, "time": TIME, "seconds_per_unit": 1.0} | change
    with pytest.raises(ValueError, match=words):
        node_metrics(**given)
