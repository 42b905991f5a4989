import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.detection import CalibrationScores, ScoreSums
from ftl.errors import UserError

parts = st.lists(st.lists(st.floats(-1e6, 1e6), max_size=20), min_size=1, max_size=6)


@given(parts)
def test_sums_of_nodes_added_up_are_the_sums_of_their_pooled_scores(nodes):
    added = ScoreSums(0, float("nan"), 0.0)
    for node in nodes:
        added = added + ScoreSums.of(np.array(node))
    pooled = ScoreSums.of(np.concatenate([np.array(node) for node in nodes]))
    assert added.n == pooled.n
    np.testing.assert_allclose([added.mean, added.std], [pooled.mean, pooled.std], rtol=1e-9, atol=1e-6)


def test_a_small_spread_on_large_scores_is_not_lost():
    scores = 1e8 + np.random.default_rng(0).normal(size=(4, 500))
    added = sum((ScoreSums.of(node) for node in scores[1:]), ScoreSums.of(scores[0]))
    assert added.std == pytest.approx(scores.std(), rel=1e-6)


def test_no_score_has_no_mean_and_adds_nothing():
    none, some = ScoreSums.of(np.array([np.nan, np.inf])), ScoreSums.of(np.array([1.0, 3.0, np.nan]))
    assert np.isnan(none.mean)
    assert np.isnan(none.std)
    assert none + some == some == some + none == ScoreSums(2, 2.0, 2.0)


def test_a_node_sends_its_anomalous_scores_apart():
    scores = CalibrationScores(np.array([1.0, 3.0]), np.zeros(2, bool), np.arange(2), anomalous=np.array([9.0]))
    sums = scores.sums()
    assert (sums.normal.n, sums.normal.mean) == (2, 2.0)
    assert (sums.anomalous.n, sums.anomalous.mean) == (1, 9.0)


@pytest.mark.parametrize("score", [[], [np.nan, np.inf]], ids=["none", "none finite"])
def test_no_finite_score_is_refused_with_what_to_do(score):
    with pytest.raises(UserError, match=r"at least one finite training score.*lower the learning rate"):
        CalibrationScores.plain(np.array(score)).finite()
