"""From a raw node table to the rows that a model reads, as preparing a fleet makes them (ftl.data.prepare).

The same functions that prepare training rows read, fill and derive here, so that a raw table of a node gives the very
rows that the node had in its fleet. What scoring later rows needs of earlier ones is a :class:`Past`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ftl.data.cleaning import NOT_FILLED, Gaps
from ftl.data.fleet import Fleet
from ftl.data.node_block import raw_rows
from ftl.data.node_choice import FleetRules, NodeChoice
from ftl.data.node_table import NodeTable
from ftl.data.rebasing import Rebasing
from ftl.data.scaling import Scaling
from ftl.data.split import SplitSettings
from ftl.data.survey import NodeSurvey
from ftl.detection.newcomer import KnownRows
from ftl.errors import TelemetryError


@dataclass(frozen=True)
class RowRules:
    """What makes model rows of raw ones; the same for all nodes of a fleet.

    Attributes:
        features: That node tables hold, under the fleet's names, in the model's order.
        indicators: What follows them in the model's rows: a name, and the features that it looks at.
        counters: Features of which the increase per window is taken.
        missing: A key of MISSING_POLICIES.
        fill_limit: Windows over which a value is carried.
        window: Length of a window in units of time.
        time_unit: ``seconds`` or ``steps``.
        time_column: Of the tables that the model was trained on; None where these have the usual names.
        number_unit: What a time column of plain numbers counts, as fleet.yaml says it.
        rebase_window: How far the trailing median of re-based nodes looks back, in units of time; None without any.
    """

    features: tuple[str, ...]
    indicators: tuple[tuple[str, tuple[int, ...]], ...]
    counters: tuple[int, ...]
    missing: str
    fill_limit: int
    window: float
    time_unit: str
    time_column: str | None = None
    number_unit: str | None = None
    rebase_window: float | None = None

    @property
    def rebasing(self) -> Rebasing | None:
        """Of the nodes that are re-based; None where none is."""
        return None if self.rebase_window is None else Rebasing(self.rebase_window, len(self.features))

    @property
    def all_features(self) -> tuple[str, ...]:
        return (*self.features, *(name for name, _ in self.indicators))

    def of_fleet(self) -> FleetRules:
        """The rules by which fleets are prepared, as far as they make rows; what they say about a split is not used."""
        return FleetRules(
            split="given",
            how=SplitSettings(),
            alignment="intersection",
            missing=self.missing,
            window=self.window,
            fill_limit=self.fill_limit,
            min_train_rows=0,
            features=self.features,
            indicators=self.indicators,
            counters=self.counters,
        )


def keeps_rules(fleet: Fleet) -> bool:
    """Whether a fleet still knows how its rows were made; those of earlier versions do not."""
    return "indicators_look_at" in fleet.report and "window" in fleet.report


def rules_of(fleet: Fleet) -> RowRules:
    """How the rows of this fleet were made.

    Raises:
        TelemetryError: If an earlier version prepared it, which did not keep all of that.
    """
    report = fleet.report
    if not keeps_rules(fleet):
        raise TelemetryError(
            f"{fleet.name}: the fleet was prepared by an earlier version, which did not keep how raw rows are read; "
            "delete the prepared fleet and run again"
        )
    looks_at: dict[str, list[str]] = report["indicators_look_at"]
    features = fleet.features[: len(fleet.features) - len(looks_at)]
    place = {name: number for number, name in enumerate(features)}
    time = report.get("time") or {}
    return RowRules(
        features=features,
        indicators=tuple((name, tuple(place[feature] for feature in of)) for name, of in looks_at.items()),
        counters=tuple(place[name] for name in fleet.counters),
        missing=report["settings"]["missing"],
        fill_limit=report["settings"]["fill_limit"],
        window=float(report["window"]),
        time_unit=fleet.time_unit,
        time_column=time.get("column"),
        number_unit=time.get("unit"),
        rebase_window=fleet.rebase_window,
    )


def columns_of_node(fleet: Fleet, node_id: str, features: Sequence[str]) -> tuple[str | None, ...]:
    """Which column of the node's own table held each feature; None where it held none in training."""
    of_node: Mapping[str, Any] = fleet.report["nodes"][node_id]
    renamed, imputed = of_node.get("renamed", {}), {*of_node.get("imputed", [])}
    return tuple(None if name in imputed else renamed.get(name, name) for name in features)


@dataclass(frozen=True)
class RecentRows:
    """Complete rows of a node, filled, of counters the increase, in time order."""

    time: np.ndarray  # (W,) int64
    raw: np.ndarray  # (W, F) float32, in the units of the source

    def then(self, time: np.ndarray, raw: np.ndarray) -> RecentRows:
        return RecentRows(np.concatenate([self.time, time]), np.concatenate([self.raw, raw]))

    def after(self, time: float) -> RecentRows:
        """Those that are later, as a copy, so that the others are let go."""
        first = int(np.searchsorted(self.time, time, side="right"))
        return RecentRows(self.time[first:].copy(), self.raw[first:].copy())


@dataclass(frozen=True)
class Past:
    """The rows of a node that later ones need: each column's last value, each counter's last reading.

    Scoring a table in pieces, each with the past that the one before left, equals scoring it in one go.

    Attributes:
        time: Of these rows, ascending, shape (P,).
        values: In the node's own columns, NaN = missing, shape (P, C).
        last_time: Of the last row that was scored or could not be; later rows must follow it.
        smoothed: Time and smoothed score of the last row that has a score; None where there is none.
        recent: Times and smoothed scores, shape (W,) each, of the rows that later thresholds look back on; None where
            thresholds do not.
        window: Of a re-based node, the complete rows that the trailing median of later ones looks back to.
        newcomer: Of a node that is scored as one that has just joined, what its rows so far have told.
    """

    time: np.ndarray
    values: np.ndarray
    last_time: int
    smoothed: tuple[int, float] | None = None
    recent: tuple[np.ndarray, np.ndarray] | None = None
    window: RecentRows | None = None
    newcomer: KnownRows | None = None


@dataclass(frozen=True)
class ModelRows:
    """What a model reads of a node's table.

    Attributes:
        time: Of all rows of the table, ascending, shape (T,).
        complete: Rows that a model can read, bool, shape (T,); the others lack a value that nothing can fill.
        raw: The complete rows in the units of the source, shape (complete rows, F) float32.
        past: For the rows that follow.
        lacking: Per feature, how many of the other rows lack a value of it.
        before: Of a re-based node, the rows before these that its trailing median looks back to; None on other nodes.
    """

    time: np.ndarray
    complete: np.ndarray
    raw: np.ndarray
    past: Past | None
    treatments: dict[str, int] = field(default_factory=dict)
    lacking: dict[str, int] = field(default_factory=dict)
    before: RecentRows | None = None

    def before_scale(self, rules: RowRules, scaling: Scaling) -> np.ndarray:
        """The complete rows transformed, and re-based where the node is, shape (complete rows, F) float32."""
        if self.before is None or rules.rebasing is None:
            return scaling.transformed(self.raw)
        whole = self.before.then(self.time[self.complete], self.raw)
        return rules.rebasing(scaling.transformed(whole.raw), whole.time, len(self.before.time))


def model_rows(
    table: NodeTable,
    columns: Sequence[str | None],
    rules: RowRules,
    past: Past | None = None,
    is_rebased: bool = False,
) -> ModelRows:
    """Fill, derive and pick as preparing the fleet did.

    Args:
        table: The node's rows; its features are those of `columns` that are not None, in that order.
        columns: Per feature, the node's own column.
        rules: Of the fleet.
        past: What earlier rows of the node left.
        is_rebased: Whether the node is re-based: then the rows of its trailing window come along, and are kept.

    Raises:
        TelemetryError: If a row does not follow the past.
    """
    known = 0 if past is None else len(past.time)
    if past is not None:
        table = _after(past, table)
    survey = NodeSurvey.of(table)
    numbers = iter(range(len(table.features)))
    places = [None if column is None else next(numbers) for column in columns]
    fleet_rules = rules.of_fleet()
    gaps = survey.missing.gaps(places)
    filled = fleet_rules.policy.fill(gaps, table.time, fleet_rules.reach)
    left = gaps.after(filled)
    keep = left.complete_rows()
    choice = NodeChoice(places, gaps, filled, keep, np.zeros(int(keep.sum()), np.int8))
    raw = raw_rows(survey, choice, fleet_rules, table.values)
    before = int(keep[:known].sum())
    treatments = dict(Counter(table.treatments))
    if n_filled := _filled_cells(gaps, filled, keep, known):
        treatments["missing values filled"] = n_filled
    n_lacking = left.missing[left.rows >= known].sum(axis=0)
    lacking = {name: int(n) for name, n in zip(rules.features, n_lacking, strict=True) if n}
    rows = ModelRows(
        table.time[known:], keep[known:], raw[before:], _past(table, choice, rules, past), treatments, lacking
    )
    return _with_window(rows, past, rules.rebase_window) if is_rebased and rules.rebase_window is not None else rows


def _with_window(rows: ModelRows, past: Past | None, window: float) -> ModelRows:
    """The rows of a re-based node with those that its trailing median needs, now and later."""
    before = past.window if past is not None else None
    before = before or RecentRows(np.zeros(0, np.int64), np.zeros((0, rows.raw.shape[1]), np.float32))
    later = rows.past
    if later is not None:
        recent = before.then(rows.time[rows.complete], rows.raw)
        later = replace(later, window=recent.after(later.last_time - window))
    treatments = {**rows.treatments, "rows read as the distance to their trailing median": len(rows.raw)}
    return replace(rows, past=later, before=before, treatments=treatments)


def _after(past: Past, table: NodeTable) -> NodeTable:
    if len(table.time) and table.time[0] <= past.last_time:
        raise TelemetryError(
            f"node {table.node_id}: a row of time {table.time[0]} does not follow the rows scored before, the last of "
            f"which has {past.last_time}; give rows in time order, each once"
        )
    return NodeTable(
        table.node_id,
        np.concatenate([past.time, table.time]),
        np.concatenate([past.values, table.values]),
        table.features,
        np.concatenate([np.full(len(past.time), -1, np.int8), table.label]),
        None,
        table.treatments,
    )


def _filled_cells(gaps: Gaps, filled: np.ndarray, keep: np.ndarray, known: int) -> int:
    asked = keep[gaps.rows] & (gaps.rows >= known)
    return int((gaps.missing & (filled != NOT_FILLED))[asked].sum())


def _past(table: NodeTable, choice: NodeChoice, rules: RowRules, past: Past | None) -> Past | None:
    """Rows that hold the last value of a column, or the last reading of a counter with all that filled its row.

    A row in which a counter was read counts as a reading only if it was kept, and with these rows it will be again.
    """
    if not len(table.time):
        return past
    read = ~np.isnan(table.values)
    wanted = {_last(column) for column in read.T}
    for feature in rules.counters:
        column = choice.columns[feature]
        if column is None:
            continue
        reading = _last(read[:, column] & choice.keep)
        wanted.add(reading)
        wanted.update(choice.filled[choice.gaps.rows == reading].ravel().tolist())
    rows = np.array(sorted(row for row in wanted if row >= 0), np.int64)
    smoothed, recent, newcomer = (None, None, None) if past is None else (past.smoothed, past.recent, past.newcomer)
    return Past(table.time[rows], table.values[rows], int(table.time[-1]), smoothed, recent=recent, newcomer=newcomer)


def _last(holds: np.ndarray) -> int:
    """The last row for which this holds, -1 where there is none."""
    rows = np.flatnonzero(holds)
    return int(rows[-1]) if len(rows) else -1
