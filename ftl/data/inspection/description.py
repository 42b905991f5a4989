"""All that an inspection found, put together once: for the terminal, the page and the JSON file alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ftl.data.alignment import alignment_costs
from ftl.data.inspection.finding import Evidence, Finding
from ftl.data.inspection.findings import find, verdict
from ftl.data.inspection.heterogeneity import NodePositions, node_positions
from ftl.data.inspection.survey import Inspection, NodeSummary
from ftl.data.inspection.tables import common_features, feature_table, node_table, rack_table

FORMAT = 1
MIN_NODE_SHARE = 0.5  # prepare.min_node_share, by default


@dataclass(frozen=True)
class Description:
    """An inspected fleet with its tables and findings."""

    inspection: Inspection
    report: Mapping[str, Any] = field(default_factory=dict)  # of a prepared fleet
    parts: list[dict[str, Any]] = field(default_factory=list)  # of a prepared fleet, see PartTally
    n_participants: tuple[int, ...] = ()  # of the cohorts that a run would train

    @cached_property
    def features(self) -> pd.DataFrame:
        """See :func:`feature_table`."""
        return feature_table(self.inspection)

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """See :func:`node_table`; with distance, outlying and most_unlike_in of :func:`node_positions`."""
        nodes = node_table(self.inspection)
        nodes["distance"] = self.positions.distance
        nodes["outlying"] = self.positions.outlying
        nodes["most_unlike_in"] = self.positions.column
        return nodes

    @cached_property
    def racks(self) -> pd.DataFrame:
        """See :func:`rack_table`."""
        return rack_table(self.inspection)

    @cached_property
    def positions(self) -> NodePositions:
        """See :func:`node_positions`."""
        return node_positions(self.inspection)

    @cached_property
    def common(self) -> list[str]:
        """See :func:`common_features`."""
        return common_features(self.inspection)

    @cached_property
    def findings(self) -> list[Finding]:
        """Errors first."""
        return find(Evidence(self.inspection, self.features, self.positions, self.n_participants))

    @property
    def verdict(self) -> str:
        """``unusable``, ``usable with warnings`` or ``usable``."""
        return verdict(self.findings)

    @cached_property
    def totals(self) -> dict[str, Any]:
        """The fleet in numbers, JSON-able."""
        inspection, nodes = self.inspection, self.inspection.nodes
        lines = [node.timeline for node in nodes]
        firsts = [line.first for line in lines if line.first is not None]
        lasts = [line.last for line in lines if line.last is not None]
        windows = [line.window for line in lines if line.window is not None]
        anomalous, normal = (sum(getattr(node.labels, key) for node in nodes) for key in ("anomalous", "normal"))
        return {
            "nodes": len(nodes) + len(inspection.unreadable),
            "nodes_unreadable": len(inspection.unreadable),
            "nodes_empty": sum(node.n_rows == 0 for node in nodes),
            "racks": len(self.racks),
            "rows": inspection.n_rows,
            "columns": len(inspection.features),
            "common_columns": len(self.common),
            "first": min(firsts, default=None),
            "last": max(lasts, default=None),
            "window_found": max(set(windows), key=windows.count) if windows else None,
            "window_declared_seconds": inspection.window_seconds,
            "gaps": sum(line.n_gaps for line in lines),
            "missing_windows": sum(line.missing_windows for line in lines),
            "longest_gap": max((line.longest_gap for line in lines), default=0),
            "normal": normal,
            "anomalous": anomalous,
            "unknown": sum(node.labels.unknown for node in nodes),
            "anomaly_rate": anomalous / (normal + anomalous) if normal + anomalous else None,
            "anomaly_events": sum(node.labels.events for node in nodes),
            "nodes_without_anomalies": sum(node.labels.anomalous == 0 for node in nodes),
        }

    @cached_property
    def costs(self) -> dict[str, Any]:
        """What rules would keep and lose, by kind of rule (``alignment``, ``missing``) and name; JSON-able.

        A prepared fleet has its own account of them. For other telemetry, rules of alignment are applied to the columns
        found, and incomplete rows are counted with each node's own columns.
        """
        if self.report:
            return dict(self.report.get("costs") or {})
        nodes = [node for node in self.inspection.nodes if node.usable]
        columns = {
            node.node_id: np.array(node.columns.features, object)[~node.columns.empty()].tolist() for node in nodes
        }
        return {
            "alignment": alignment_costs(columns, MIN_NODE_SHARE) if nodes else {},
            "missing": {
                "rows with a missing value": _removed(nodes, without_sparse=False),
                "the same, columns missing in more than 20 % of a node's rows set aside": _removed(
                    nodes, without_sparse=True
                ),
            },
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, JSON-able, NaN as null."""
        inspection = self.inspection
        content = {
            "format": FORMAT,
            "name": inspection.name,
            "origin": inspection.origin,
            "time_unit": inspection.time_unit,
            "prepared": bool(self.report),
            "verdict": self.verdict,
            "totals": self.totals,
            "findings": [asdict(finding) for finding in self.findings],
            "unreadable": dict(inspection.unreadable),
            "notes": list(inspection.notes),
            "treatments": {what: number for what, (number, _, _) in inspection.treatments.items()},
            "costs": self.costs,
            "parts": self.parts,
            "racks": self.racks.to_dict("records"),
            "nodes": self.nodes.to_dict("records"),
            "features": self.features.to_dict("records"),
        }
        return plain(content)


def _removed(nodes: Sequence[NodeSummary], without_sparse: bool) -> dict[str, int]:
    """Rows that go if incomplete rows go, named as in the report of a prepared fleet."""
    name = "incomplete_without_sparse" if without_sparse else "incomplete"
    return {
        "rows": sum(node.n_rows for node in nodes),
        "anomalous_rows": sum(node.labels.anomalous for node in nodes),
        "rows_removed": sum(getattr(node, name) for node in nodes),
        "anomalous_rows_removed": sum(getattr(node.labels, name) for node in nodes),
    }


def plain(value: Any) -> Any:
    """What JSON knows: numpy's numbers become Python's, and what is no number becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
