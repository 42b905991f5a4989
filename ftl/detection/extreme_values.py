"""Extreme values: a threshold that, by the tail of the normal scores, is exceeded with a chosen small probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ftl.detection.calibration import CalibrationScores

if TYPE_CHECKING:
    from ftl.detection.settings import DetectionSettings

LEAST_PEAKS = 10  # fewer give one parameter of a tail, not two


class Tail(NamedTuple):
    """A generalised Pareto distribution of excesses: P(excess > x) = (1 + shape x / scale)^(-1 / shape)."""

    shape: float  # Siffer's gamma: > 0 heavy, 0 exponential, < 0 with an end
    scale: float

    def quantile(self, exceeded: float) -> float:
        """The excess that is exceeded with this probability, in (0, 1]."""
        log = -np.log(exceeded)
        if abs(self.shape) < 1e-9:
            return float(self.scale * log)
        return float(self.scale * np.expm1(self.shape * log) / self.shape)


def peaks_over_threshold(calibration: CalibrationScores, settings: DetectionSettings) -> float:
    """Peaks over threshold: the score that a normal row exceeds with probability q = pot_risk (Siffer et al. 2017).

    A generalised Pareto distribution is fitted to the excesses of the scores above their percentile t = pot_level;
    with N of n scores above t, the threshold is t + (scale / shape) ((q n / N)^(-shape) - 1), never below t. It may lie
    above every score seen.

    Note:
        Siffer fits by likelihood; :func:`fit_tail` is a closed form. Without a score above t (equal scores) the
        threshold is the largest score; where ties leave no more than q of the scores above t, it is t.
    """
    scores = calibration.finite()
    level = float(np.percentile(scores, settings.pot_level))
    excess = scores[scores > level] - level
    if len(excess) == 0:
        return float(scores.max())
    return level + fit_tail(excess).quantile(min(settings.pot_risk * len(scores) / len(excess), 1.0))


def fit_tail(excess: np.ndarray) -> Tail:
    """The generalised Pareto distribution of excesses (N,), all positive, by probability-weighted moments.

    With a0 the mean and a1 = sum_i (N - i) x_(i) / (N (N - 1)) over ascending excesses, shape = 2 - a0 / (a0 - 2 a1)
    and scale = 2 a0 a1 / (a0 - 2 a1) (Hosking and Wallis 1987). The shape is at most 1: every quantile is finite.

    Note:
        An exponential tail of the same mean is taken where two parameters ask too much: fewer than LEAST_PEAKS peaks,
        equal excesses, or a fit whose end lies below the largest excess seen.
    """
    n, mean = len(excess), float(excess.mean())
    exponential = Tail(0.0, mean)
    if n < LEAST_PEAKS:
        return exponential
    weighted = float(np.sort(excess) @ np.arange(n - 1, -1, -1)) / (n * (n - 1))
    spread = mean - 2.0 * weighted
    if spread <= 1e-9 * mean:
        return exponential
    tail = Tail(2.0 - mean / spread, 2.0 * mean * weighted / spread)
    ends_too_soon = tail.shape < 0 and -tail.scale / tail.shape < excess.max()
    return exponential if ends_too_soon else tail
