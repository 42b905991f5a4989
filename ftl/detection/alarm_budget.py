"""An alarm budget: the most sensitive threshold whose alarms on normal rows an operator has time for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ftl.detection.calibration import CalibrationScores
from ftl.errors import UserError

if TYPE_CHECKING:
    from ftl.detection.settings import DetectionSettings

MOST_FLAGGED = 0.1  # of the normal rows: one alarm that never ends would keep any budget of episodes
SECONDS_PER_DAY = 86_400


def alarm_budget(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """The smallest threshold that, with every higher one, keeps to alarms_per_node_day on normal rows.

    Alarms are episodes: maximal runs of flagged rows, over the rows as they stand; days are rows x median time step, as
    in the reported alarms per node-day. Lower thresholds can raise fewer episodes, because they run into each other;
    that is why every higher threshold has to keep the budget too, and why no more than MOST_FLAGGED of the rows may be
    flagged.

    The budget is kept on all rows before the test part, and on the held-out ones by themselves if they last a day or
    more: the former are many, and the latter were not trained on and are the most recent. Where rows are too few for a
    single episode, none of them is flagged: the threshold is their largest score.

    Raises:
        UserError: If no score is finite, or the length of a telemetry window is not known.
    """
    calibration.finite()
    finite = np.isfinite(calibration.score)
    held_out = finite & calibration.held_out
    days, held_out_days = _days(calibration, finite), _days(calibration, held_out)
    threshold = quietest(calibration.score[finite], _whole(days * settings.alarms_per_node_day))
    if held_out_days < 1.0:
        return threshold
    alone = quietest(calibration.score[held_out], _whole(held_out_days * settings.alarms_per_node_day))
    return max(threshold, alone)


def quietest(score: np.ndarray, most_episodes: int) -> float:
    """The smallest score that, as a threshold, and with all above it, gives at most so many runs of flagged rows.

    O(n log n): at threshold t there are as many runs as rows above t, less the neighbours that are both above t.

    Args:
        score: Finite scores in time order, shape (n,), n >= 1.
        most_episodes: 0 gives the largest score.
    """
    n = len(score)
    floor = math.ceil((1.0 - MOST_FLAGGED) * n) - 1
    lowest = np.partition(score, floor)[floor]
    above = np.sort(score[score >= lowest])
    neighbours = np.minimum(score[1:], score[:-1])
    neighbours = np.sort(neighbours[neighbours >= lowest])
    rows = len(above) - np.searchsorted(above, above, side="right")
    pairs = len(neighbours) - np.searchsorted(neighbours, above, side="right")
    too_many = np.flatnonzero(rows - pairs > most_episodes)
    # the largest score flags nothing, so that there is one above the last that is too low; equal scores count alike
    return float(above[too_many[-1] + 1] if len(too_many) else above[0])


def _whole(episodes: float) -> int:
    return math.floor(episodes + 1e-9)


def _days(calibration: CalibrationScores, chosen: np.ndarray) -> float:
    """Days of observed rows; 0 where fewer than two rows tell no step."""
    if calibration.seconds_per_unit is None:
        raise UserError(
            "detection.threshold: alarm_budget counts alarms per day, and the length of a telemetry window is not "
            "known: put window_minutes into the fleet's fleet.yaml and prepare it again, or take another threshold"
        )
    time = calibration.time[chosen]
    if len(time) < 2:
        return 0.0
    return len(time) * float(np.median(time[1:] - time[:-1])) * calibration.seconds_per_unit / SECONDS_PER_DAY
