"""A node's table as its operator has it, read as preparing a fleet reads it: columns in any order, others beside."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from ftl.data.column_readers import Advice, could_be_label_or_index, some, time_unit_of
from ftl.data.node_reading import UNLIKE, Roles, read_node_table
from ftl.data.node_table import NodeTable
from ftl.data.table_files import TableInMemory, TableReader
from ftl.detection.raw_rows import RowRules
from ftl.errors import TelemetryError

USUAL_TIME_COLUMNS = ("timestamp", "step", "time")
SEVERAL_NODES, FEW_ROWS = 0.4, 20
"""A table is of several nodes where so large a share of its rows, of so many at least, repeat a time otherwise."""
ADVICE = Advice(
    time="give dates (ISO text or datetimes), or name the time column",
    label="leave the column out",
    feature="give numbers",
)


def read_raw_table(
    table: pd.DataFrame | TableReader,
    node_id: str,
    columns: Sequence[str | None],
    rules: RowRules,
    time_column: str | None = None,
) -> NodeTable:
    """Read the columns that a model needs, in its order and in time order; what else is in the table is counted.

    Args:
        table: The rows of one node, or an open file of them.
        node_id: The node.
        columns: Per feature, the node's own column; None for one that it lacked in training.
        rules: Of the fleet that the model was trained on.
        time_column: Where it is not the one of that fleet, nor ``timestamp``, ``step`` or ``time``.

    Raises:
        TelemetryError: If a column is missing or cannot be read; the message names it.
    """
    where = f"node {node_id}"
    wanted = tuple(column for column in columns if column is not None)
    names = list(table.columns.map(str)) if isinstance(table, pd.DataFrame) else table.schema.names
    missing = [column for column in wanted if column not in names]
    if missing:
        raise TelemetryError(
            f"{where}: {len(missing)} of the {len(wanted)} feature columns that the model was trained on are missing, "
            f"first {some(missing, 3)}; the table has {some(names) or 'none'}: give the columns under these names, in "
            "any order, empty where a sensor gave nothing"
        )
    time = _time_column(names, rules, time_column, where)
    others = [name for name in names if name != time and name not in wanted and not could_be_label_or_index(name)]
    treatments = {"columns that the model does not know left out": len(others)} if others else {}
    reader = _as_reader(table, [time, *wanted], where) if isinstance(table, pd.DataFrame) else table
    unit = time_unit_of(reader.schema.field(time).type, rules.number_unit)
    if unit != rules.time_unit and not pa.types.is_null(reader.schema.field(time).type):
        raise TelemetryError(
            f"{where}: time column {time!r} counts {unit}, the model was trained on {rules.time_unit}; {ADVICE.time}"
        )
    roles = Roles(time=time, features=wanted, advice=ADVICE, time_unit=rules.number_unit, treatments=treatments)
    read = read_node_table(node_id, reader, roles, where)
    unlike = read.treatments.get(UNLIKE, 0)
    if reader.n_rows >= FEW_ROWS and unlike > SEVERAL_NODES * reader.n_rows:
        raise TelemetryError(
            f"{where}: {unlike:,} of {reader.n_rows:,} rows have the time of another row and other values: are they of "
            "several nodes? Name each row's node in a column 'node', or give one table per node"
        )
    return read


def _time_column(names: Sequence[str], rules: RowRules, asked: str | None, where: str) -> str:
    candidates = [asked] if asked else [name for name in (rules.time_column, *USUAL_TIME_COLUMNS) if name]
    for name in candidates:
        if name in names and name not in rules.features:
            return name
    raise TelemetryError(
        f"{where}: no time column {' or '.join(map(repr, candidates))} among {some(names)}; rename it, or name it "
        "(`ftl score --time`, in Python time_column)"
    )


def _as_reader(frame: pd.DataFrame, wanted: Sequence[str], where: str) -> TableReader:
    """These columns of a frame as an arrow table, column by column, so that a message can name the one that is odd."""
    names = list(frame.columns.map(str))
    columns = {}
    for name in wanted:
        if names.count(name) > 1:
            raise TelemetryError(f"{where}: column {name!r} occurs more than once; rename or remove one")
        series = frame.iloc[:, names.index(name)]
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            series = series.dt.tz_convert(None)  # pyarrow warns of the other form; times without a zone are read as UTC
        try:
            columns[name] = pa.chunked_array([pa.array(series, from_pandas=True)])
        except pa.ArrowException as error:
            raise TelemetryError(
                f"{where}: column {name!r} holds values of several kinds ({str(error).splitlines()[0]}); "
                f"{ADVICE.feature}"
            ) from error
    return TableInMemory(pa.table(columns), where)
