"""Tables of studies of fleets (cold start, policies, methods, labels, drift) as they are read for recording.

A study leaves ``<study>.parquet`` (a row per node), ``<study>_summary.csv`` (means) and further ``<study>_*.csv`` in a
results folder, or in a folder of its own name below it. All is read as text: what is recorded shall be what is written.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ftl.errors import UserError
from ftl.studies.tables import SUMMARISED
from ftl.tracking.record_parts import csv_lines, csv_of

FLEET = ("dataset", "protocol")
_SUMMARY = "_summary.csv"
_TRUTH = {"True", "False"}

Row = dict[str, str]
"""Column -> cell of one row."""


@dataclass(frozen=True)
class StudyTables:
    """What a study of fleets has written.

    Attributes:
        name: Of the study, such as ``policies``.
        folder: Of the results.
        tables: What follows the study's name in a file's name (summary, differences, ...) -> its cells as text, empty
            where there is no value; the columns dataset and protocol are in the summary always.
        rows: A row per node and what was compared, as text.
    """

    name: str
    folder: Path
    tables: dict[str, pd.DataFrame]
    rows: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        return self.tables["summary"]

    @cached_property
    def numeric(self) -> frozenset[str]:
        """Columns of the summary that hold numbers."""
        return frozenset(str(c) for c in self.summary if c not in FLEET and all_numbers(self.summary[c]))

    @cached_property
    def key(self) -> list[str]:
        """Columns of the summary that tell its rows apart: all before the first metric, and every text after it."""
        columns = [str(name) for name in self.summary]
        first = next((n for n, c in enumerate(columns) if c in SUMMARISED and c in self.numeric), len(columns))
        words = {c for c in columns if c not in self.numeric}
        return [*FLEET, *(c for n, c in enumerate(columns) if c not in FLEET and (n < first or c in words))]

    def fleets(self) -> list[tuple[str, str]]:
        """(dataset, protocol) in the order of the summary."""
        return list(dict.fromkeys(zip(*(self.summary[name] for name in FLEET), strict=True)))


def read_studies(folder: Path) -> list[StudyTables]:
    """The studies whose tables lie in a results folder, by name; none is no error.

    Raises:
        UserError: If tables cannot be read, or do not say which fleet they are of.
    """
    found: dict[str, StudyTables] = {}
    for file in [*sorted(folder.glob(f"*{_SUMMARY}")), *sorted(folder.glob(f"*/*{_SUMMARY}"))]:
        name = file.name.removesuffix(_SUMMARY)
        own = file.parent in (folder, folder / name)
        if own and name not in found and (file.parent / f"{name}.parquet").is_file():
            found[name] = _read(name, file.parent, folder)
    return [found[name] for name in sorted(found)]


def require_columns(study: StudyTables, table: str, columns: Sequence[str]) -> pd.DataFrame:
    """One of the study's tables, which has these columns.

    Raises:
        UserError: If it has not, or is not there.
    """
    if table not in study.tables:
        raise UserError(f"{study.folder}: {study.name}_{table}.csv is missing beside {study.name}{_SUMMARY}; "
                        f"run the study again")  # fmt: skip
    missing = [name for name in columns if name not in study.tables[table]]
    if missing:
        raise UserError(f"{study.folder}: {study.name}_{table}.csv has no column {', '.join(missing)}; run it again")
    return study.tables[table]


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a table of texts, in their order."""
    return [{str(name): str(cell) for name, cell in row.items()} for row in table.to_dict("records")]


def grouped(table: pd.DataFrame, columns: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    """Values of these columns -> the table's rows that have them, both in order."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows_of(table):
        found.setdefault(tuple(row[name] for name in columns), []).append(row)
    return found


def parts(table: pd.DataFrame, columns: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Values of these columns -> the table's rows that have them, as csv."""
    header, lines = csv_lines(table)
    rows: dict[tuple[str, ...], list[str]] = {}
    for line, key in zip(lines, table[list(columns)].itertuples(index=False, name=None), strict=True):
        rows.setdefault(key, []).append(line)
    return {key: csv_of(header, of_key) for key, of_key in rows.items()}


def all_numbers(values: "pd.Series[str]") -> bool:
    """Does a column of texts hold numbers, and nothing else but empty cells? Truth is no number."""
    said = set(values) - {""}
    return bool(said) and not said & _TRUTH and all(_is_number(value) for value in said)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read(name: str, at: Path, folder: Path) -> StudyTables:
    tables = {}
    for file in sorted(at.glob(f"{name}_*.csv")):
        try:
            tables[file.stem.removeprefix(f"{name}_")] = _text(file)
        except (ValueError, OSError) as error:
            raise UserError(f"{file}: cannot be read ({error}); run the study again") from error
    rows_file = at / f"{name}.parquet"
    try:
        rows = _text(io.StringIO(pd.read_parquet(rows_file).to_csv(index=False)))
    except (ValueError, OSError) as error:
        raise UserError(f"{rows_file}: cannot be read ({error}); run the study again") from error
    summary = tables["summary"]
    missing = [column for column in FLEET if column not in summary]
    for place, column in enumerate(missing):
        summary.insert(place, column, _the_one(rows, column, rows_file))
    return StudyTables(name, folder, tables, rows)


def _text(source: Path | io.StringIO) -> pd.DataFrame:
    return pd.read_csv(source, dtype=object, keep_default_na=False)


def _the_one(rows: pd.DataFrame, column: str, file: Path) -> str:
    """The value that a column has in all rows."""
    values = sorted(set(rows[column])) if column in rows else []
    if len(values) != 1:
        raise UserError(
            f"{file}: the summary beside it has no column {column}, and these rows name {len(values)} of them "
            "instead of one; run the study again"
        )
    return str(values[0])
