"""Fleets in memory, small enough that every number can be counted by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from ftl.data.node_table import NodeTable
from ftl.errors import TelemetryError

QUARTER = 900
START = 1_609_459_200  # 2021-01-01 00:00 UTC


@dataclass
class Memory:
    """A source whose nodes are given; a text in place of a table is why the node cannot be read."""

    tables: Mapping[str, NodeTable | str]
    racks: Mapping[str, str] = field(default_factory=dict)
    declared: float | None = float(QUARTER)
    time_unit: str = "seconds"
    name: str = "fleet"
    origin: str = "real"
    notes: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)

    def node_ids(self) -> list[str]:
        return list(self.tables)

    def rack_of(self, node_id: str) -> str | None:
        return self.racks.get(node_id)

    def window_seconds(self) -> float | None:
        return self.declared

    def fingerprint(self) -> str:
        return "memory"

    def read_node(self, node_id: str) -> NodeTable:
        table = self.tables[node_id]
        if isinstance(table, str):
            raise TelemetryError(table)
        return table


@pytest.fixture
def node() -> Callable[..., NodeTable]:
    """Makes a node of `n` quarters of an hour with columns a and b of noise; keyword arguments replace columns."""

    def make(node_id: str = "n1", n: int = 200, **given) -> NodeTable:
        rng = np.random.default_rng(len(node_id) + sum(map(ord, node_id)))
        time = given.pop("time", START + QUARTER * np.arange(n))
        label = given.pop("label", np.arange(n) % 20 == 19)
        split = given.pop("split", None)
        treatments = given.pop("treatments", {})
        columns = {"a": rng.normal(20, 2, n), "b": rng.normal(5, 1, n)} | given
        columns = {name: np.broadcast_to(column, n) for name, column in columns.items() if column is not None}
        values = np.stack([*columns.values()], axis=1) if columns else np.empty((n, 0))
        return NodeTable(
            node_id=node_id,
            time=np.asarray(time, np.int64),
            values=values.astype(np.float32),
            features=tuple(columns),
            label=np.asarray(label, np.int8),
            split=split,
            treatments=treatments,
        )

    return make


@pytest.fixture
def fleet() -> Callable[..., Memory]:
    """Makes a source of some nodes."""

    def make(*tables: NodeTable, **settings) -> Memory:
        return Memory({table.node_id: table for table in tables}, **settings)

    return make


@pytest.fixture
def memory() -> type[Memory]:
    return Memory
