"""Alarms are made of stored scores: what a threshold may look at, and what it may not."""

from dataclasses import replace

import numpy as np
import pytest

from ftl.data.fleet import TEST, TRAIN, VALIDATION, read_fleet
from ftl.detection import DetectionSettings, ScoreSums, smooth_train_test
from ftl.experiment.alarms import calibrated, judged, ranking_threshold, rule_name
from ftl.experiment.scored import ScoredNode, read_scored


@pytest.fixture(scope="module")
def fleet(whole_run):
    return read_fleet(whole_run.out / "stages" / "fleet")


@pytest.fixture(scope="module")
def scored(whole_run) -> list[ScoredNode]:
    return list(read_scored(whole_run.out / "stages" / "transfer" / "unsupervised-seed0"))


def test_scores_are_kept_of_normal_training_rows_and_of_the_whole_validation_slice(fleet, scored) -> None:
    for one in scored:
        train, validation = fleet.rows(one.node, TRAIN), fleet.rows(one.node, VALIDATION)
        expected = np.sort(np.concatenate([train[fleet.label[train] != 1], validation]))
        np.testing.assert_array_equal(one.earlier_rows, expected)
        assert one.earlier.shape == expected.shape
        assert one.earlier.dtype == one.scores.dtype == np.float32
    assert (fleet.label[scored[0].earlier_rows] == 1).any(), "the slice has an anomaly to leave out"


def test_a_threshold_sees_no_test_row_and_no_labelled_anomaly_as_normal(fleet, scored) -> None:
    for one in scored:
        calibration, _, rows = calibrated(fleet, one, half_life=0.0)
        labels = fleet.label[one.earlier_rows]
        np.testing.assert_array_equal(calibration.score, one.earlier[labels != 1].astype(float))
        np.testing.assert_array_equal(calibration.anomalous, one.earlier[labels == 1].astype(float))
        assert calibration.time.max() < fleet.time[rows].min()
        np.testing.assert_array_equal(rows, fleet.rows(one.node, TEST))
        assert calibration.held_out.sum() == (fleet.label[fleet.rows(one.node, VALIDATION)] != 1).sum()


def test_thresholds_do_not_move_with_scores_of_the_test_part(fleet, scored) -> None:
    wild = [replace(one, scores=one.scores * 100) for one in scored]
    for name in ("percentile", "fixed_on_scaled"):
        settings = DetectionSettings(threshold=name, smoothing_half_life=2.0)
        plain = [alarms.threshold for alarms in judged(fleet, lambda: scored, settings)]
        assert plain == [alarms.threshold for alarms in judged(fleet, lambda: wild, settings)]


def test_smoothing_runs_on_from_the_rows_before_the_test_part(fleet, scored) -> None:
    one = scored[0]
    calibration, scores, rows = calibrated(fleet, one, half_life=3.0)
    normal = fleet.label[one.earlier_rows] != 1
    before, after = smooth_train_test(
        one.earlier[normal].astype(float),
        one.scores.astype(float),
        fleet.time[one.earlier_rows][normal],
        fleet.time[rows],
        3.0,
    )
    np.testing.assert_array_equal(calibration.score, before)
    np.testing.assert_array_equal(scores, after)
    assert not np.array_equal(scores, one.scores)


def test_classical_baselines_take_the_percentile_where_a_fixed_number_is_asked_for(scored) -> None:
    fixed = DetectionSettings(threshold="fixed")
    assert rule_name(replace(scored[0], arm="pca"), "rigorous", fixed) == "percentile"
    assert rule_name(replace(scored[0], arm="untrained"), "rigorous", fixed) == "fixed"
    assert rule_name(replace(scored[0], arm="pca"), "rigorous", DetectionSettings()) == "percentile"


def test_nodes_are_ranked_by_the_threshold_of_the_protocol() -> None:
    scores = np.arange(101.0)
    assert ranking_threshold("rigorous", "unsupervised")(scores) == 98.0
    assert ranking_threshold("paper", "unsupervised")(scores) == 0.5


def test_sums_of_nodes_are_the_sums_of_their_pooled_scores() -> None:
    parts = [np.random.default_rng(seed).gamma(2.0, size=50 + seed) for seed in range(3)]
    together, pooled = sum((ScoreSums.of(part) for part in parts), ScoreSums(0, 0.0, 0.0)), np.concatenate(parts)
    assert together.n == len(pooled)
    assert together.mean == pytest.approx(pooled.mean())
    assert together.std == pytest.approx(pooled.std())
