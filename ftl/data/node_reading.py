"""One node's table out of an open file, given which of its columns is what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ftl.data.column_readers import (
    Advice,
    could_be_label_or_index,
    read_labels,
    read_numbers,
    read_split,
    read_time,
    rows_in_time_order,
    some,
    time_unit_of,
)
from ftl.data.node_table import ANOMALOUS, UNKNOWN, NodeTable
from ftl.data.table_files import TableReader
from ftl.errors import TelemetryError

COLUMNS_AT_ONCE = 16
UNLIKE = "dropped duplicates that differ from the row kept, the first of their time"
ANOMALOUS_DROPPED = "dropped duplicates labelled anomalous"


@dataclass(frozen=True)
class Roles:
    """Which column of a table is what, and how its time and label are to be read."""

    time: str
    features: tuple[str, ...]
    advice: Advice
    time_unit: str | None = None
    label: str | None = None
    label_codes: Mapping[float | str, int] = field(default_factory=dict)
    split: str | None = None
    treatments: Mapping[str, int] = field(default_factory=dict)  # of the columns that are left out


def choose_features(
    names: Sequence[str], taken: Collection[str | None], ignore: Collection[str], ignore_in: str, where: str
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The columns that are features, and a count for each of the others: ignored, or possibly a label.

    Args:
        names: All columns of the table.
        taken: Those that serve as time, label or split.
        ignore: Those that the user wants ignored.
        ignore_in: Where the user said so.
        where: File and node, which begin every message.

    Raises:
        TelemetryError: If no feature is left.
    """
    features, treatments = [], {}
    for name in names:
        if name in taken:
            continue
        if name in ignore:
            treatments[f"column {name!r} ignored as {ignore_in} says"] = 1
        elif could_be_label_or_index(name):
            treatments[f"column {name!r} ignored: it could be a label, a time or an index"] = 1
        else:
            features.append(name)
    if not features:
        raise TelemetryError(f"{where}: no numeric feature column among {some(names)}; a node needs at least one")
    return tuple(features), treatments


def node_without_rows(node_id: str, treatments: Mapping[str, int] | None = None) -> NodeTable:
    """The table of a node whose file holds no rows; preparing a fleet leaves it out and says so."""
    no_label = np.empty(0, np.int8)
    no_values = np.empty((0, 0), np.float32)
    return NodeTable(node_id, np.empty(0, np.int64), no_values, (), no_label, None, dict(treatments or {}))


def read_node_table(node_id: str, table: TableReader, roles: Roles, where: str) -> NodeTable:
    """Read one node, sorted by time, each time step once.

    Args:
        node_id: The node.
        table: Its open table.
        roles: Which column is what.
        where: File and node, which begin every message.

    Raises:
        TelemetryError: If a column cannot be used; the message names it.
    """
    treatments = Counter(roles.treatments)
    time, has_time = read_time(_column(table, roles.time), roles.time, roles.time_unit, where, roles.advice)
    label = np.full(table.n_rows, UNKNOWN, np.int8)
    if roles.label is not None:
        label = read_labels(_column(table, roles.label), roles.label, roles.label_codes, where, roles.advice)
    split = None
    if roles.split is not None:
        split = read_split(_column(table, roles.split), roles.split, where, roles.advice)
    values = _read_values(table, roles, treatments, where)
    unit = time_unit_of(table.schema.field(roles.time).type, roles.time_unit)
    rows = rows_in_time_order(time, has_time, unit, treatments)
    _look_at_duplicates(rows, time, has_time, values, label, treatments)
    if not np.array_equal(rows, np.arange(table.n_rows)):
        time, values, label = time[rows], values[rows], label[rows]
        split = None if split is None else split[rows]
    return NodeTable(node_id, time, values, roles.features, label, split, dict(treatments))


def _look_at_duplicates(
    kept: np.ndarray,
    time: np.ndarray,
    has_time: np.ndarray,
    values: np.ndarray,
    label: np.ndarray,
    treatments: Counter[str],
) -> None:
    """Count the dropped rows that are no mere repetitions of the row of that time that is kept, the first."""
    dropped = np.setdiff1d(np.flatnonzero(has_time), kept)
    if not len(dropped):
        return
    first = kept[np.searchsorted(time[kept], time[dropped])]
    unlike = label[dropped] != label[first]
    for start in range(0, values.shape[1], COLUMNS_AT_ONCE):
        some_columns = slice(start, start + COLUMNS_AT_ONCE)
        one, other = values[dropped, some_columns], values[first, some_columns]
        unlike |= ((one != other) & ~(np.isnan(one) & np.isnan(other))).any(axis=1)
    counts = {UNLIKE: int(unlike.sum()), ANOMALOUS_DROPPED: int((label[dropped] == ANOMALOUS).sum())}
    treatments.update({treatment: count for treatment, count in counts.items() if count})


def _read_values(table: TableReader, roles: Roles, treatments: Counter[str], where: str) -> np.ndarray:
    """All features as float32, shape (T, F); some columns at a time, so that no second copy of the table is made."""
    values = np.empty((table.n_rows, len(roles.features)), np.float32)
    for first in range(0, len(roles.features), COLUMNS_AT_ONCE):
        names = roles.features[first : first + COLUMNS_AT_ONCE]
        columns = table.read(names)
        numbers = [read_numbers(columns[name], name, treatments, where, roles.advice) for name in names]
        values[:, first : first + len(names)] = np.stack(numbers, axis=1)
    return values


def _column(table: TableReader, name: str) -> pa.ChunkedArray:
    return table.read([name])[name]
