"""Scores of a study know no later row, and their levels are percentiles."""

from dataclasses import replace

import numpy as np
import pytest

from ftl.detection.scores import VARIANCE_FLOOR
from ftl.studies.alarms import Alarming

TIME = np.r_[np.arange(0, 30), np.arange(50, 80)]  # a gap in between
VARIANCE = np.array([0.5, 0.01, 0.0])


@pytest.fixture(scope="module")
def residual() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(60, 3)).astype(np.float32)


@pytest.mark.parametrize("half_life", [0.0, 0.5, 3.0])
def test_rows_fed_one_by_one_get_the_scores_of_all_at_once(alarming: Alarming, residual, half_life) -> None:
    alarming = replace(alarming, half_life=half_life)
    whole = alarming.score(residual, VARIANCE, TIME)
    one_by_one = [alarming.score(residual[: n + 1], VARIANCE, TIME[: n + 1])[-1] for n in range(len(TIME))]
    np.testing.assert_array_equal(one_by_one, whole)


def test_a_score_is_the_mean_squared_residual_over_the_variance(alarming: Alarming, residual) -> None:
    plain = replace(alarming, half_life=0.0).score(residual, VARIANCE, TIME)
    expected = (residual.astype(np.float64) ** 2 / (VARIANCE + VARIANCE_FLOOR)).mean(axis=1)
    np.testing.assert_allclose(plain, expected, rtol=1e-6)


def test_a_gap_begins_anew_and_what_is_near_counts_most(alarming: Alarming, residual) -> None:
    plain, smoothed = (
        replace(alarming, half_life=half_life).score(residual, VARIANCE, TIME) for half_life in (0.0, 1.0)
    )
    assert smoothed[30] == plain[30]
    np.testing.assert_allclose(smoothed[31], (plain[30] + plain[31]) / 2)


def test_a_gap_is_measured_in_the_fleets_windows_and_not_in_these_rows(alarming: Alarming, residual) -> None:
    """Rows that come rarely tell their usual distance only later: it must not be learned from them."""
    sparse = np.arange(60) * 9
    smoothed = replace(alarming, half_life=3.0).score(residual, VARIANCE, sparse)
    plain = replace(alarming, half_life=0.0).score(residual, VARIANCE, sparse)
    np.testing.assert_allclose(smoothed, plain, rtol=1e-12)


def test_no_row_has_no_score_and_nothing_exceeds_its_level(alarming: Alarming, residual) -> None:
    assert len(alarming.score(residual[:0], VARIANCE, TIME[:0])) == 0
    assert alarming.level(np.zeros(0)) == -np.inf


def test_the_level_is_the_percentile(alarming: Alarming) -> None:
    assert alarming.level(np.arange(101.0)) == 98.0


def test_few_rows_take_the_fleets_variance_and_many_keep_their_own(alarming: Alarming, residual) -> None:
    fleet = np.array([9.0, 9.0, 9.0])
    own = alarming.own_variance(residual)
    np.testing.assert_allclose(own, residual.astype(np.float64).var(axis=0), rtol=1e-5)
    mixed = alarming.calibrated_variance(residual, fleet)
    np.testing.assert_allclose(mixed, (60 * own + 300 * fleet) / 360)
    many = alarming.calibrated_variance(np.tile(residual, (1000, 1)), fleet)
    np.testing.assert_allclose(many, own, rtol=0.06)
