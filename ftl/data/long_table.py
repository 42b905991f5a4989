"""One table that holds the rows of all nodes, and a column that says whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet

from ftl.data.column_readers import natural, some
from ftl.data.table_files import (
    TableInMemory,
    TableReader,
    check_names,
    open_head,
    open_text,
    parse_csv,
    readable,
    suffix_of,
)
from ftl.errors import TelemetryError


class LongTable:
    """The nodes of a long table, read one at a time: never more than one node's rows are in memory.

    Of a parquet file the row groups without rows of the node are skipped; a csv file is read through for every node.

    Args:
        path: A parquet, csv or csv.gz file.
        column: The column that names the node of each row: text or whole numbers.

    Raises:
        TelemetryError: If the file cannot be read, or has no such column or no node in it.
    """

    def __init__(self, path: Path, column: str) -> None:
        self.path, self.column = path, column
        self._names = open_head(path, path.name).schema.names
        if column not in self._names:
            raise TelemetryError(f"{path.name}: no column {column!r} that names the node; columns: {some(self._names)}")
        self._rows: Counter[str] = Counter()
        self._written: dict[str, list[Any]] = {}  # a node's id as the file writes it: 2, '2' or ' 2'
        self.rows_without_node = 0
        with readable(path.name):
            for node, count in self._count():
                self._add(node, count)
        if not self._rows:
            raise TelemetryError(f"{path.name}: column {column!r} names no node in any row; fill it")

    def node_ids(self) -> list[str]:
        """The nodes that have rows, in natural order."""
        return sorted(self._rows, key=natural)

    def open(self, node_id: str, where: str) -> TableReader:
        """The rows of one node as a table of their own, without the column that names the node.

        Raises:
            TelemetryError: If the file is damaged.
        """
        written = self._written[node_id]
        if suffix_of(self.path) == ".parquet":
            return _ParquetRows(self.path, self.column, written, self._rows[node_id], where)
        with readable(where):
            mine = [batch.filter(pa.compute.is_in(batch[self.column], pa.array(written))) for batch in self._texts()]
            text = pa.BufferOutputStream()
            pa.csv.write_csv(pa.Table.from_batches(mine).drop_columns([self.column]), text)
            # Written out and parsed again, so that types are inferred from this node's rows, as from a file of its own.
            return TableInMemory(parse_csv(text.getvalue().to_pybytes(), where), where)

    def _count(self) -> Iterator[tuple[Any, int]]:
        if suffix_of(self.path) == ".parquet":
            file = pa.parquet.ParquetFile(self.path)
            batches = (batch[0] for batch in file.iter_batches(columns=[self.column]))
        else:
            batches = (batch[self.column] for batch in self._texts())
        for column in batches:
            for entry in column.value_counts():
                yield entry["values"].as_py(), entry["counts"].as_py()

    def _add(self, node: Any, count: int) -> None:
        if isinstance(node, float) and node.is_integer():
            name = str(int(node))
        elif isinstance(node, int | str) and not isinstance(node, bool):
            name = str(node).strip()
        elif node is None or node != node:
            name = ""
        else:
            raise TelemetryError(
                f"{self.path.name}: column {self.column!r} names a node {node!r}; bring text or whole numbers"
            )
        if not name:
            self.rows_without_node += count
            return
        self._rows[name] += count
        if node not in self._written.setdefault(name, []):
            self._written[name].append(node)

    def _texts(self) -> Iterator[pa.RecordBatch]:
        """All rows of a csv file, block by block, every cell as text."""
        as_text = pa.csv.ConvertOptions(column_types={name: pa.string() for name in self._names})
        blocks = pa.csv.ReadOptions(block_size=8 << 20)
        with open_text(self.path) as stream, pa.csv.open_csv(stream, blocks, convert_options=as_text) as reader:
            yield from reader


class _ParquetRows:
    """One node's rows of a long parquet file."""

    def __init__(self, path: Path, column: str, written: list[Any], n_rows: int, where: str) -> None:
        with readable(where):
            self._dataset = pa.dataset.dataset(path, format="parquet")
        schema = self._dataset.schema
        kind = schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        self._mine = pa.dataset.field(column).isin(pa.array(written, kind))
        self._where = where
        self.schema = pa.schema([field for field in schema if field.name != column])
        self.n_rows = n_rows
        check_names(schema.names, where)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns of the node's rows, in the order asked for."""
        with readable(self._where):
            scan = self._dataset.scanner(
                columns=list(columns), filter=self._mine, batch_readahead=2, fragment_readahead=1
            )
            return scan.to_table()
