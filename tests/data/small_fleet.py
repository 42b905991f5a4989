"""Node tables in memory, for tests of what is made of them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.fleet import Fleet
from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet

FEATURES = ("a", "b", "c")


@dataclass
class Tables:
    """A source in memory."""

    tables: list[NodeTable]
    name: str = "toy"
    origin: str = "simulated"
    time_unit: str = "seconds"
    window: float | None = None
    racks: dict[str, str] = field(default_factory=dict)

    def node_ids(self) -> list[str]:
        return [table.node_id for table in self.tables]

    def rack_of(self, node_id: str) -> str | None:
        return self.racks.get(node_id)

    def window_seconds(self) -> float | None:
        return self.window

    def read_node(self, node_id: str) -> NodeTable:
        return next(table for table in self.tables if table.node_id == node_id)

    def fingerprint(self) -> str:
        return "tables"


def table(node_id: str, n_rows: int = 100, **changes: Any) -> NodeTable:
    """A node of three noisy features with an anomaly in row 5 and in every 20th row from 10."""
    rng = np.random.default_rng(sum(map(ord, node_id)))
    label = np.zeros(n_rows, np.int8)
    label[5:6] = label[10::20] = 1
    values = rng.normal(size=(n_rows, 3)).astype(np.float32)
    plain = NodeTable(node_id, 900 * np.arange(n_rows), values, FEATURES, label, None, {})
    return replace(plain, **changes)


def later(plain: NodeTable, n_windows: int) -> NodeTable:
    return replace(plain, time=plain.time + 900 * n_windows)


def with_missing(plain: NodeTable, rows: Any, columns: Any) -> NodeTable:
    values = plain.values.copy()
    values[rows, columns] = np.nan
    return replace(plain, values=values)


def prepare(tmp_path: Path, tables: list[NodeTable], protocol: str = "rigorous", **settings: Any) -> Fleet:
    """Prepare the tables; incomplete rows are dropped unless another policy is named."""
    chosen = PrepareSettings(**{"missing": "drop_columns_then_rows", **settings})
    return prepare_fleet(Tables(tables), chosen, protocol, tmp_path / "fleet")
