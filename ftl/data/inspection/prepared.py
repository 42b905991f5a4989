"""A prepared fleet seen as a source, so that what training reads can be inspected like what was brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.fleet import TEST, TRAIN, VALIDATION, Fleet, read_fleet
from ftl.data.node_table import ANOMALOUS, SPLIT_TEST, SPLIT_TRAIN, UNKNOWN, NodeTable
from ftl.data.prepare_report import PART_NAMES

NO_PART = -1  # in NodeTable.split: a row of the gap


class PreparedSource:
    """The nodes of a prepared fleet: scaled values, the fleet's parts as split, nothing left to repair.

    Raises:
        TelemetryError: If the folder is no prepared fleet, or a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self.fleet: Fleet = read_fleet(folder)
        self.name = self.fleet.name
        self.origin = self.fleet.origin
        self.time_unit = self.fleet.time_unit
        self._number = {node_id: k for k, node_id in enumerate(self.fleet.node_ids)}

    def node_ids(self) -> list[str]:
        """Node ids in the fleet's order."""
        return list(self.fleet.node_ids)

    def rack_of(self, node_id: str) -> str | None:
        """The rack that the source gave."""
        return self.fleet.racks[self._number[node_id]]

    def window_seconds(self) -> float | None:
        """The window length that prepare took down."""
        return self.fleet.window_seconds

    def fingerprint(self) -> str:
        """The fleet's own."""
        return self.fleet.fingerprint

    def read_node(self, node_id: str) -> NodeTable:
        """One node's scaled rows; train and validation rows are the split's train part."""
        k = self._number[node_id]
        rows = slice(int(self.fleet.start[k]), int(self.fleet.start[k + 1]))
        part = self.fleet.part[rows]
        split = np.full(len(part), NO_PART, np.int8)
        split[np.isin(part, (TRAIN, VALIDATION))] = SPLIT_TRAIN
        split[part == TEST] = SPLIT_TEST
        return NodeTable(
            node_id=node_id,
            time=np.asarray(self.fleet.time[rows]),
            values=np.array(self.fleet.x[rows]),  # a copy: pages of the file would stay in memory
            features=self.fleet.features,
            label=np.asarray(self.fleet.label[rows]),
            split=split,
            treatments={},
        )


class PartTally:
    """What each part of a prepared fleet holds, added up table by table: rows, labels and the range of the values."""

    def __init__(self, source: PreparedSource) -> None:
        self._fleet = source.fleet
        self._number = {node_id: k for k, node_id in enumerate(source.fleet.node_ids)}
        names = ("rows", "anomalous", "unknown", "values", "sum", "below", "above")
        self._sums: dict[str, dict[str, float]] = {part: dict.fromkeys(names, 0) for part in PART_NAMES}

    def __call__(self, table: NodeTable) -> None:
        k = self._number[table.node_id]
        parts = self._fleet.part[int(self._fleet.start[k]) : int(self._fleet.start[k + 1])]
        for name, code in PART_NAMES.items():
            rows = parts == code
            values, sums = table.values[rows], self._sums[name]
            sums["rows"] += int(rows.sum())
            sums["anomalous"] += int((table.label[rows] == ANOMALOUS).sum())
            sums["unknown"] += int((table.label[rows] == UNKNOWN).sum())
            sums["values"] += values.size
            sums["sum"] += float(values.sum(dtype=np.float64))
            sums["below"] += int((values < 0).sum())
            sums["above"] += int((values > 1).sum())

    def parts(self) -> list[dict[str, Any]]:
        """One row per part that has rows: rows, anomalous, unknown, mean, below and above (shares of the values)."""
        return [
            {
                "part": name,
                **{key: int(sums[key]) for key in ("rows", "anomalous", "unknown")},
                "mean": sums["sum"] / sums["values"],
                "below": sums["below"] / sums["values"],
                "above": sums["above"] / sums["values"],
            }
            for name, sums in self._sums.items()
            if sums["values"]
        ]
