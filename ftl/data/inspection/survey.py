"""What is kept of a node, and of a fleet: a few numbers per column, rows counted by kind and in time bins."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ftl.data.counters import find_counters
from ftl.data.drift import MIN_ROWS, MOST_FEATURES, MOST_ROWS, drift_share
from ftl.data.inspection.advice import SourceAdvice
from ftl.data.inspection.column_statistics import ColumnStatistics, column_statistics
from ftl.data.inspection.outlook import Outlook
from ftl.data.inspection.timeline import Bins, Grid, Timeline, count_in_bins, find_timeline, on_one_grid
from ftl.data.node_table import ANOMALOUS, NORMAL, SPLIT_TEST, SPLIT_TRAIN, UNKNOWN, NodeTable

TEST_FRACTION = 0.2  # of a node's rows, the last ones, where the source has no split of its own
LEAST_ROWS = 20  # prepare.min_train_rows, by default: nodes with fewer are left out of a fleet
SPARSE = (
    0.2  # a column missing in a larger share of a node's rows is set aside before incomplete rows are counted again
)
_CHUNK = 4096  # rows looked at together for missing values


@dataclass(frozen=True)
class LabelCounts:
    """Rows by label."""

    normal: int
    anomalous: int
    unknown: int
    events: int  # runs of successive anomalous rows
    anomalous_later: int  # anomalous rows of the part that tests
    incomplete: int  # anomalous rows with a missing value in a column that has values on this node
    incomplete_without_sparse: int  # the same when columns missing in more than SPARSE of the rows are set aside

    @property
    def rate(self) -> float:
        """Anomalous share of the labelled rows, NaN without any."""
        labelled = self.normal + self.anomalous
        return self.anomalous / labelled if labelled else float("nan")


@dataclass(frozen=True)
class NodeSummary:
    """What is kept of one node: a few numbers per column, and its rows counted in time bins."""

    node_id: str
    rack: str | None
    n_rows: int
    has_split: bool
    n_later: int  # rows of the part that tests
    columns: ColumnStatistics
    timeline: Timeline
    bins: Bins
    labels: LabelCounts
    incomplete: int  # rows with a missing value in a column that has values on this node
    incomplete_without_sparse: int
    silent: int  # rows without any value
    treatments: Mapping[str, int]
    drift_share: float = math.nan  # of the part that trains, see ftl.data.drift; NaN where it cannot be told

    @property
    def usable(self) -> bool:
        """Whether the node has enough rows, and values in them; others are left out of a fleet."""
        return self.n_rows >= LEAST_ROWS and self.silent < self.n_rows


@dataclass(frozen=True)
class Inspection:
    """A fleet as one pass over it found it."""

    name: str
    origin: str  # "simulated" or "real"
    time_unit: str  # "seconds" or "steps"
    window_seconds: float | None  # as the source declares it
    nodes: tuple[NodeSummary, ...]
    unreadable: Mapping[str, str]  # node -> why
    notes: tuple[str, ...]
    units: Mapping[str, str]  # column -> unit
    advice: SourceAdvice = field(default_factory=SourceAdvice)
    outlook: Outlook | None = None  # of what prepare would do; None for a fleet that is prepared, or without room

    @property
    def n_rows(self) -> int:
        """Rows of all nodes that could be read."""
        return sum(node.n_rows for node in self.nodes)

    @cached_property
    def features(self) -> tuple[str, ...]:
        """All columns of all nodes, in the order in which they are met."""
        return tuple(dict.fromkeys(name for node in self.nodes for name in node.columns.features))

    @cached_property
    def counters(self) -> frozenset[str]:
        """Columns that only ever grow, as far as the train parts of all nodes tell."""
        ups, downs = (np.nansum(self.per_column(way), axis=0) for way in ("ups", "downs"))
        return frozenset(np.array(self.features, object)[find_counters(ups, downs)].tolist())

    @cached_property
    def grid(self) -> Grid:
        """All nodes' rows in the same time bins."""
        return on_one_grid([node.bins for node in self.nodes])

    def per_column(self, statistic: str) -> np.ndarray:
        """An array of ColumnStatistics for all nodes and columns, shape (K, F), NaN where a node lacks the column."""
        number = {name: column for column, name in enumerate(self.features)}
        table = np.full((len(self.nodes), len(self.features)), np.nan)
        for k, node in enumerate(self.nodes):
            found = getattr(node.columns, statistic)
            table[k, [number[name] for name in node.columns.features]] = found() if callable(found) else found
        return table

    @cached_property
    def treatments(self) -> dict[str, tuple[int, int, str]]:
        """Repairs made on reading: count, nodes concerned, first of them."""
        total: Counter[str] = Counter()
        nodes: dict[str, list[str]] = {}
        for node in self.nodes:
            total.update(node.treatments)
            for treatment in node.treatments:
                nodes.setdefault(treatment, []).append(node.node_id)
        return {what: (total[what], len(nodes[what]), nodes[what][0]) for what in nodes}


def summarise(table: NodeTable, rack: str | None, seconds: bool, base: int | None = None) -> NodeSummary:
    """Reduce one node to its summary.

    Args:
        table: The node as it was read.
        rack: Its rack, None where it is not known.
        seconds: Whether its times are seconds, not steps.
        base: Width of time bins before doubling, the same for all nodes of a fleet; None: this node's window.
    """
    timeline = find_timeline(table.time, seconds)
    earlier, later = _parts(table)
    columns = column_statistics(table.features, table.values, table.label, earlier, later)
    sparse = len(table.label) - columns.present > SPARSE * len(table.label)
    incomplete, without_sparse, silent = _rows_lacking(table.values, ~columns.empty(), ~sparse)
    anomalous = table.label == ANOMALOUS
    return NodeSummary(
        node_id=table.node_id,
        rack=rack,
        n_rows=len(table.label),
        has_split=table.split is not None,
        n_later=len(later),
        columns=columns,
        timeline=timeline,
        bins=count_in_bins(table.time, table.label, ~(without_sparse | silent), base or timeline.window or 1),
        labels=LabelCounts(
            normal=int((table.label == NORMAL).sum()),
            anomalous=int(anomalous.sum()),
            unknown=int((table.label == UNKNOWN).sum()),
            events=int((np.diff(anomalous.astype(np.int8), prepend=0) == 1).sum()),
            anomalous_later=int(anomalous[later].sum()),
            incomplete=int((anomalous & incomplete).sum()),
            incomplete_without_sparse=int((anomalous & without_sparse).sum()),
        ),
        incomplete=int(incomplete.sum()),
        incomplete_without_sparse=int(without_sparse.sum()),
        silent=int(silent.sum()),
        treatments=dict(table.treatments),
        drift_share=_drift_share(table.values, earlier, columns),
    )


def _drift_share(values: np.ndarray, earlier: np.ndarray, columns: ColumnStatistics) -> float:
    """Of columns that are mostly there and are no counters; a missing value is taken for the column's median."""
    kept = (columns.present > (1 - SPARSE) * len(values)) & ~find_counters(columns.ups, columns.downs)
    if len(earlier) < MIN_ROWS or not kept.any():
        return math.nan
    spaced = earlier[:: -(-len(earlier) // MOST_ROWS)]
    rows = values[np.ix_(spaced, np.flatnonzero(kept)[:: -(-int(kept.sum()) // MOST_FEATURES)])]
    known = ~np.isnan(rows).all(axis=0)
    rows = rows[:, known]
    usual = np.broadcast_to(np.nanmedian(rows, axis=0), rows.shape)
    return drift_share(np.where(np.isnan(rows), usual, rows))


def _parts(table: NodeTable) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers that train and that test: the source's own split, else the first 80 % of the node's rows."""
    if table.split is not None:
        return np.flatnonzero(table.split == SPLIT_TRAIN), np.flatnonzero(table.split == SPLIT_TEST)
    cut = round((1 - TEST_FRACTION) * len(table.label))
    return np.arange(cut), np.arange(cut, len(table.label))


def _rows_lacking(values: np.ndarray, *column_sets: np.ndarray) -> tuple[np.ndarray, ...]:
    """True for rows that lack a value in one of the columns of a set, and, last, for rows without any; (T,) each."""
    found = np.zeros((len(column_sets) + 1, len(values)), bool)
    for first in range(0, len(values), _CHUNK):
        missing = np.isnan(values[first : first + _CHUNK])
        for k, columns in enumerate(column_sets):
            found[k, first : first + _CHUNK] = (missing & columns).any(axis=1)
        found[-1, first : first + _CHUNK] = missing.all(axis=1)
    return tuple(found)
