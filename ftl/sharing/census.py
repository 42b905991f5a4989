"""Which columns exist where: a fleet agrees on its features from the nodes' column names alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ftl.sharing.sizes import NUMBER_BYTES


@dataclass(frozen=True)
class ColumnReport:
    """What a node tells of its table: the names, each once, of the columns in which it has at least one value."""

    node_id: str
    columns: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        """Where the fleet's names are not known yet: each name in UTF-8, and a byte that ends it."""
        return names_bytes(self.columns)


@dataclass(frozen=True)
class ColumnCensus:
    """How many nodes have each column, in the order in which the columns first appear; censuses add up.

    Adding keeps the order of the left one, so the nodes' reports are added in the order of the fleet.
    """

    n_nodes: int = 0
    held_by: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: ColumnCensus | ColumnReport) -> ColumnCensus:
        added = ColumnCensus(1, dict.fromkeys(other.columns, 1)) if isinstance(other, ColumnReport) else other
        held_by = dict(self.held_by)
        for name, count in added.held_by.items():
            held_by[name] = held_by.get(name, 0) + count
        return ColumnCensus(self.n_nodes + added.n_nodes, held_by)

    def intersection(self) -> tuple[str, ...]:
        """The columns that every node has, in the order of the first node; none where there is none."""
        return tuple(name for name, count in self.held_by.items() if count == self.n_nodes)

    def union(self, min_node_share: float) -> tuple[str, ...]:
        """The columns that at least this share of the nodes have, in the order in which they first appear."""
        return tuple(name for name, count in self.held_by.items() if count >= min_node_share * self.n_nodes)

    def reply_bytes(self, report: ColumnReport) -> int:
        """Bytes of a node's report where it has received this census: a bit per known name, and the names that are new.

        So each name travels to the server once, whoever has it.
        """
        new = [name for name in report.columns if name not in self.held_by]
        return (len(self.held_by) + 7) // 8 + names_bytes(new)

    @property
    def n_bytes(self) -> int:
        """Of the census as it is handed on: names, a count each, and the number of nodes."""
        return names_bytes(self.held_by) + NUMBER_BYTES * (1 + len(self.held_by))


def census(reports: Iterable[ColumnReport]) -> ColumnCensus:
    """The census of nodes in the order of the fleet."""
    total = ColumnCensus()
    for report in reports:
        total += report
    return total


def names_bytes(names: Iterable[str]) -> int:
    """Bytes of names in UTF-8, each with the byte that ends it."""
    return sum(len(name.encode()) + 1 for name in names)
