"""Files that hold a table: parquet, csv, csv.gz. What cannot be read is said in one sentence that names the file."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ftl.errors import TelemetryError

TABLE_SUFFIXES = (".parquet", ".csv.gz", ".csv")
HEAD_BYTES = 1 << 20
EMPTY_IS_MISSING = pa.csv.ConvertOptions(strings_can_be_null=True)


class TableReader(Protocol):
    """An open table, of which some columns can be read without the others."""

    schema: pa.Schema
    n_rows: int

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all rows, in the order asked for."""


class ParquetTable:
    """A parquet file, or the bytes of one; only what is asked for is read."""

    def __init__(self, content: Path | bytes, where: str) -> None:
        self._where = where
        with readable(where):
            file = pa.BufferReader(content) if isinstance(content, bytes) else content
            self._file = pa.parquet.ParquetFile(file, page_checksum_verification=True)
            self.schema = self._file.schema_arrow
        self.n_rows: int = self._file.metadata.num_rows
        check_names(self.schema.names, where)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all rows, in the order asked for."""
        with readable(self._where):
            return self._file.read(columns=list(columns)).select(list(columns))


class TableInMemory:
    """A table that had to be read whole, as a csv file must be: its column types follow from all of its rows."""

    def __init__(self, table: pa.Table, where: str) -> None:
        self._table = table
        self.schema = table.schema
        self.n_rows: int = table.num_rows
        check_names(self.schema.names, where)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all rows, in the order asked for."""
        return self._table.select(list(columns))


def suffix_of(path: Path) -> str | None:
    """The suffix by which a file is known to be a table, None for other files."""
    return next((suffix for suffix in TABLE_SUFFIXES if path.name.lower().endswith(suffix)), None)


def open_table(path: Path, where: str) -> TableReader:
    """Open a table; an empty csv file is a table without columns.

    Args:
        path: A file whose name ends in one of TABLE_SUFFIXES.
        where: File and node, which begin every message.

    Raises:
        TelemetryError: If the file is damaged, or a column occurs twice.
    """
    if suffix_of(path) == ".parquet":
        return ParquetTable(path, where)
    with readable(where), open_text(path) as stream:
        return TableInMemory(parse_csv(stream.read(), where), where)


def open_head(path: Path, where: str) -> TableReader:
    """Open the first rows of a csv file, or a parquet file as :func:`open_table` does.

    Raises:
        TelemetryError: As in :func:`open_table`.
    """
    if suffix_of(path) == ".parquet":
        return ParquetTable(path, where)
    with readable(where), open_text(path) as stream:
        head = stream.read(HEAD_BYTES)
        if len(head) == HEAD_BYTES:
            head = head[: head.rfind(b"\n") + 1] or head + stream.read()  # a first row longer than that: the whole file
        return TableInMemory(parse_csv(head, where), where)


def open_text(path: Path) -> IO[bytes]:
    """The bytes of a csv file, unpacked if it is a csv.gz file."""
    return cast("IO[bytes]", gzip.open(path)) if suffix_of(path) == ".csv.gz" else path.open("rb")


def parse_csv(content: bytes, where: str) -> pa.Table:
    """The table that a csv file holds; empty cells are missing.

    Raises:
        TelemetryError: If it is not UTF-8 or its columns are not parted by commas.
    """
    check_csv_head(content[:HEAD_BYTES], where)
    if not content.strip():
        return pa.table({})
    # One block: the types of csv columns are inferred from the first block alone.
    # One thread: a process that ends right after, as on an error, can abort while Arrow still starts its threads.
    one_block = pa.csv.ReadOptions(block_size=len(content) + 1, use_threads=False)
    return pa.csv.read_csv(pa.BufferReader(content), read_options=one_block, convert_options=EMPTY_IS_MISSING)


def check_csv_head(head: bytes, where: str) -> None:
    """Refuse text that a csv reader would take for a table of one odd column.

    Raises:
        TelemetryError: Naming what was found instead of commas or of UTF-8.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TelemetryError(f"{where}: is UTF-16 text; save it as UTF-8")
    header = head.split(b"\n", 1)[0]
    for separator, name in ((b";", "semicolons"), (b"\t", "tabs"), (b"|", "bars")):
        if separator in header and b"," not in header:
            raise TelemetryError(
                f"{where}: its columns are separated by {name}; write it with commas between columns, "
                "and a point in decimal numbers"
            )


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse a table in which a column name stands twice.

    Raises:
        TelemetryError: Naming the first such column.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TelemetryError(f"{where}: column {twice[0]!r} occurs more than once; rename or remove one")


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what a damaged file raises into a message that names it.

    Raises:
        TelemetryError: In place of the errors of pyarrow, gzip and the file system.
    """
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        mend = "the file is damaged or cut short: copy it again or remove it"
        if isinstance(error, PermissionError | FileNotFoundError):
            mend = "see that it is there and that you may read it"
        if isinstance(error, UnicodeDecodeError):
            mend = "save it as UTF-8"
        raise TelemetryError(f"{where}: cannot be read ({first_line(error)}); {mend}") from error


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
