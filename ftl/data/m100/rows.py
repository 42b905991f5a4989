"""Rows of a part, batch by batch: which bin of a month each row belongs to, and what had to be left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ftl.data.m100.layout import Part, open_part
from ftl.errors import TelemetryError

BATCH_ROWS = 1 << 17  # its arrays stay in the cache of a core
OTHER_NODE, NO_NODE = -1, -2
OUTSIDE = "rows outside their month left out"


@dataclass(frozen=True)
class Grid:
    """The bins of one month: chosen nodes x windows; times in milliseconds since 1970."""

    nodes: tuple[int, ...]  # the node of each row, ascending
    start: int  # of the first window
    window: int  # length of a window
    n_windows: int


@dataclass
class Tally:
    """What was left out or mended, by node where the node is known."""

    n_nodes: int
    by_node: dict[str, np.ndarray] = field(default_factory=dict)  # treatment -> (n_nodes,) int64
    by_file: Counter[str] = field(default_factory=Counter)
    other_nodes: set[int] = field(default_factory=set)  # node ids that were met and not chosen

    def count(self, treatment: str, rows: np.ndarray) -> None:
        """Count one for every node row in `rows`, int64."""
        if len(rows):
            counts = np.bincount(rows, minlength=self.n_nodes)
            self.by_node[treatment] = self.by_node.get(treatment, 0) + counts


@dataclass(frozen=True)
class Batch:
    """Some rows of a part; N in all."""

    bins: np.ndarray  # (N,) int64: node row * n_windows + window; negative where the row has no bin
    time: np.ndarray  # (N,) int64, milliseconds since 1970
    columns: dict[str, pa.Array]  # the other columns, each of N rows


def read_rows(part: Part, grid: Grid, columns: Sequence[str], tally: Tally) -> Iterator[Batch]:
    """Read a part in batches of bounded size; no order of rows is expected.

    Args:
        part: The parquet file.
        grid: The bins of its month.
        columns: Columns to read besides timestamp and node.
        tally: Takes what had to be left out.

    Raises:
        TelemetryError: If the part is damaged, or lacks a column or has one of another kind.
    """
    node_rows = _NodeRows(grid.nodes)
    with open_part(part) as file:
        _check_columns(file.schema_arrow, columns, part)
        names = ["timestamp", "node", *columns]
        for batch in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
            row = node_rows.of(batch.column("node"), tally)
            time = _milliseconds(batch.column("timestamp"))
            window = (time - grid.start) // grid.window
            bins = row * grid.n_windows + window
            if len(row) and row.min() < 0:
                bins[row < 0] = -1
            if len(row) and (window.min() < 0 or window.max() >= grid.n_windows):
                outside = (window < 0) | (window >= grid.n_windows)
                bins[outside] = -1
                untimed = batch.column("timestamp").is_null().to_numpy(zero_copy_only=False)
                tally.by_file["rows without a time left out"] += int(untimed.sum())
                tally.count(OUTSIDE, row[outside & ~untimed & (row >= 0)])
            yield Batch(bins, time, {name: batch.column(name) for name in columns})


class _NodeRows:
    """Rows of the node axis from a column of node ids; a dictionary is looked at once, not row by row."""

    def __init__(self, nodes: Sequence[int]) -> None:
        self._row = {node: row for row, node in enumerate(nodes)}
        self._known: pa.Array | None = None
        self._rows = np.empty(0, np.int64)

    def of(self, column: pa.Array, tally: Tally) -> np.ndarray:
        """Rows, (N,) int64; OTHER_NODE for a node that was not chosen, NO_NODE where there is no node number."""
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if self._known is None or not encoded.dictionary.equals(self._known):
            self._known = encoded.dictionary
            self._rows = np.array(
                [*(self._look_up(text, tally) for text in self._known.to_pylist()), NO_NODE], np.int64
            )
        codes = encoded.indices
        if codes.null_count:
            codes = codes.cast(pa.int64()).fill_null(len(self._rows) - 1)
        rows: np.ndarray = self._rows[codes.to_numpy()]
        if self._rows[:-1].min(initial=0) == NO_NODE or encoded.null_count:
            tally.by_file["rows without a node number left out"] += int((rows == NO_NODE).sum())
        return rows

    def _look_up(self, text: object, tally: Tally) -> int:
        number = str(text).strip()
        if not (number.isascii() and number.isdecimal()):
            return NO_NODE
        if int(number) not in self._row:
            tally.other_nodes.add(int(number))
        return self._row.get(int(number), OTHER_NODE)


def _check_columns(schema: pa.Schema, columns: Sequence[str], part: Part) -> None:
    wanted = ("timestamp", "node", *columns)
    missing = [name for name in wanted if schema.get_field_index(name) < 0]
    if missing:
        raise TelemetryError(
            f"{part}: no column {' or '.join(map(repr, missing))} among {', '.join(schema.names)}; "
            f"the raw release has {', '.join(wanted)} here: is this another export?"
        )
    time, node = schema.field("timestamp").type, schema.field("node").type
    if not pa.types.is_timestamp(time):
        raise TelemetryError(f"{part}: column 'timestamp' holds {time}; it must hold timestamps in UTC")
    plain = node.value_type if pa.types.is_dictionary(node) else node
    if not (pa.types.is_integer(plain) or is_text(plain)):
        raise TelemetryError(f"{part}: column 'node' holds {plain}; it must hold whole numbers, as text or as integers")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _milliseconds(column: pa.Array) -> np.ndarray:
    """Milliseconds since 1970, int64; the earliest time there is where a time is missing."""
    whole = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64())
    return (whole.fill_null(np.iinfo(np.int64).min // 2) if whole.null_count else whole).to_numpy()
