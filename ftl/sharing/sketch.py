"""A quantile sketch of scores: a few numbers per node, from which a quantile of all nodes' scores can be had.

A median of the nodes' percentiles needs one number of each, but is no percentile of anything; this is one, with a known
error. The sketch cuts the sorted scores into parts of equal mass and keeps the middle one of each (a deterministic
equi-depth histogram, whose sums are again such histograms).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ftl.sharing.sizes import NUMBER_BYTES

N_POINTS = 128


@dataclass(frozen=True)
class QuantileSketch:
    """The number of scores and up to 128 of them, ascending, each of which stands for the same share of them.

    Up to 128 scores are kept as they are, and their quantiles are exact. Of more, the share of scores up to any value
    is off by at most 1 / 256, and by another 1 / 256 with each merging; merging all nodes at once counts as one, and
    :func:`pooled_quantile` as none. Any quantile at q therefore lies between the exact ones at q - e - 1 / n and
    q + e + 1 / n, with e = :attr:`error`.

    Attributes:
        n: Number of finite scores.
        points: Shape (min(n, 128),), float64.
        merges: How often sketches were merged to this one, one after the other; 0 for scores of a single node.
    """

    n: int
    points: np.ndarray
    merges: int = 0

    def __add__(self, other: QuantileSketch) -> QuantileSketch:
        return merge((self, other))

    def quantile(self, q: float) -> float:
        """The quantile at q in [0, 1], interpolated linearly between neighbouring scores as numpy does.

        Raises:
            ValueError: If there is no score, or q is out of range.
        """
        return pooled_quantile((self,), q)

    @property
    def error(self) -> float:
        """Largest error of the share of scores up to a value."""
        return 0.0 if self.n <= N_POINTS else (1 + self.merges) / (2 * N_POINTS)

    @property
    def n_bytes(self) -> int:
        """Of n, the number of merges and the points."""
        return NUMBER_BYTES * (2 + len(self.points))


def sketch(values: np.ndarray) -> QuantileSketch:
    """The sketch of a node's scores, shape (T,), in any order; those that are not finite do not count."""
    scores = np.sort(np.asarray(values, np.float64)[np.isfinite(values)])
    n = len(scores)
    if n <= N_POINTS:
        return QuantileSketch(n, scores)
    middle = (2 * np.arange(N_POINTS, dtype=np.int64) + 1) * n // (2 * N_POINTS)
    return QuantileSketch(n, scores[middle])


def merge(sketches: Iterable[QuantileSketch]) -> QuantileSketch:
    """The sketch of the scores of all of them, in which each score weighs the same; their order does not matter."""
    given = [of_node for of_node in sketches if of_node.n]
    if len(given) == 1:
        return given[0]
    points, up_to = _pooled(given)
    n = sum(of_node.n for of_node in given)
    merges = 1 + max((of_node.merges for of_node in given), default=-1)
    if n <= N_POINTS:
        return QuantileSketch(n, points, merges)
    middle = (np.arange(N_POINTS) + 0.5) * (n / N_POINTS)
    return QuantileSketch(n, points[_covering(up_to, middle)], merges)


def pooled_quantile(sketches: Iterable[QuantileSketch], q: float) -> float:
    """The quantile at q in [0, 1] of the scores of all nodes, without merging their sketches to one first.

    Raises:
        ValueError: If there is no score, or q is out of range.
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q must be in [0, 1]; got {q!r}")
    points, up_to = _pooled(list(sketches))
    if not len(points):
        raise ValueError("a quantile needs at least one finite score")
    place = q * (round(up_to[-1]) - 1)
    neighbours = np.array([math.floor(place), math.ceil(place)])
    below, above = points[_covering(up_to, neighbours + 0.5)]
    return float(below + (above - below) * (place - neighbours[0])) if above > below else float(below)


def _pooled(sketches: list[QuantileSketch]) -> tuple[np.ndarray, np.ndarray]:
    """All points, ascending, and how many scores stand up to and with each."""
    points = np.concatenate([np.empty(0), *(of_node.points for of_node in sketches)])
    shares = [np.full(len(of_node.points), of_node.n / max(len(of_node.points), 1)) for of_node in sketches]
    order = np.argsort(points, kind="stable")
    return points[order], np.cumsum(np.concatenate([np.empty(0), *shares])[order])


def _covering(up_to: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.minimum(np.searchsorted(up_to, places), len(up_to) - 1)
