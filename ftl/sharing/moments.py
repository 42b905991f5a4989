"""Number, sum and cross-products of rows: what a covariance of all nodes' rows is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ftl.sharing.sizes import NUMBER_BYTES


@dataclass(frozen=True)
class Moments:
    """What a node sends: number, sum (F,) and cross-products (F, F) of its training rows in a scale that all share."""

    n_rows: int
    total: np.ndarray
    cross: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n_rows + other.n_rows, self.total + other.total, self.cross + other.cross)

    def __sub__(self, other: Moments) -> Moments:
        """What is left without a node that was added."""
        return Moments(self.n_rows - other.n_rows, self.total - other.total, self.cross - other.cross)

    @classmethod
    def none(cls, n_features: int) -> Moments:
        """Of no row at all, to which others are added."""
        return cls(0, np.zeros(n_features), np.zeros((n_features, n_features)))

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.n_rows

    @property
    def covariance(self) -> np.ndarray:
        """With ddof 0, shape (F, F)."""
        return self.cross / self.n_rows - np.outer(self.mean, self.mean)

    @property
    def n_bytes(self) -> int:
        """All of the cross-products are counted, though half of them would do."""
        return NUMBER_BYTES * (1 + self.total.size + self.cross.size)


def moments(x: np.ndarray) -> Moments:
    """The moments of rows (T, F) in a scale that all nodes share, summed in float64."""
    rows = np.asarray(x, np.float64)
    return Moments(len(rows), rows.sum(axis=0), rows.T @ rows)
