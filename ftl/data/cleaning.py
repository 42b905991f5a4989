"""Missing values: where they are, and which columns a fleet gives up so that fewer rows are lost.

Whatever the policy, a row that still lacks a value in a kept column is removed. In some fleets most anomalous windows
are incomplete ones, so callers count the anomalous rows among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MissingPolicy = Callable[[np.ndarray, float], np.ndarray]


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
        return np.unpackbits(self.bits, axis=1, count=self.n_columns).astype(bool)

    def empty_columns(self) -> np.ndarray:
        """True for columns without any value, shape (n_columns,)."""
        if len(self.rows) < self.n_rows:
            return np.zeros(self.n_columns, bool)
        return np.asarray(self.mask().all(axis=0))

    def complete_rows(self, columns: Sequence[int] | np.ndarray) -> np.ndarray:
        """True for rows that have a value in all these columns, shape (T,)."""
        complete = np.ones(self.n_rows, bool)
        complete[self.rows] = ~self.mask()[:, columns].any(axis=1)
        return complete

    def count(self, among: np.ndarray, columns: Sequence[int] | np.ndarray) -> tuple[np.ndarray, int]:
        """Missing values per column, shape (len(columns),), and the rows they are counted over.

        Args:
            among: Rows to look at, bool, shape (T,). Rows without any value in these columns are left out: they
                speak of the node being away, not of a column.
            columns: Column numbers.
        """
        inside = among[self.rows]
        mask = self.mask()[inside][:, columns]
        silent = mask.all(axis=1)
        return mask[~silent].sum(axis=0), int(among.sum() - silent.sum())


def drop_columns_then_rows(missing_share: np.ndarray, max_missing: float) -> np.ndarray:
    """Keep columns missing in at most max_missing of the fleet's training rows; rows are dropped afterwards."""
    keep: np.ndarray = missing_share <= max_missing
    return keep


def drop_rows(missing_share: np.ndarray, max_missing: float) -> np.ndarray:
    """Keep every column, and lose every row with a missing value (paper, section 4.3)."""
    return np.ones(len(missing_share), bool)


MISSING_POLICIES: dict[str, MissingPolicy] = {
    "drop_columns_then_rows": drop_columns_then_rows,
    "drop_rows": drop_rows,
}
