"""A federated classification head from sums: each node sends, per class, count, sum and cross-products of its features.

Sums of nodes are the sums of their pooled rows, so that the head is what the pooled rows would give; one round, and no
row leaves its node. With few anomalies a linear discriminant with a shrunken within-class covariance is about what can
be learned; it is also the one head for which such sums are enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ftl.sharing import Moments, moments

LEAST_RATIO, LARGEST_RATIO = 0.1, 1e4
"""Squared residuals over their variance are clipped to this range before the logarithm."""
CONSTANT = 1e-9
"""A feature whose within-class variance is no larger tells nothing, and is left out of the head."""


@dataclass(frozen=True)
class ClassSums:
    """What a node sends about its labelled rows: moments of features (T, D) of either class."""

    normal: Moments
    anomalous: Moments

    def __add__(self, other: ClassSums) -> ClassSums:
        return ClassSums(self.normal + other.normal, self.anomalous + other.anomalous)

    def without(self, part: ClassSums) -> ClassSums:
        """Of all rows but those of one part: what a participant makes of the pooled sums to validate on its own."""
        return ClassSums(_less(self.normal, part.normal), _less(self.anomalous, part.anomalous))

    @property
    def n_bytes(self) -> int:
        return self.normal.n_bytes + self.anomalous.n_bytes


@dataclass(frozen=True)
class LinearHead:
    """Log-odds of an anomaly at even classes, (T, D) -> (T,): features @ weight + bias."""

    weight: np.ndarray
    bias: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(features, np.float64) @ self.weight + self.bias


def class_sums(features: np.ndarray, label: np.ndarray) -> ClassSums:
    """The sums of a node's rows (T, D) with labels (T,); rows of unknown label (-1) are left out."""
    return ClassSums(moments(features[label == 0]), moments(features[label == 1]))


def pooled(sums: Iterable[ClassSums], n_features: int) -> ClassSums:
    """The sums of all nodes; of no node, sums of no row."""
    total = ClassSums(Moments.none(n_features), Moments.none(n_features))
    for one in sums:
        total = total + one
    return total


def discriminant(sums: ClassSums, shrinkage: float) -> LinearHead | None:
    """The linear discriminant of class sums; None where a class has no row.

    Features are measured in their pooled within-class standard deviations; the within-class correlations R become
    (1 - a) R + a I.

    Args:
        shrinkage: a, in (0, 1].
    """
    n_normal, n_anomalous = sums.normal.n_rows, sums.anomalous.n_rows
    if not n_normal or not n_anomalous:
        return None
    within = (n_normal * sums.normal.covariance + n_anomalous * sums.anomalous.covariance) / (n_normal + n_anomalous)
    variance = np.diag(within)
    used = variance > CONSTANT
    weight = np.zeros(len(variance))
    if used.any():
        spread = np.sqrt(variance[used])
        correlation = (1.0 - shrinkage) * within[np.ix_(used, used)] / np.outer(spread, spread)
        np.fill_diagonal(correlation, 1.0)
        gap = (sums.anomalous.mean - sums.normal.mean)[used] / spread
        weight[used] = np.linalg.solve(correlation, gap) / spread
    middle = (sums.anomalous.mean + sums.normal.mean) / 2
    return LinearHead(weight, -float(weight @ middle))


def residual_features(residual: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Log of squared residuals (T, F) over their variance on normal rows (F,), clipped; float32."""
    ratio = np.square(residual, dtype=np.float64) / variance
    return np.log(np.clip(ratio, LEAST_RATIO, LARGEST_RATIO, out=ratio), out=ratio).astype(np.float32)


def _less(total: Moments, part: Moments) -> Moments:
    return Moments(total.n_rows - part.n_rows, total.total - part.total, total.cross - part.cross)
