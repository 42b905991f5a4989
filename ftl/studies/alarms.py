"""From residuals to alarms in a study: the score's variance, causal smoothing and the percentile of scores."""

from dataclasses import dataclass

import numpy as np

from ftl.detection.scores import VARIANCE_FLOOR, NormalisedResidual
from ftl.detection.smoothing import GAP_WINDOWS, smooth
from ftl.sharing import residual_sums, shrunk_variance


@dataclass(frozen=True)
class Alarming:
    """How scores become alarms, for every arm alike.

    Attributes:
        half_life: Of the causal mean over scores, in windows; 0 switches it off.
        window: Length of a window in units of time.
        percentile: Of scores of normal rows, above which a row is flagged.
        pseudo_rows: Weight of the fleet's residual variance, in rows.
    """

    half_life: float
    window: float
    percentile: float
    pseudo_rows: float

    def score(self, residual: np.ndarray, variance: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Smoothed `nres` of rows in time order, (T, F) -> (T,); a later row has no influence."""
        raw = NormalisedResidual(variance + VARIANCE_FLOOR)(residual)
        return smooth(raw, time, self.half_life, GAP_WINDOWS, self.window) if len(raw) else raw

    def level(self, score: np.ndarray) -> float:
        """The percentile of some rows' scores; what no row exceeds (-inf) where there is none."""
        return float(np.percentile(score, self.percentile)) if len(score) else -np.inf

    def own_variance(self, residual: np.ndarray) -> np.ndarray:
        """Residual variance of a node's own rows, (T, F) -> (F,)."""
        return residual_sums(residual).variance

    def calibrated_variance(self, residual: np.ndarray, fleet: np.ndarray) -> np.ndarray:
        """The same, shrunk to the fleet's."""
        return shrunk_variance(residual_sums(residual), fleet, self.pseudo_rows)


@dataclass(frozen=True)
class Scored:
    """Scores of one model on one node: of the rows it knows, (n,), and of the rows it is judged on, (T,)."""

    known: np.ndarray
    judged: np.ndarray
