"""The keys of a results table as names and tags of runs."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ftl.evaluation.results import CELL_COLUMNS

CELL = list(CELL_COLUMNS)


class Cell(NamedTuple):
    """The key of one summary row, as in ``CELL_COLUMNS``; policy and n_participants are None without a cohort."""

    dataset: str
    protocol: str
    paradigm: str
    policy: str | None
    n_participants: int | None
    arm: str

    def run_name(self, digits: int, seed: int | None = None) -> str:
        """A name that sorts by what it says, e.g. "d1 unsupervised transfer top_n N=05 seed=0"."""
        n = None if self.n_participants is None else f"N={self.n_participants:0{digits}d}"
        protocol = None if self.protocol == "rigorous" else f"({self.protocol} protocol)"
        of_seed = None if seed is None else f"seed={seed}"
        return " ".join(w for w in (self.dataset, self.paradigm, self.arm, self.policy, n, protocol, of_seed) if w)

    def tags(self) -> dict[str, str]:
        """The key as tags, without what is None, and in one piece as ``cell``."""
        return self.texts() | {"cell": "/".join(self.texts().values())}

    def texts(self) -> dict[str, str]:
        """The key as texts, without what is None."""
        return {name: str(value) for name, value in self._asdict().items() if value is not None}


def cells_of(table: pd.DataFrame) -> list[Cell]:
    """The cell of each row."""
    return [Cell(*key) for key in keys(table, CELL)]


def keys(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Each row's key with None for null and int for n_participants, whatever the columns' types."""
    plain = []
    for name in columns:
        values = [None if pd.isna(v) else v for v in table[name]]
        plain.append([None if v is None else int(v) for v in values] if name == "n_participants" else values)
    return zip(*plain, strict=True)


def rows_by_cell(table: pd.DataFrame) -> dict[Cell, list[int]]:
    """Cell -> numbers of its rows."""
    rows: dict[Cell, list[int]] = {}
    for number, cell in enumerate(cells_of(table)):
        rows.setdefault(cell, []).append(number)
    return rows
