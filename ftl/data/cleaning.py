"""Missing values: where they are, what a policy puts in their place, and which columns and rows it gives up.

In some fleets most anomalous windows seem to be incomplete ones (GRAAFE's README counts twenty times as many positives
on Marconi100 where incomplete rows are kept), so callers count the anomalous rows that a policy removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

NOT_FILLED, ZERO = -1, -2  # in place of the number of a row whose value is carried

_COLUMNS_AT_ONCE = 32


@dataclass(frozen=True)
class MissingCells:
    """Where one node's table has no value: one bit per cell, kept for the incomplete rows only."""

    n_rows: int
    n_columns: int
    rows: np.ndarray  # (I,) int64: rows that lack at least one value
    bits: np.ndarray  # (I, ceil(n_columns / 8)) uint8

    @classmethod
    def of(cls, values: np.ndarray) -> MissingCells:
        """Record the NaNs of a table, shape (T, F)."""
        missing = np.isnan(values)
        rows = np.flatnonzero(missing.any(axis=1))
        return cls(len(missing), missing.shape[1], rows, np.packbits(missing[rows], axis=1))

    def mask(self) -> np.ndarray:
        """True where a value is missing, for the incomplete rows, shape (I, n_columns)."""
        return np.unpackbits(self.bits, axis=1, count=self.n_columns).view(bool)

    def empty_columns(self) -> np.ndarray:
        """True for columns without any value, shape (n_columns,)."""
        if len(self.rows) < self.n_rows:
            return np.zeros(self.n_columns, bool)
        return np.asarray(self.mask().all(axis=0))

    def gaps(self, columns: Sequence[int | None]) -> Gaps:
        """Where values of these columns are missing; a column that the table does not have (None) misses nothing."""
        held = np.array([column is not None for column in columns], bool)
        missing = np.zeros((len(self.rows), len(columns)), bool)
        missing[:, held] = self.mask()[:, [column for column in columns if column is not None]]
        incomplete = missing.any(axis=1)
        return Gaps(self.n_rows, self.rows[incomplete], missing[incomplete], held)


@dataclass(frozen=True)
class Gaps:
    """Where a node lacks values of the fleet's features, for the rows that lack any."""

    n_rows: int
    rows: np.ndarray  # (I,) int64, ascending
    missing: np.ndarray  # (I, F) bool
    held: np.ndarray  # (F,) bool: features that the node's table has at all

    def silent(self) -> np.ndarray:
        """Which of the incomplete rows have no value of any feature, shape (I,)."""
        return np.asarray(self.missing[:, self.held].all(axis=1))

    def complete_rows(self) -> np.ndarray:
        """True for rows that have a value of every feature, shape (T,)."""
        complete = np.ones(self.n_rows, bool)
        complete[self.rows[self.missing.any(axis=1)]] = False
        return complete

    def count(self, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Missing values per feature, and the rows that they are counted over, both of shape (F,).

        Args:
            among: Rows to look at, bool, shape (T,). Rows without any value are left out: they speak of the node
                being away, not of a feature; and so are features that the node does not have.
        """
        silent = self.silent()
        looked_at = among[self.rows] & ~silent
        n_rows = int(among.sum()) - int((among[self.rows] & silent).sum())
        return self.missing[looked_at].sum(axis=0), n_rows * self.held

    def of(self, features: np.ndarray) -> Gaps:
        """The same for some of the features, bool, shape (F,)."""
        return Gaps(self.n_rows, self.rows, self.missing[:, features], self.held[features])

    def after(self, filled: np.ndarray) -> Gaps:
        """What is still missing where a policy has filled, as its ``fill`` says."""
        return Gaps(self.n_rows, self.rows, self.missing & (filled == NOT_FILLED), self.held)


Fill = Callable[[Gaps, np.ndarray, float], np.ndarray]
"""(gaps, time of the node's rows, reach) -> (I, F) int32: for a missing cell the row whose value it gets, ZERO, or
NOT_FILLED; reach is in units of time."""


def nothing(gaps: Gaps, time: np.ndarray, reach: float) -> np.ndarray:
    """Fill nothing."""
    return np.full(gaps.missing.shape, NOT_FILLED, np.int32)


def zero(gaps: Gaps, time: np.ndarray, reach: float) -> np.ndarray:
    """Every missing value is 0 in the metric's own unit."""
    return np.full(gaps.missing.shape, ZERO, np.int32)


def last_value(gaps: Gaps, time: np.ndarray, reach: float) -> np.ndarray:
    """The node's last value before the gap, for as long as it is not older than `reach`.

    The age is counted in time, so no value crosses a longer gap between rows. Rows after a cell have no influence.
    """
    filled = np.full(gaps.missing.shape, NOT_FILLED, np.int32)
    follows = np.diff(gaps.rows, prepend=-2) == 1  # the row before it is incomplete as well
    for some in _chunks(np.flatnonzero(gaps.missing.any(axis=0))):
        missing = gaps.missing[:, some]
        goes_on = np.zeros_like(missing)
        goes_on[1:] = missing[:-1] & follows[1:, None]
        before = np.where(missing & ~goes_on, gaps.rows[:, None] - 1, NOT_FILLED).astype(np.int32)
        last = np.maximum.accumulate(before, axis=0)  # of a later gap it is always a later row
        usable = missing & (last >= 0)
        usable &= time[gaps.rows][:, None] - time[np.maximum(last, 0)] <= reach
        filled[:, some] = np.where(usable, last, NOT_FILLED)
    return filled


@dataclass(frozen=True)
class MissingPolicy:
    """What becomes of missing values. A row that still lacks one in a kept column is removed.

    Attributes:
        fill: What is put in their place, before anything is given up.
        gives_up_columns: Whether columns (still) missing in more than max_missing of the fleet's training rows go, so
            that fewer rows have to.
        indicators: Whether features say which values were missing.
    """

    fill: Fill
    gives_up_columns: bool
    indicators: bool = False


# drop_rows is the paper's (section 4.3), zero is GRAAFE's.
MISSING_POLICIES: dict[str, MissingPolicy] = {
    "drop_columns_then_rows": MissingPolicy(nothing, gives_up_columns=True),
    "drop_rows": MissingPolicy(nothing, gives_up_columns=False),
    "forward_fill": MissingPolicy(last_value, gives_up_columns=True, indicators=True),
    "zero": MissingPolicy(zero, gives_up_columns=False),
}


def _chunks(columns: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(columns), _COLUMNS_AT_ONCE):
        yield columns[first : first + _COLUMNS_AT_ONCE]
