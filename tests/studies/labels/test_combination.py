import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.evaluation.significance import bootstrap_interval
from ftl.studies.labels.combination import LEAST_VOTERS, WEIGHTS, Yardstick, choose_weight, mixture

OUTCOMES = st.integers(0, 12).flatmap(
    lambda n: st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=n, max_size=n)
)


def of_weight(outcomes, weight):
    return np.array([row[WEIGHTS.index(weight)] for row in outcomes])


@settings(max_examples=30)
@given(outcomes=OUTCOMES)
def test_on_validation_the_choice_never_falls_below_the_better_single_score(outcomes):
    outcomes = np.array(outcomes).reshape(-1, 5)
    chosen = choose_weight(outcomes)
    if len(outcomes):
        mean = of_weight(outcomes, chosen.weight).mean()
        assert mean >= max(of_weight(outcomes, 0.0).mean(), of_weight(outcomes, 1.0).mean()) - 1e-12


@settings(max_examples=30)
@given(outcomes=OUTCOMES)
def test_a_mixture_is_taken_only_where_its_gain_is_shown(outcomes):
    outcomes = np.array(outcomes).reshape(-1, 5)
    chosen = choose_weight(outcomes)
    if chosen.weight not in (0.0, 1.0):
        assert len(outcomes) >= LEAST_VOTERS
        gain = of_weight(outcomes, chosen.weight) - of_weight(outcomes, chosen.single)
        assert bootstrap_interval(gain).low > 0


def test_a_mixture_that_helps_every_node_is_taken():
    outcomes = np.array([[0.3, 0.35, 0.5, 0.45, 0.4]]) + np.linspace(0, 0.1, 6)[:, None]
    chosen = choose_weight(outcomes)
    assert (chosen.weight, chosen.single, chosen.n_voters) == (0.5, 1.0, 6)
    assert chosen.gain == pytest.approx(0.1)


def test_a_mixture_that_helps_on_average_but_not_surely_is_not_taken():
    outcomes = np.full((6, 5), 0.5)
    outcomes[0, 2], outcomes[:, 4] = 1.0, 0.4
    chosen = choose_weight(outcomes)
    assert chosen.gain > 0
    assert chosen.weight == chosen.single == 0.0


def test_two_voters_are_too_few_for_a_mixture():
    outcomes = np.array([[0.1, 0.9, 0.9, 0.9, 0.2]] * 2)
    assert choose_weight(outcomes).weight == 1.0
    assert choose_weight(np.repeat(outcomes, 2, axis=0)).weight == 0.25


def test_without_a_vote_and_at_a_tie_the_score_without_labels_is_taken():
    assert choose_weight(np.empty((0, 5))).weight == 0.0
    assert choose_weight(np.full((3, 5), np.nan)).n_voters == 0
    assert choose_weight(np.full((3, 5), np.nan)).weight == 0.0
    assert choose_weight(np.full((3, 5), 0.4)).weight == 0.0


def test_nodes_without_a_vote_change_nothing():
    outcomes = np.random.default_rng(0).random((5, 5))
    with_silent = np.concatenate([outcomes, np.full((3, 5), np.nan)])
    racks = ["a", "b", "c", "a", "b", "x", "y", "z"]
    assert choose_weight(with_silent, racks) == choose_weight(outcomes, racks[:5])


def test_a_yardstick_takes_units_and_level_away_and_is_not_moved_by_a_few_large_scores():
    score = np.random.default_rng(1).normal(size=10_000)
    wild = np.append(score, np.full(50, 1e6))
    np.testing.assert_allclose(Yardstick.of(wild)(score), score, atol=0.05)
    np.testing.assert_allclose(Yardstick.of(7 * score - 3)(7 * score - 3), Yardstick.of(score)(score), atol=1e-9)
    assert np.isfinite(Yardstick.of(np.zeros(5))(np.ones(2))).all()


def test_the_ends_of_a_mixture_are_the_single_scores():
    one, other = np.arange(4.0), np.arange(4.0)[::-1]
    np.testing.assert_array_equal(mixture(one, other, 0.0), one)
    np.testing.assert_array_equal(mixture(one, other, 1.0), other)
