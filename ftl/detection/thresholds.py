"""Thresholds: from a node's scores before its test part to the number above which a row is flagged.

A rule gives one number for all rows of a node. Those named in TRAILING give a floor, above which
:func:`row_thresholds` follows the scores of the rows just before each row.

No rule needs an anomaly: the scores that a threshold is set on are those of rows not labelled anomalous, and a node
without any labelled anomaly gets a threshold as finite as the others. Only finite scores count. A rule that reads
scores raises UserError when none is finite (training diverged, or the node has no normal training row); it never
returns NaN, which would silently flag nothing. docs/thresholds.md says in operators' words what each rule promises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ftl.detection.alarm_budget import alarm_budget
from ftl.detection.calibration import CalibrationScores
from ftl.detection.extreme_values import peaks_over_threshold
from ftl.detection.summary_statistics import federated_summary
from ftl.detection.trailing import Trailing
from ftl.errors import ConfigError

if TYPE_CHECKING:
    from ftl.detection.settings import DetectionSettings

Threshold = Callable[[CalibrationScores, "DetectionSettings"], float]


def fixed(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """The same number on every node, whatever it scored: the paper's 0.5 (Table 1)."""
    return float(settings.fixed_threshold)


def percentile(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """A percentile of the training scores, linearly interpolated: the paper's 98th (section 4.3.7)."""
    return float(np.percentile(calibration.finite(), settings.percentile))


def fleet_percentile(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """The node's own percentile, or the median of the fleet's where that is higher.

    Each node sends one number, the percentile of its own scores. Where the model came from a cohort, its participants
    alone speak, so that a target needs no other target; without a cohort all nodes that run such a model speak. A node
    without a score of its own gets the fleet's number; a node that is judged alone is a fleet of one.

    The 98th percentile of a few hours of history lies too low, and the fleet's median mends that; with weeks of history
    both agree. Scores must mean the same on all nodes: those in units of each node's residuals do.

    Raises:
        UserError: If neither the node nor any other one has a finite score.
    """
    fleet = () if calibration.fleet is None else calibration.fleet.percentiles
    if fleet and not np.isfinite(calibration.score).any():
        return float(np.median(fleet))
    own = percentile(calibration, settings)
    return max(own, float(np.median(fleet))) if fleet else own


def fixed_on_scaled(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """The fixed threshold on scores min-max-scaled by their training range, expressed in unscaled scores.

    Note:
        0.5 on the mean squared error of data in [0, 1] flags nothing (paper, Table 1); this is the reading of it that
        can flag something. Equal training scores (a range of zero) give that score.
    """
    scores = calibration.finite()
    low, high = float(scores.min()), float(scores.max())
    return low + settings.fixed_threshold * (high - low)


def conformal(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """Split-conformal quantile of the held-out scores: a new normal row is flagged with probability <= alpha.

    The k-th smallest of the n finite held-out scores, k = ceil((n + 1)(1 - alpha)) (Vovk, Gammerman and Shafer 2005;
    for anomaly detection Laxhammar and Falkman 2014). The promise holds if held-out and later rows are exchangeable:
    drift breaks it, and rows that resemble their neighbours weaken it. Ties only lower the rate of alarms.

    Note:
        With fewer held-out rows than 1 / alpha - 1 (k > n) no held-out score is high enough for the promise. The
        largest score of all calibration rows is taken then: the highest bar that the data knows, without a promise.
    """
    scores = calibration.finite()
    held_out = calibration.score[calibration.held_out]
    held_out = held_out[np.isfinite(held_out)]
    n = len(held_out)
    k = n + 1 - math.floor((n + 1) * settings.conformal_alpha + 1e-9)  # 50 x 0.02 is one whole row
    return float(scores.max()) if k > n else float(np.partition(held_out, k - 1)[k - 1])


THRESHOLDS: dict[str, Threshold] = {
    "fixed": fixed,
    "percentile": percentile,
    "fixed_on_scaled": fixed_on_scaled,
    "conformal": conformal,
    "pot": peaks_over_threshold,
    "alarm_budget": alarm_budget,
    "federated_summary": federated_summary,
    "fleet_percentile": fleet_percentile,
    "trailing": percentile,
    "trailing_fleet": fleet_percentile,
}

PROTOCOL_THRESHOLDS: dict[str, dict[str, str]] = {
    # supervised scores are probabilities, and 0.5 is the paper's "classifier output > 0.5" (section 4.3.7)
    "rigorous": {"unsupervised": "percentile", "semi_supervised": "percentile", "supervised": "fixed"},
    "paper": {"unsupervised": "fixed", "semi_supervised": "percentile", "supervised": "fixed"},
}


def threshold_name(protocol: str, paradigm: str, settings: DetectionSettings) -> str:
    """The key of THRESHOLDS of a protocol and paradigm, or what `detection.threshold` names for all of them.

    Raises:
        ConfigError: If the protocol or the paradigm is unknown.
    """
    if settings.threshold != "protocol":
        return settings.threshold
    if protocol not in PROTOCOL_THRESHOLDS:
        raise ConfigError(f"protocol: unknown {protocol!r}; known: {', '.join(PROTOCOL_THRESHOLDS)}")
    names = PROTOCOL_THRESHOLDS[protocol]
    if paradigm not in names:
        raise ConfigError(f"paradigm: unknown {paradigm!r}; known: {', '.join(names)}")
    return names[paradigm]


def threshold_for(protocol: str, paradigm: str, settings: DetectionSettings) -> Threshold:
    """The rule that :func:`threshold_name` names."""
    return THRESHOLDS[threshold_name(protocol, paradigm, settings)]


NEEDS_FLEET = frozenset({"federated_summary", "fleet_percentile", "trailing_fleet"})
"""Rules that read what the fleet has sent."""

TRAILING = frozenset({"trailing", "trailing_fleet"})
"""Rules whose number is a floor: the threshold of a row is the trailing percentile where that is higher."""


def trailing_of(
    name: str, settings: DetectionSettings, seconds_per_unit: float | None, spacing: float | None = None
) -> Trailing | None:
    """How the rule of this name looks back, None where it does not.

    Args:
        seconds_per_unit: Seconds of one unit of time, None where it is unknown.
        spacing: Usual time between two rows, where known.

    Raises:
        UserError: If it has to look back and the length of a window is unknown, or `detection.trailing_days` holds too
            few rows for the percentile.
    """
    if name not in TRAILING:
        return None
    days, lag = settings.trailing_days, settings.trailing_lag_hours
    trailing = Trailing.of_days(days, settings.percentile, seconds_per_unit, lag)
    if spacing is not None:
        trailing.check_spacing(spacing)
    return trailing


def row_thresholds(
    name: str, calibration: CalibrationScores, settings: DetectionSettings, score: np.ndarray, time: np.ndarray
) -> float | np.ndarray:
    """The threshold of a node under a rule: one number, or, for the rules in TRAILING, one per row, shape (T,).

    The past of the first rows are the calibration rows (those before the test part that are not labelled anomalous), as
    far as they lie in the window.

    Args:
        name: A key of THRESHOLDS.
        score, time: Of the node's rows to be judged, shape (T,), in time order, smoothed like the calibration's. All
            of its rows: those of unknown label count in the windows of later ones.
    """
    floor, known = THRESHOLDS[name](calibration, settings), calibration.time
    spacing = float(np.median(np.diff(known))) if len(known) > 1 else None
    trailing = trailing_of(name, settings, calibration.seconds_per_unit, spacing)
    return floor if trailing is None else trailing.thresholds(floor, score, time, calibration.score, known)
