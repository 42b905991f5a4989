import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import genpareto

from ftl.detection import CalibrationScores, DetectionSettings
from ftl.detection.extreme_values import LEAST_PEAKS, Tail, fit_tail, peaks_over_threshold


def pot(score, **settings):
    return peaks_over_threshold(CalibrationScores.plain(np.asarray(score, float)), DetectionSettings(**settings))


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.25])
def test_the_fit_finds_the_tail_that_the_excesses_were_drawn_from(shape):
    draws = genpareto.rvs(shape, scale=2.0, size=20_000, random_state=3)
    tail = fit_tail(draws)
    assert tail.shape == pytest.approx(shape, abs=0.05)
    assert tail.scale == pytest.approx(2.0, rel=0.05)


@given(shape=st.floats(-2, 0.9), scale=st.floats(1e-3, 1e3), exceeded=st.floats(1e-6, 1.0))
def test_a_quantile_of_the_tail_is_scipys(shape, scale, exceeded):
    expected = genpareto.isf(exceeded, shape, scale=scale)
    assert Tail(shape, scale).quantile(exceeded) == pytest.approx(expected, rel=1e-6, abs=1e-9 * scale)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_the_threshold_is_the_known_quantile_of_the_scores(shape):
    thresholds = [pot(genpareto.rvs(shape, size=5000, random_state=seed), pot_level=95) for seed in range(20)]
    assert np.median(thresholds) == pytest.approx(genpareto.isf(1e-3, shape), rel=0.1)


def test_a_smaller_risk_and_nothing_else_raises_the_threshold():
    score = np.random.default_rng(0).lognormal(size=2000)
    thresholds = [pot(score, pot_risk=risk) for risk in (1e-2, 1e-3, 1e-5, 1e-9)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] >= np.percentile(score, 98)
    assert thresholds[-1] > score.max()


def test_few_peaks_give_an_exponential_tail_of_their_mean():
    score = np.r_[np.zeros(97), 1.0, 2.0, 6.0]
    level = np.percentile(score, 97)
    assert fit_tail(np.array([1.0, 2.0, 6.0])) == Tail(0.0, 3.0)
    expected = level + (3 - level) * np.log(3 / (100 * 0.01))  # exceeded by one in 100, where three exceed the level
    assert pot(score, pot_level=97, pot_risk=0.01) == pytest.approx(expected)


@pytest.mark.parametrize(
    "excess",
    [np.full(50, 2.0), np.r_[np.full(49, 1.0), 1.5]],
    ids=["equal", "one beyond where the fit would end"],
)
def test_a_tail_that_two_parameters_cannot_hold_is_exponential(excess):
    assert len(excess) > LEAST_PEAKS
    assert fit_tail(excess) == Tail(0.0, excess.mean())


def test_without_a_peak_the_threshold_is_the_largest_score():
    assert pot(np.full(100, 3.0)) == 3.0
    assert pot(np.r_[np.zeros(40), np.full(60, 3.0)]) == 3.0


def test_ties_above_the_level_that_are_rarer_than_the_risk_leave_the_level():
    score = np.r_[np.zeros(9000), np.ones(995), np.full(5, 9.0)]
    assert pot(score, pot_level=98, pot_risk=1e-3) == 1.0
