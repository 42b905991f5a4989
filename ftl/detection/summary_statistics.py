"""One threshold for all nodes of a model, from six numbers that each of them sends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ftl.detection.calibration import CalibrationScores, FleetScores, ScoreSums
from ftl.errors import UserError

if TYPE_CHECKING:
    from ftl.detection.settings import DetectionSettings


def federated_summary(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """One cut for the whole fleet, from count, mean and variance of its normal and of its labelled anomalous scores.

    After the idea of Laridi, Palmer and Tam (2024): nodes send summary statistics of both kinds of rows, and the server
    makes one threshold of them; scores stay where they are. It is the same number as from the pooled scores.

    With anomalies, :func:`least_error_cut`. Without one on any node before the test part, or where the statistics do
    not tell the two kinds apart, mean + summary_spread x standard deviation of the normal scores. Neither lies below
    the mean of the normal scores. A node that is judged alone is a fleet of one.

    Note:
        The cut is ours, not a transcription of the paper's formula: the least-error cut is the one that these six
        numbers determine if scores of each kind are taken for normally distributed.

    Raises:
        UserError: If no node has a finite score.
    """
    fleet = calibration.sums() if calibration.fleet is None else calibration.fleet
    if fleet.normal.n == 0:
        calibration.finite()  # says what to do, where this node has no score either
        raise UserError("detection.threshold: federated_summary got no scores of normal rows from the fleet")
    cut = least_error_cut(fleet)
    return fleet.normal.mean + settings.summary_spread * _spread(fleet.normal) if cut is None else cut


def least_error_cut(fleet: FleetScores) -> float | None:
    """Where an anomaly becomes the likelier of two normal distributions (Kittler and Illingworth 1986).

    The smallest t > m0 with n1 / s1 exp(-(t - m1)^2 / 2 s1^2) = n0 / s0 exp(-(t - m0)^2 / 2 s0^2), for the n0 normal
    scores of mean m0 and standard deviation s0, and the n1 anomalous ones likewise. Anomalous scores that are all
    equal, such as a single one, borrow their spread from the normal ones.

    Returns:
        None where there is no such t: no anomaly, anomalies that score no higher than normal rows, or so much alike
        that no score speaks for an anomaly, or every one does.
    """
    normal, anomalous = fleet.normal, fleet.anomalous
    if anomalous.n == 0 or not anomalous.mean > normal.mean:
        return None
    s0 = _spread(normal)
    s1 = anomalous.std if anomalous.std > _rounding(anomalous) else s0
    if s0 == 0:
        return None
    # The log odds of an anomaly at t = m0 + z s0 are a z^2 + b z + c, with b > 0.
    ratio, distance = s0 / s1, (anomalous.mean - normal.mean) / s1
    a, b = 0.5 - 0.5 * ratio * ratio, ratio * distance
    c = math.log(anomalous.n / normal.n) + math.log(ratio) - 0.5 * distance * distance
    discriminant = b * b - 4 * a * c
    if c >= 0 or not discriminant >= 0:
        return None
    z = -2 * c / (b + math.sqrt(discriminant))  # the smaller positive root, also where a is 0
    return normal.mean + z * s0 if math.isfinite(z) else None


def _spread(normal: ScoreSums) -> float:
    """Standard deviation, and no less than what rounding makes of equal scores."""
    return max(normal.std, _rounding(normal))


def _rounding(scores: ScoreSums) -> float:
    return 1e-9 * abs(scores.mean)
