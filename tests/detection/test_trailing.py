"""Thresholds that follow a node: against a plain loop, in pieces, and without a look ahead."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.detection import THRESHOLDS, TRAILING, CalibrationScores, DetectionSettings, Trailing, row_thresholds
from ftl.errors import UserError

HOUR = 3600.0


@st.composite
def node_rows(draw):
    """Scores with ties, some of them not finite, at times with gaps."""
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 30]), min_size=1, max_size=120))
    score = np.round(np.random.default_rng(draw(st.integers(0, 99))).lognormal(size=len(steps)), 1)
    score[np.random.default_rng(len(steps)).random(len(steps)) < 0.05] = draw(st.sampled_from([np.nan, np.inf]))
    return score, np.cumsum(steps)


trailings = st.builds(
    Trailing, st.sampled_from([5.0, 24.0, 33.5]), st.sampled_from([50.0, 80.0, 95.0]), st.sampled_from([0.0, 3.0])
)


@given(rows=node_rows(), trailing=trailings)
def test_each_row_has_the_percentile_of_the_finite_scores_in_its_window(rows, trailing):
    score, time = rows
    for row, found in enumerate(trailing.percentiles(score, time)):
        end = time[row] - trailing.lag
        inside = score[(time >= end - trailing.window) & (time < end) & np.isfinite(score)]
        expected = np.percentile(inside, trailing.percentile) if len(inside) >= trailing.least_rows else np.nan
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(rows=node_rows(), trailing=trailings, cut=st.integers(0, 120), floor=st.floats(0, 2))
def test_rows_in_pieces_have_the_thresholds_of_one_go_to_the_last_bit(rows, trailing, cut, floor):
    score, time = rows
    whole = trailing.thresholds(floor, score, time)
    later = trailing.thresholds(floor, score[cut:], time[cut:], score[:cut], time[:cut])
    np.testing.assert_array_equal(later, whole[cut:])


@given(rows=node_rows(), trailing=trailings)
def test_earlier_rows_between_the_rows_count_from_then_on(rows, trailing):
    score, time = rows
    even = np.arange(len(score)) % 2 == 0
    found = trailing.thresholds(0.0, score[even], time[even], score[~even], time[~even])
    np.testing.assert_array_equal(found, trailing.thresholds(0.0, score, time)[even])


def test_a_gap_ages_the_rows_before_it():
    score, time = np.r_[np.full(60, 9.0), np.full(60, 1.0)], np.r_[np.arange(60), 200 + np.arange(60)]
    found = Trailing(100.0, 98.0).thresholds(2.0, score, time)
    assert set(found[50:60]) == {9.0}
    assert set(found[60:]) == {2.0}, "the floor: a new day has too few rows, and then quiet ones"


@pytest.mark.parametrize(("percentile", "rows"), [(98.0, 50), (99.9, 1000), (90.0, 10), (100.0, np.inf)])
def test_a_percentile_needs_as_many_rows_as_have_one_above_it(percentile, rows):
    assert Trailing(1.0, percentile).least_rows == rows


@pytest.mark.parametrize("name", sorted(TRAILING))
def test_a_drifting_node_keeps_the_promised_rate_and_a_static_threshold_does_not(name):
    random = np.random.default_rng(0)
    score = random.lognormal(size=4000) * np.r_[np.ones(1000), np.linspace(1, 8, 3000)]
    calibration = CalibrationScores(score[:1000], np.zeros(1000, bool), np.arange(1000), 600.0)
    settings, later, time = DetectionSettings(threshold=name), score[1000:], np.arange(1000, 4000)
    threshold = row_thresholds(name, calibration, settings, later, time)
    assert np.mean(later > threshold) < 0.04, "two per cent, and what normal grows by within two days"
    assert np.mean(later > THRESHOLDS[name](calibration, settings)) > 0.25
    assert (threshold >= THRESHOLDS[name](calibration, settings)).all()


def test_the_first_rows_look_back_on_the_calibration_rows():
    calibration = CalibrationScores(
        np.r_[np.zeros(900), np.full(100, 5.0)], np.zeros(1000, bool), np.arange(1000), 60.0
    )
    settings = DetectionSettings(threshold="trailing", percentile=80.0, trailing_days=100 / 1440)
    found = row_thresholds("trailing", calibration, settings, np.zeros(3), np.arange(1000, 1003))
    np.testing.assert_array_equal(found, [5.0, 5.0, 5.0])


def test_a_fault_that_outlasts_the_window_becomes_normal_and_a_lag_delays_that():
    score = np.r_[np.ones(300), np.full(300, 7.0)]
    flags = {lag: score > Trailing(100.0, 90.0, lag).thresholds(2.0, score, np.arange(600)) for lag in (0.0, 50.0)}
    assert np.flatnonzero(flags[0.0]).max() < np.flatnonzero(flags[50.0]).max() < 500
    assert all(found[300] for found in flags.values())


@pytest.mark.parametrize("name", sorted(TRAILING))
def test_days_of_unknown_length_and_windows_of_too_few_rows_are_refused(name):
    calibration = CalibrationScores(np.arange(100.0), np.zeros(100, bool), np.arange(100), HOUR)
    rows = np.arange(3.0), np.arange(100, 103)
    with pytest.raises(UserError, match=r"trailing_days: so many days hold 48 rows of a node.* needs 50"):
        row_thresholds(name, calibration, DetectionSettings(), *rows)
    with pytest.raises(UserError, match="window_minutes"):
        row_thresholds(name, replace(calibration, seconds_per_unit=None), DetectionSettings(), *rows)


@pytest.mark.parametrize("settings", [(0.0, 98.0), (1.0, 0.0), (1.0, 98.0, -1.0), (np.inf, 98.0)])
def test_settings_that_make_no_window_are_refused(settings):
    with pytest.raises(ValueError, match="window must be positive"):
        Trailing(*settings)


def test_times_that_do_not_increase_are_refused():
    with pytest.raises(ValueError, match="strictly increasing"):
        Trailing(1.0, 50.0).percentiles(np.zeros(3), np.array([0, 1, 1]))
