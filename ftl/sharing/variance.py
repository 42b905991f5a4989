"""Residual variances of a node, and of its fleet where the node's own rows are too few to know them by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.sharing.scale import median_over_nodes
from ftl.sharing.sizes import NUMBER_BYTES


@dataclass(frozen=True)
class ResidualSums:
    """What a node sends about its residuals: number of rows, sum and sum of squares of each feature, (F,) float64.

    Both sums are NaN for a feature that the node lacks; so they are in what is added to it.
    """

    n_rows: int
    total: np.ndarray
    squares: np.ndarray

    def __add__(self, other: ResidualSums) -> ResidualSums:
        return ResidualSums(self.n_rows + other.n_rows, self.total + other.total, self.squares + other.squares)

    @property
    def variance(self) -> np.ndarray:
        """Variance (ddof 0, so around the rows' own mean) of each feature, as `ftl.detection.residual_variance`.

        NaN for a feature that the node lacks, and for all of them without a row.
        """
        if self.n_rows == 0:
            return np.full(len(self.total), np.nan)
        return np.maximum(self.squares / self.n_rows - np.square(self.total / self.n_rows), 0.0)

    @property
    def n_bytes(self) -> int:
        return NUMBER_BYTES * (1 + len(self.total) + len(self.squares))


def residual_sums(residual: np.ndarray, absent: np.ndarray | None = None) -> ResidualSums:
    """The sums over rows (T, F) of residuals, none of them NaN.

    Args:
        absent: Features that the node lacks or holds muted, bool (F,): it has nothing to tell about them.
    """
    total = residual.sum(axis=0, dtype=np.float64)
    squares = np.einsum("tf,tf->f", residual, residual, dtype=np.float64)
    if absent is not None:
        total[absent] = squares[absent] = np.nan
    return ResidualSums(len(residual), total, squares)


def median_variance(sums: Sequence[ResidualSums]) -> np.ndarray:
    """The median over nodes of their residual variances, (F,): a node weighs the same however many rows it has.

    Nodes without a row, or without the feature, have no say; NaN where nobody has one.

    Raises:
        ValueError: If there is no node.
    """
    if not sums:
        raise ValueError("median_variance needs the sums of at least one node")
    return median_over_nodes(np.stack([of_node.variance for of_node in sums]))


def shrunk_variance(own: ResidualSums | None, fleet: np.ndarray, pseudo_rows: float) -> np.ndarray:
    """A node's residual variance as if it had seen `pseudo_rows` rows more, of the fleet's variance.

    (n var + pseudo_rows fleet) / (n + pseudo_rows), with n and var (around the node's own mean) of ``own``.

    Args:
        own: Of the node; None, or no row, leaves the fleet's variance.
        fleet: Variance of each feature, shape (F,). Where it is NaN the node's own stands, and the other way round; 0
            where both are.
        pseudo_rows: 0 or more, finite; 0 leaves the node's own.

    Raises:
        ValueError: If pseudo_rows is negative or not finite, or 0 for a node without rows.
    """
    n_rows = 0 if own is None else own.n_rows
    if not (math.isfinite(pseudo_rows) and pseudo_rows >= 0.0):
        raise ValueError(f"pseudo_rows must be 0 or more, and finite; got {pseudo_rows!r}")
    if n_rows + pseudo_rows == 0:
        raise ValueError("a node without rows has no variance of its own: pseudo_rows must be positive")
    if own is None or n_rows == 0:
        return np.nan_to_num(fleet)
    if pseudo_rows == 0:
        return np.nan_to_num(own.variance)
    variance = own.variance
    mixed = (n_rows * variance + pseudo_rows * fleet) / (n_rows + pseudo_rows)
    known = np.where(np.isnan(variance), fleet, np.where(np.isnan(fleet), variance, mixed))
    return np.nan_to_num(known)
