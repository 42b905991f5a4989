"""Causal re-basing: a row is read as what it differs by from the node's own recent past.

A node whose level wanders (a change of role, a season, a slow leak) is normal at levels that its train rows never
held; what stays comparable is the distance to the median of the last day. The median looks back only, so that a node
scored row by row gives the rows that it gives in one go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.indexers import BaseIndexer

from ftl.errors import ConfigError

COLUMNS_AT_ONCE = 32
FEW_ROWS = 16  # as many medians are found sooner one by one than by carrying a sorted window along


class _Past(BaseIndexer):
    """Windows whose first rows are given; each ends with its own row."""

    first_rows: np.ndarray

    def get_window_bounds(
        self,
        num_values: int = 0,
        min_periods: int | None = None,
        center: bool | None = None,
        closed: str | None = None,
        step: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.first_rows, np.arange(1, num_values + 1, dtype=np.int64)


def first_of_window(time: np.ndarray, window: float) -> np.ndarray:
    """Per row, the number of the first row whose time is later than its own less the window, int64, shape (T,)."""
    return np.searchsorted(time, np.asarray(time) - window, side="right").astype(np.int64)


def trailing_median(x: np.ndarray, time: np.ndarray, window: float, first: int = 0) -> np.ndarray:
    """Median of each feature over the rows of the last window, the row itself included.

    Rows that come before a whole window has passed have the rows so far. The window is one of time, not of rows: rows
    are missing where the node was silent, and after a silence longer than the window the median starts anew. A missing
    value (NaN) is passed over; a window without any value gives NaN.

    Args:
        x: Rows in time order, shape (T, F).
        time: Of the rows, ascending, shape (T,) int64.
        window: Length of the window, in units of `time`; the rows with time in (t - window, t] count.
        first: The medians of the rows from this one on are asked for; those before are past alone.

    Returns:
        Shape (T - first, F) float32. O(log(rows of a window)) per value.

    Raises:
        ValueError: If `window` is not positive or `time` has another length than `x`.
    """
    if not window > 0:
        raise ValueError(f"window: the length of the past must be positive; got {window!r}")
    if len(time) != len(x):
        raise ValueError(f"time: {len(time)} for {len(x)} rows")
    starts = first_of_window(time, window)
    if len(x) - first <= FEW_ROWS:
        return _one_by_one(x, starts, first)
    medians = np.empty((len(x) - first, x.shape[1]), np.float32)
    oldest = int(starts[first])
    indexer = _Past(first_rows=np.maximum(starts[oldest:] - oldest, 0))
    for column in range(0, x.shape[1], COLUMNS_AT_ONCE):
        some = slice(column, column + COLUMNS_AT_ONCE)
        found = pd.DataFrame(np.array(x[oldest:, some], np.float64)).rolling(indexer, min_periods=1).median()
        medians[:, some] = found.to_numpy()[first - oldest :]
    return medians


def _one_by_one(x: np.ndarray, starts: np.ndarray, first: int) -> np.ndarray:
    medians = np.empty((len(x) - first, x.shape[1]), np.float32)
    for row in range(first, len(x)):
        window = np.sort(np.array(x[starts[row] : row + 1], np.float64), axis=0)  # NaN last
        n_known = (~np.isnan(window)).sum(axis=0)
        ends = np.stack([(n_known - 1) // 2, n_known // 2]).clip(0)
        medians[row - first] = np.take_along_axis(window, ends, axis=0).sum(axis=0) / 2
    return medians


def rebased(x: np.ndarray, time: np.ndarray, window: float, first: int = 0) -> np.ndarray:
    """Rows less their trailing median (see :func:`trailing_median`), shape (T - first, F) float32."""
    difference: np.ndarray = np.asarray(x[first:], np.float32) - trailing_median(x, time, window, first)
    return difference


@dataclass(frozen=True)
class Rebasing:
    """How a node's rows are re-based.

    Attributes:
        window: How far the median looks back, in units of time.
        n_features: The first ones are re-based; what follows, indicators of missing values, stays as it is.
    """

    window: float
    n_features: int

    def __call__(self, x: np.ndarray, time: np.ndarray, first: int = 0) -> np.ndarray:
        """The rows from `first` on, re-based, shape (T - first, F) float32; those before are past alone.

        Args:
            x: Rows in time order after the transform of scaling and before its scale, shape (T, F): where a feature is
                read through a signed logarithm, the distance to the median is then one of ratios, whatever the level.
                (The logarithm of the distance would depend on the level, and twist the small distances that most are.)
            time: Of the rows, shape (T,).
            first: Number of the first row that is asked for.
        """
        values = np.array(x[first:], np.float32)
        values[:, : self.n_features] -= trailing_median(x[:, : self.n_features], time, self.window, first)
        return values


def window_of(hours: float, time_unit: str, window_seconds: float | None) -> float:
    """Hours in units of a fleet's time.

    Raises:
        ConfigError: If it counts steps and nobody says how long a step is.
    """
    if time_unit == "seconds":
        return 3600.0 * hours
    if window_seconds is None:
        raise ConfigError(
            f"prepare.rebase looks back {hours:g} hours, and time is counted in steps of unknown length; say how long "
            "a step is with window_minutes in fleet.yaml, or leave prepare.rebase: none"
        )
    return 3600.0 * hours / window_seconds


# Which nodes are re-based, from whose drift test fired, (K,) bool -> (K,) bool. Under `fleet` a node tells one bit.
REBASE_RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda fired: np.zeros(len(fired), bool),
    "drifting": lambda fired: np.array(fired, bool),
    "fleet": lambda fired: np.full(len(fired), 2 * np.sum(fired) >= len(fired)),
    "all": lambda fired: np.ones(len(fired), bool),
}
