from dataclasses import replace

import numpy as np
import pytest

from ftl.baselines import BASELINES, ScoredNode, run_baselines
from ftl.data.fleet import TEST, TRAIN, VALIDATION, Fleet
from ftl.detection import ScoringSettings
from ftl.errors import ConfigError, TelemetryError

EVERY = pytest.mark.parametrize("name", BASELINES)


SCORING = ScoringSettings("nres", 1e-4)


def run(fleet: Fleet, name: str, seeds: tuple[int, ...] = (0,)) -> list[ScoredNode]:
    return list(run_baselines(fleet, [name], seeds, SCORING))


def with_arrays(fleet: Fleet, **changed: np.ndarray) -> Fleet:
    return replace(fleet, **changed)


@EVERY
def test_a_baseline_scores_every_test_row_of_every_node(name, fleet):
    results = run(fleet, name)
    assert [(result.arm, result.seed, result.node) for result in results] == [(name, 0, node) for node in range(3)]
    for result in results:
        np.testing.assert_array_equal(result.rows, fleet.rows(result.node, TEST))
        assert result.score.shape == result.rows.shape
        assert result.score.dtype == np.float64
        assert np.isfinite(result.score).all()
        np.testing.assert_array_equal(result.earlier_rows, fleet.rows(result.node, TRAIN, VALIDATION))
        assert result.earlier.shape == result.earlier_rows.shape
        assert np.isfinite(result.earlier).all()
        assert result.n_train_rows == 240
        assert result.train_seconds >= 0


@EVERY
def test_a_baseline_repeats_itself_and_follows_its_seed_only_if_it_draws(name, fleet):
    first, again = run(fleet, name, seeds=(0, 1)), run(fleet, name, seeds=(0, 1))
    by_key = {(result.seed, result.node): result for result in first}
    assert set(by_key) == {(seed, node) for seed in (0, 1) for node in range(3)}
    for result in again:
        np.testing.assert_array_equal(result.score, by_key[result.seed, result.node].score)
    same = all(np.array_equal(by_key[0, node].score, by_key[1, node].score) for node in range(3))
    assert same != BASELINES[name].draws


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "random"])
def test_a_baseline_ranks_planted_anomalies_above_normal_rows(name, fleet):
    for result in run(fleet, name):
        anomalous = fleet.label[result.rows] == 1
        assert np.median(result.score[anomalous]) > np.quantile(result.score[~anomalous], 0.95)


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "random"])
def test_test_rows_leave_no_trace_in_training(name, fleet):
    x = fleet.x.copy()
    x[fleet.part != TRAIN] = 3.0
    for result, disturbed in zip(run(fleet, name), run(with_arrays(fleet, x=x), name), strict=True):
        train = np.isin(result.earlier_rows, fleet.rows(result.node, TRAIN))
        np.testing.assert_array_equal(result.earlier[train], disturbed.earlier[train])


@EVERY
def test_known_anomalies_among_the_training_rows_are_not_learned_from(name, fleet):
    label, x = fleet.label.copy(), fleet.x.copy()
    for node in range(3):
        rows = fleet.rows(node, TRAIN)
        label[rows[10:20]], label[rows[30:50]] = 1, -1  # ten known anomalies; unknown rows stay
    disturbed = x.copy()
    disturbed[(label == 1) & (fleet.part == TRAIN)] = 5.0
    plain = run(with_arrays(fleet, label=label), name)
    for result, other in zip(plain, run(with_arrays(fleet, label=label, x=disturbed), name), strict=True):
        assert result.n_train_rows == other.n_train_rows == 230
        np.testing.assert_array_equal(result.score, other.score)


@EVERY
def test_a_node_whose_telemetry_never_changes_has_finite_scores(name, fleet):
    x = fleet.x.copy()
    x[fleet.start[1] : fleet.start[2]] = 0.0
    scale, muted = fleet.scale.copy(), fleet.muted.copy()
    scale[1], muted[1] = 1.0, True
    for result in run(with_arrays(fleet, x=x, scale=scale, muted=muted), name):
        assert np.isfinite(result.score).all()
        assert np.isfinite(result.earlier).all()


@EVERY
def test_one_training_row_and_no_test_row_are_enough(name, fleet):
    part = fleet.part.copy()
    part[fleet.rows(2, TRAIN)[1:]] = VALIDATION
    part[fleet.rows(2, TEST)] = VALIDATION
    results = run(with_arrays(fleet, part=part), name)
    assert results[2].n_train_rows == 1
    assert len(results[2].score) == 0
    assert np.isfinite(results[2].earlier).all()


def test_the_paradigm_may_say_which_training_rows_count(fleet):
    results = run_baselines(fleet, ["pca"], [0], SCORING, lambda label: np.arange(len(label)) < 100)
    assert [result.n_train_rows for result in results] == [100, 100, 100]


def test_an_unknown_baseline_is_named_before_anything_is_fitted(fleet):
    with pytest.raises(ConfigError, match="unknown 'lof'; known: random, pca"):
        run_baselines(fleet, ["pca", "lof"], [0], SCORING)


def test_a_node_without_a_normal_training_row_is_named(fleet):
    label = fleet.label.copy()
    label[fleet.rows(1, TRAIN)] = 1
    with pytest.raises(TelemetryError, match="toy: node b: no training row"):
        run_baselines(with_arrays(fleet, label=label), ["random"], [0], SCORING)
