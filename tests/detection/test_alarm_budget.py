import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.detection import CalibrationScores, DetectionSettings
from ftl.detection.alarm_budget import MOST_FLAGGED, alarm_budget, quietest
from ftl.errors import UserError
from ftl.evaluation.events import alarm_episodes, alarms_per_node_day

QUARTER = 900.0
DAY = 96  # rows of a quarter of an hour


def calibration(score, held_out=None, seconds=QUARTER):
    n = len(score)
    return CalibrationScores(
        np.asarray(score, float), np.zeros(n, bool) if held_out is None else held_out, np.arange(n), seconds
    )


def slow_quietest(score, most_episodes):
    """The definition, tried score by score."""
    lowest = np.sort(score)[math.ceil((1 - MOST_FLAGGED) * len(score)) - 1]
    best = score.max()
    for threshold in sorted(set(score[score >= lowest]), reverse=True):
        if alarm_episodes(score > threshold) > most_episodes:
            break
        best = threshold
    return best


@given(
    score=st.lists(st.integers(0, 12), min_size=1, max_size=120).map(lambda v: np.array(v, float)),
    most=st.integers(0, 6),
)
def test_it_is_the_smallest_threshold_that_keeps_the_budget_with_all_higher_ones(score, most):
    assert quietest(score, most) == slow_quietest(score, most)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("budget", [0.2, 0.5, 2.0])
def test_alarms_on_the_rows_it_looked_at_stay_within_the_budget_and_near_it(seed, budget):
    score = np.random.default_rng(seed).lognormal(size=21 * DAY)
    threshold = alarm_budget(calibration(score), DetectionSettings(alarms_per_node_day=budget))
    alarms = alarms_per_node_day(score > threshold, np.arange(len(score)), QUARTER)
    assert 0.75 * budget <= alarms <= budget


def test_the_budget_holds_on_later_rows_that_are_alike():
    before, after = np.random.default_rng(5).lognormal(size=(2, 60 * DAY))
    threshold = alarm_budget(calibration(before), DetectionSettings())
    assert alarms_per_node_day(after > threshold, np.arange(len(after)), QUARTER) == pytest.approx(0.5, abs=0.25)


def test_a_long_alarm_counts_once_and_yet_cannot_swallow_the_telemetry():
    plateau = np.r_[np.linspace(1, 0, 5 * DAY), np.linspace(0, 1, 5 * DAY)]  # one or two runs at every threshold
    threshold = alarm_budget(calibration(plateau), DetectionSettings(alarms_per_node_day=10))
    assert np.mean(plateau > threshold) == pytest.approx(MOST_FLAGGED, abs=0.01)


def test_held_out_rows_that_score_higher_decide():
    score = np.random.default_rng(0).lognormal(size=20 * DAY)
    held_out = np.arange(len(score)) >= 15 * DAY
    score[held_out] *= 3
    threshold = alarm_budget(calibration(score, held_out), DetectionSettings())
    assert threshold == alarm_budget(calibration(score[held_out]), DetectionSettings())
    assert threshold > alarm_budget(calibration(score), DetectionSettings())


def test_held_out_rows_that_score_lower_cannot_make_it_more_sensitive():
    score = np.random.default_rng(0).lognormal(size=20 * DAY)
    held_out = np.arange(len(score)) >= 15 * DAY
    score[held_out] /= 3
    assert alarm_budget(calibration(score, held_out), DetectionSettings()) == alarm_budget(
        calibration(score), DetectionSettings()
    )


def test_less_than_a_day_of_held_out_rows_is_not_looked_at_by_itself():
    score = np.random.default_rng(0).lognormal(size=30 * DAY)
    held_out = np.arange(len(score)) >= len(score) - DAY // 2
    score[held_out] *= 3
    settings = DetectionSettings(alarms_per_node_day=1.0)
    assert alarm_budget(calibration(score, held_out), settings) == alarm_budget(calibration(score), settings)


def test_the_budget_holds_on_later_rows_on_average_also_with_a_short_validation_slice():
    alarms = []
    for scores in np.random.default_rng(3).lognormal(size=(30, 81 * DAY)):
        before, after = scores[: 21 * DAY], scores[21 * DAY :]
        threshold = alarm_budget(calibration(before, np.arange(21 * DAY) >= 19 * DAY), DetectionSettings())
        alarms.append(alarms_per_node_day(after > threshold, np.arange(len(after)), QUARTER))
    assert 0.25 < np.mean(alarms) <= 0.5


@pytest.mark.parametrize("n", [1, 2, 40])
def test_rows_too_few_for_one_alarm_raise_none(n):
    score = np.random.default_rng(0).lognormal(size=n)
    assert alarm_budget(calibration(score), DetectionSettings()) == score.max()


def test_a_budget_of_nothing_flags_no_normal_row():
    score = np.random.default_rng(0).lognormal(size=10 * DAY)
    assert alarm_budget(calibration(score), DetectionSettings(alarms_per_node_day=0)) == score.max()


def test_windows_of_unknown_length_are_refused_with_what_to_do():
    with pytest.raises(UserError, match=r"length of a telemetry window is not known: put window_minutes into"):
        alarm_budget(calibration(np.arange(9.0), seconds=None), DetectionSettings())
