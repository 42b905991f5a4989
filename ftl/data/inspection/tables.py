"""A fleet's columns, nodes and racks as tables, one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ftl.data.inspection.column_statistics import ColumnStatistics
from ftl.data.inspection.survey import Inspection, NodeSummary

DRIFTED = 0.25  # a stability index above this is usually called a large change; above 0.1 a moderate one
MODERATE = 0.1


def feature_table(inspection: Inspection) -> pd.DataFrame:
    """One row per column that any node has, in the order in which they are met.

    Columns: feature, unit; nodes (with a value), absent and empty (nodes with rows but without the column, or without a
    value in it), constant (nodes), first_without (the first node with rows that has no value); missing (share of the
    rows of nodes that have a value); mean, deviation (pooled over nodes), between (share of the variance that lies
    between node means); drift (median stability index over nodes), shift (median), drifted (share of nodes above
    DRIFTED), label_correlation (median); counter (whether it only ever grows).
    """
    columns = {
        name: inspection.per_column(name)
        for name in ("present", "constant", "mean", "deviation", "psi", "shift", "label_correlation")
    }
    held = columns["present"] > 0
    rows = np.array([[node.n_rows] for node in inspection.nodes])
    absent = np.isnan(columns["present"]) & (rows > 0)
    lacking = ~held & (rows > 0)
    n_rows = np.where(held, rows, 0).sum(axis=0)
    present = np.where(held, columns["present"], 0.0)
    mean, between, within = _variance_parts(columns["mean"], columns["deviation"], present)
    node_ids = [node.node_id for node in inspection.nodes]
    with np.errstate(invalid="ignore", divide="ignore"):
        table = {
            "feature": list(inspection.features),
            "unit": [inspection.units.get(name, "") for name in inspection.features],
            "nodes": held.sum(axis=0),
            "absent": absent.sum(axis=0),
            "empty": (lacking & ~absent).sum(axis=0),
            "constant": (columns["constant"] == 1).sum(axis=0),
            "first_without": [node_ids[np.argmax(column)] if column.any() else "" for column in lacking.T],
            "missing": 1 - present.sum(axis=0) / n_rows,
            "mean": mean,
            "deviation": np.sqrt(between + within),
            "between": between / (between + within),
            "drift": median_over_nodes(columns["psi"]),
            "shift": median_over_nodes(columns["shift"]),
            "drifted": _share_of_nodes(columns["psi"]),
            "label_correlation": median_over_nodes(columns["label_correlation"]),
            "counter": [name in inspection.counters for name in inspection.features],
        }
    return pd.DataFrame(table)


def node_table(inspection: Inspection) -> pd.DataFrame:
    """One row per node that could be read, in the source's order; times in the source's units, shares in [0, 1]."""
    table = pd.DataFrame({name: [of(node) for node in inspection.nodes] for name, of in _NODE_COLUMNS.items()})
    whole = ("first", "last", "window", "longest_gap_after")  # None where there is nothing
    return table.astype(dict.fromkeys(whole, "Int64"))


def rack_table(inspection: Inspection) -> pd.DataFrame:
    """One row per known rack: nodes, rows, labels and anomaly rate; empty where no rack is known."""
    nodes = node_table(inspection)
    if nodes.empty or not nodes["rack"].notna().any():
        return pd.DataFrame(columns=["rack", "nodes", "rows", "normal", "anomalous", "unknown", "anomaly_rate"])
    counts = ["rows", "normal", "anomalous", "unknown"]
    groups = nodes[nodes["rack"].notna()].groupby("rack", sort=False)
    racks = groups[counts].sum()
    racks.insert(0, "nodes", groups.size())
    labelled = (racks["normal"] + racks["anomalous"]).astype(float)
    racks["anomaly_rate"] = racks["anomalous"] / labelled.where(labelled > 0)
    return racks.reset_index()


def common_features(inspection: Inspection) -> list[str]:
    """The columns that hold a value on every node that can be used."""
    kept = [k for k, node in enumerate(inspection.nodes) if node.usable]
    held = np.asarray((inspection.per_column("present") > 0)[kept].all(axis=0))
    return [inspection.features[column] for column in np.flatnonzero(held) if kept]


def median_over_nodes(values: np.ndarray) -> np.ndarray:
    """Median of each column over the nodes that have a value, shape (F,), NaN where none has."""
    result = np.full(values.shape[1], np.nan)
    some = ~np.isnan(values).all(axis=0)
    if some.any():
        result[some] = np.nanmedian(values[:, some], axis=0)
    return result


def _share_of_nodes(psi: np.ndarray) -> np.ndarray:
    """Share of the nodes with a stability index whose index is above DRIFTED, shape (F,)."""
    return np.asarray((psi > DRIFTED).sum(axis=0) / (~np.isnan(psi)).sum(axis=0))


def _variance_parts(
    mean: np.ndarray, deviation: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overall mean, variance between node means and mean variance within nodes, weighted by values; (F,) each."""
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = present / present.sum(axis=0)
        mean, deviation = np.where(present > 0, mean, 0.0), np.where(present > 0, deviation, 0.0)
        overall = (weight * mean).sum(axis=0)
        return overall, (weight * (mean - overall) ** 2).sum(axis=0), (weight * deviation**2).sum(axis=0)


def _missing_values(columns: ColumnStatistics) -> float:
    """Share of missing values in the columns that have any."""
    cells = columns.n_rows * int((~columns.empty()).sum())
    return 1 - float(columns.present.sum()) / cells if cells else float("nan")


_NODE_COLUMNS: dict[str, Callable[[NodeSummary], Any]] = {
    "node": lambda node: node.node_id,
    "rack": lambda node: node.rack,
    "rows": lambda node: node.n_rows,
    "first": lambda node: node.timeline.first,
    "last": lambda node: node.timeline.last,
    "window": lambda node: node.timeline.window,
    "irregular": lambda node: node.timeline.irregular,
    "gaps": lambda node: node.timeline.n_gaps,
    "missing_windows": lambda node: node.timeline.missing_windows,
    "longest_gap": lambda node: node.timeline.longest_gap,
    "longest_gap_after": lambda node: node.timeline.longest_gap_after,
    "columns": lambda node: len(node.columns.features),
    "empty_columns": lambda node: int(node.columns.empty().sum()),
    "constant_columns": lambda node: int(node.columns.constant().sum()),
    "missing_values": lambda node: _missing_values(node.columns),
    "incomplete_rows": lambda node: node.incomplete,
    "silent_rows": lambda node: node.silent,
    "normal": lambda node: node.labels.normal,
    "anomalous": lambda node: node.labels.anomalous,
    "unknown": lambda node: node.labels.unknown,
    "anomaly_rate": lambda node: node.labels.rate,
    "anomaly_events": lambda node: node.labels.events,
    "anomalous_later": lambda node: node.labels.anomalous_later,
    "anomalous_incomplete": lambda node: node.labels.incomplete,
    "drifted_columns": lambda node: int((node.columns.psi > DRIFTED).sum()),
    "treatments": lambda node: "; ".join(f"{what}: {count}" for what, count in node.treatments.items()),
}
