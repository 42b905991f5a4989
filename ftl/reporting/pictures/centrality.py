"""Do central nodes detect or transfer better (the paper asserts it, section 4.5.8, without a coefficient)?

Centrality of a node: its mean similarity to the others (CKA or cosine of encoders), or minus the distance of its
features to the fleet's centroid. The answer is Spearman's rank correlation over nodes with its interval.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ftl.randomness import generator

MIN_NODES = 5  # with fewer, five in a row already happens one time in sixty
N_RESAMPLES = 2000
SIMILARITIES = ("cka", "cosine")


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho over n nodes with its 95 % percentile bootstrap interval; NaN where it is undefined."""

    n: int
    rho: float = nan
    low: float = nan
    high: float = nan

    def __str__(self) -> str:
        if np.isnan(self.rho):
            return f"undefined ({self.n} node{'' if self.n == 1 else 's'}, or no differences between them)"
        holds_zero = self.low <= 0 <= self.high
        verdict = "no correlation shown" if holds_zero else "positive" if self.low > 0 else "negative"
        return f"{self.rho:+.2f} [{self.low:+.2f}, {self.high:+.2f}] over {self.n} nodes: {verdict}"


def spearman(x: np.ndarray, y: np.ndarray) -> RankCorrelation:
    """Spearman's rho of x and y (K,), pairs with a NaN left out, ties at their mean rank.

    The interval resamples nodes with a fixed seed. Undefined below five nodes, or where x or y is constant; resamples
    in which one of them is constant are left out.
    """
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    n = len(x)
    if n < MIN_NODES or np.ptp(x) == 0 or np.ptp(y) == 0:
        return RankCorrelation(n)
    picks = generator(0, "rank correlation", n).integers(n, size=(N_RESAMPLES, n))
    resampled = _rho(x[picks], y[picks])
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return RankCorrelation(n, float(_rho(x[None], y[None])[0]), float(low), float(high))


def similarity_matrix(pairs: pd.DataFrame, nodes: list[str], measure: str) -> np.ndarray:
    """Similarity of each pair of nodes, mean over seeds, shape (K, K), symmetric with ones on the diagonal; NaN where a
    pair is missing.

    Args:
        pairs: node_a, node_b and the measure, each pair once or in both directions.
        nodes: Node of each row and column.
        measure: A column of SIMILARITIES.
    """
    place = {node: k for k, node in enumerate(nodes)}
    a, b = (pairs[name].map(place).to_numpy(float) for name in ("node_a", "node_b"))
    value = pairs[measure].to_numpy(float)
    known = ~(np.isnan(a) | np.isnan(b) | np.isnan(value))
    a, b, value = a[known].astype(int), b[known].astype(int), value[known]
    sums, counts = np.zeros((len(nodes), len(nodes))), np.zeros((len(nodes), len(nodes)))
    for first, second in ((a, b), (b, a)):
        np.add.at(sums, (first, second), value)
        np.add.at(counts, (first, second), 1)
    matrix = np.divide(sums, counts, out=np.full_like(sums, nan), where=counts > 0)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def mean_similarity(matrix: np.ndarray) -> np.ndarray:
    """Mean similarity of each node to the others it is compared with, (K,); NaN where there is none."""
    others = matrix.copy()
    np.fill_diagonal(others, nan)
    known = ~np.isnan(others)
    return np.divide(
        np.where(known, others, 0).sum(axis=1),
        known.sum(axis=1),
        out=np.full(len(matrix), nan),
        where=known.any(axis=1),
    )


def _rho(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation of the ranks of each row of x and y (R, K), shape (R,); NaN where a row is constant."""
    ranks = [rankdata(values, axis=1) for values in (x, y)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), nan), where=scale > 0)
