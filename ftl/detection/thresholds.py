"""Thresholds: from a node's scores before its test part to the number above which a row is flagged.

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


NEEDS_FLEET = frozenset({"federated_summary"})
"""Rules that read the sums over the fleet."""
