"""A fleet as its owner keeps it: a folder with one table per node, and an optional fleet.yaml that describes it."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import yaml

from ftl.data.node_table import ANOMALOUS, NORMAL, SPLIT_TEST, SPLIT_TRAIN, UNKNOWN, NodeTable
from ftl.errors import ConfigError, TelemetryError

TABLE_SUFFIXES = (".parquet", ".csv.gz", ".csv")
DESCRIPTION_FILE = "fleet.yaml"
LABEL_LIKE = ("value", "New_label", "new_label", "label", "state", "nagiosdrained", "split")
INDEX_LIKE = ("node", "rack_id", "__index_level_0__", "timestamp", "step")
NEVER_FEATURES = frozenset(LABEL_LIKE + INDEX_LIKE)
TIME_UNITS = ("seconds", "milliseconds", "steps")
SPLIT_CODES: dict[float | str, int] = {"train": SPLIT_TRAIN, "test": SPLIT_TEST}


@dataclass(frozen=True)
class FleetDescription:
    """What fleet.yaml says; every key is optional, and the names are the file's."""

    name: str | None = None
    origin: str = "real"
    time: str | None = None
    time_unit: str | None = None
    label: str | None = None
    label_codes: Mapping[float | str, int] = field(default_factory=lambda: {0.0: NORMAL, 1.0: ANOMALOUS})
    split: str | None = None
    ignore: frozenset[str] = frozenset()
    window_minutes: float | None = None
    racks: Mapping[str, str] = field(default_factory=dict)


class FleetFolder:
    """The source ``node_tables``: one parquet, csv or csv.gz file per node; the node id is the file name's stem.

    Columns of a table: the time (``timestamp`` in UTC as date or ISO text, cut to whole seconds, or an integer
    ``step``), numeric features, optionally ``label`` (0 normal, 1 anomalous, empty unknown) and ``split`` (train or
    test). What differs from that is said in ``fleet.yaml``, every key of which is optional::

        name: rack-4                  # default: the folder's name
        origin: real                  # or simulated
        time: window_start            # the time column
        time_unit: seconds            # of an integer time column: seconds (since 1970), milliseconds or steps
        label: {column: value, normal: [0], anomalous: [2], unknown: [3]}      # or only the column's name
        split: part                   # the column that holds train and test
        ignore: [hostname, comment]   # columns that are no features
        window_minutes: 15            # length of one telemetry window
        racks: {node-1: r205}         # rack of a node

    Repairs made on reading are counted in ``NodeTable.treatments``; files that are no tables are named in ``notes``.

    Raises:
        TelemetryError: If the folder or a table in it cannot be used; the message names file, node and column.
        ConfigError: If fleet.yaml is wrong.
    """

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = Path(path)
        self._files, others = _tables_in(self.path)
        self.description = read_description(self.path / DESCRIPTION_FILE)
        self.name = name or self.description.name or self.path.resolve().name
        self.origin = self.description.origin
        self.time_unit = self._find_time_unit()
        self.notes: tuple[str, ...] = (f"files that are no node tables: {', '.join(others)}",) if others else ()

    def node_ids(self) -> list[str]:
        """Node ids in natural order (omi-2 before omi-10)."""
        return list(self._files)

    def rack_of(self, node_id: str) -> str | None:
        """The rack that fleet.yaml gives."""
        return self.description.racks.get(node_id)

    def window_seconds(self) -> float | None:
        """The window length that fleet.yaml gives."""
        return self.description.window_minutes * 60.0 if self.description.window_minutes is not None else None

    def fingerprint(self) -> str:
        """SHA-256 over names and bytes of all tables and of fleet.yaml."""
        digest = hashlib.sha256()
        description = self.path / DESCRIPTION_FILE
        for path in [*self._files.values(), *([description] if description.is_file() else [])]:
            with path.open("rb") as stream:
                digest.update(f"{path.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()

    def read_node(self, node_id: str) -> NodeTable:
        """Read one table, sorted by time, each time step once; a table without rows gives a node without rows."""
        path = self._files[node_id]
        where = f"{path.name}: node {node_id}"
        table = _read_table(path, where)
        if table.num_rows == 0:
            empty = np.empty(0, np.int8)
            return NodeTable(node_id, np.empty(0, np.int64), np.empty((0, 0), np.float32), (), empty, None, {})
        treatments: Counter[str] = Counter()
        time_column = self._time_column(table, where)
        time, has_time = _read_time(table[time_column], time_column, self.description.time_unit, where)
        unit = _time_unit(table[time_column], self.description.time_unit)
        if unit != self.time_unit:
            raise TelemetryError(
                f"{where}: time column {time_column!r} counts {unit}, in the first node {self.time_unit}; "
                "all nodes need the same kind of time column"
            )
        label_column = self._optional_column(table, self.description.label, "label", where)
        split_column = self._optional_column(table, self.description.split, "split", where)
        label = np.full(table.num_rows, UNKNOWN, np.int8)
        if label_column is not None:
            label = _read_labels(table[label_column], label_column, self.description.label_codes, where)
        split = None if split_column is None else _read_split(table[split_column], split_column, where)
        features, values = self._read_features(table, {time_column, label_column, split_column}, treatments, where)
        rows = _rows_in_time_order(time, has_time, treatments)
        return NodeTable(
            node_id=node_id,
            time=time[rows],
            values=values[rows],
            features=features,
            label=label[rows],
            split=None if split is None else split[rows],
            treatments=dict(treatments),
        )

    def _find_time_unit(self) -> str:
        for node_id, path in self._files.items():
            where = f"{path.name}: node {node_id}"
            table = _read_table(path, where)
            if table.num_rows:
                column = self._time_column(table, where)
                _read_time(table[column].slice(0, 1), column, self.description.time_unit, where)
                return _time_unit(table[column], self.description.time_unit)
        raise TelemetryError(f"{self.path}: none of the {len(self._files)} node tables has a row; fill them")

    def _time_column(self, table: pa.Table, where: str) -> str:
        candidates = [self.description.time] if self.description.time else ["timestamp", "step"]
        for column in candidates:
            if column in table.column_names:
                return column
        raise TelemetryError(
            f"{where}: no time column {' or '.join(map(repr, candidates))} among {_some(table.column_names)}; "
            f"rename one, or name it under 'time' in {DESCRIPTION_FILE}"
        )

    def _optional_column(self, table: pa.Table, declared: str | None, usual: str, where: str) -> str | None:
        if declared is not None and declared not in table.column_names:
            raise TelemetryError(
                f"{where}: no column {declared!r}, which {DESCRIPTION_FILE} names under {usual!r}; "
                f"columns: {_some(table.column_names)}"
            )
        usable = usual in table.column_names and usual not in self.description.ignore
        return declared or (usual if usable else None)

    def _read_features(
        self, table: pa.Table, taken: set[str | None], treatments: Counter[str], where: str
    ) -> tuple[tuple[str, ...], np.ndarray]:
        features, columns = [], []
        for name in table.column_names:
            if name in taken:
                continue
            if name in self.description.ignore:
                treatments[f"column {name!r} ignored as {DESCRIPTION_FILE} says"] += 1
            elif name in NEVER_FEATURES or re.fullmatch(r"(Unnamed: \d+)?", name):
                treatments[f"column {name!r} ignored: it could be a label, a time or an index"] += 1
            else:
                columns.append(_read_numbers(table[name], name, treatments, where))
                features.append(name)
        if not features:
            raise TelemetryError(
                f"{where}: no numeric feature column among {_some(table.column_names)}; a node needs at least one"
            )
        return tuple(features), np.stack(columns, axis=1)


def read_description(path: Path) -> FleetDescription:
    """Read fleet.yaml; a folder without one has the default description."""
    if not path.exists():
        return FleetDescription()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not valid YAML ({_first_line(error)})") from error
    known = [key for key in FleetDescription.__dataclass_fields__ if key != "label_codes"]
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name}: must be a mapping with keys out of {', '.join(known)}")
    for key in content:
        if key not in known:
            raise ConfigError(f"{path.name}: unknown key {key!r}; known: {', '.join(known)}")
    content = {key: value for key, value in content.items() if value is not None}

    def expect(key: str, holds: bool, what: str) -> None:
        if key in content and not holds:
            raise ConfigError(f"{path.name}: {key}: must be {what}; got {content[key]!r}")

    for key in ("name", "time", "split"):
        expect(key, isinstance(content.get(key), str), "a text")
    expect("origin", content.get("origin") in ("real", "simulated"), "real or simulated")
    expect("time_unit", content.get("time_unit") in TIME_UNITS, f"one of {', '.join(TIME_UNITS)}")
    minutes = content.get("window_minutes")
    expect("window_minutes", isinstance(minutes, int | float) and minutes > 0, "a positive number")
    expect("ignore", isinstance(content.get("ignore"), list), "a list of column names")
    expect("racks", isinstance(content.get("racks"), dict), "a mapping from node to rack")
    content["ignore"] = frozenset(map(str, content.get("ignore", [])))
    content["racks"] = {str(node): str(rack) for node, rack in content.get("racks", {}).items()}
    return FleetDescription(**{**content, **_read_label_description(content.get("label"), path.name)})


def _read_label_description(label: Any, file: str) -> dict[str, Any]:
    if label is None:
        return {}
    if isinstance(label, str):
        return {"label": label}
    keys = {"normal": NORMAL, "anomalous": ANOMALOUS, "unknown": UNKNOWN}
    if not isinstance(label, dict) or "column" not in label or not set(label) <= {"column", *keys}:
        known = "{column, normal, anomalous, unknown}"
        raise ConfigError(f"{file}: label: must be a column name or {known}; got {label!r}")
    values = {"normal": [0], "anomalous": [1]} | {key: label[key] for key in keys if key in label}
    codes: dict[float | str, int] = {}
    for key, group in values.items():
        for value in group if isinstance(group, list) else [group]:
            if codes.setdefault(_value_key(value), keys[key]) != keys[key]:
                raise ConfigError(f"{file}: label: the value {value!r} stands under {key} and under another key")
    return {"label": str(label["column"]), "label_codes": codes}


def _tables_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Node tables by node id in natural order, and the names of everything else in the folder."""
    if not folder.exists():
        raise TelemetryError(f"{folder}: no such folder; give the folder that holds one table per node")
    if not folder.is_dir():
        raise TelemetryError(f"{folder}: is a file; give the folder that holds one table per node")
    tables: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir(), key=lambda path: _natural(path.name)):
        suffix = next((suffix for suffix in TABLE_SUFFIXES if path.name.lower().endswith(suffix)), None)
        if suffix is None or not path.is_file() or path.name.startswith("."):
            others += [] if path.name == DESCRIPTION_FILE else [path.name]
            continue
        node_id = path.name[: -len(suffix)]
        if node_id in tables:
            both = f"{tables[node_id].name} and {path.name}"
            raise TelemetryError(f"{folder}: two tables of node {node_id}: {both}; keep one")
        tables[node_id] = path
    if not tables:
        found = f"only {_some(others)}" if others else "nothing"
        kinds = ", ".join(TABLE_SUFFIXES)
        raise TelemetryError(f"{folder}: no node table ({kinds}), {found} in it; one file per node is needed")
    return dict(sorted(tables.items(), key=lambda item: _natural(item[0]))), others


def _read_table(path: Path, where: str) -> pa.Table:
    try:
        if path.name.lower().endswith(".parquet"):
            table = pa.parquet.ParquetFile(path).read()
        else:
            content = path.read_bytes()
            content = gzip.decompress(content) if path.name.lower().endswith(".gz") else content
            # One block: the types of csv columns are inferred from the first block alone.
            one_block = pa.csv.ReadOptions(block_size=len(content) + 1)
            nulls = pa.csv.ConvertOptions(strings_can_be_null=True)
            if not content.strip():
                return pa.table({})
            table = pa.csv.read_csv(pa.BufferReader(content), read_options=one_block, convert_options=nulls)
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        raise TelemetryError(
            f"{where}: cannot be read ({_first_line(error)}); "
            "the file is damaged or cut short: copy it again or remove it"
        ) from error
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise TelemetryError(f"{where}: column {twice[0]!r} occurs more than once; rename or remove one")
    return table


def _time_unit(column: pa.ChunkedArray, declared: str | None) -> str:
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    return "steps" if is_number and declared in (None, "steps") else "seconds"


def _read_time(column: pa.ChunkedArray, name: str, unit: str | None, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Time as int64 (epoch seconds or steps), and which rows have one."""
    series = column.to_pandas()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        if unit is None and name == "timestamp":
            raise TelemetryError(
                f"{where}: the time column {name!r} holds plain numbers; say in {DESCRIPTION_FILE} whether "
                f"'time_unit' is {', '.join(TIME_UNITS[:-1])} or {TIME_UNITS[-1]}"
            )
        has_time = np.isfinite(series.to_numpy(np.float64, na_value=np.nan))
        time = series.where(has_time, 0).to_numpy(np.float64 if pa.types.is_floating(column.type) else np.int64)
        broken = np.flatnonzero(time != np.floor(time))
        if len(broken):
            value = time[broken[0]]
            raise TelemetryError(f"{where}: time column {name!r} must hold whole numbers; row {broken[0]} has {value}")
        return time.astype(np.int64) // (1000 if unit == "milliseconds" else 1), has_time
    parsed = pd.to_datetime(series, utc=True, errors="coerce", format="ISO8601")
    has_time = parsed.notna().to_numpy()
    unreadable = series[series.notna().to_numpy() & ~has_time]
    if len(unreadable):
        raise TelemetryError(
            f"{where}: time column {name!r}: row {unreadable.index[0]} has {unreadable.iloc[0]!r}, which is no ISO date"
        )
    return parsed.dt.as_unit("s").astype("int64").to_numpy(), has_time


def _read_labels(column: pa.ChunkedArray, name: str, codes: Mapping[float | str, int], where: str) -> np.ndarray:
    numbers, values = pd.factorize(column.to_pandas())  # a missing label has number -1
    codes = {**codes, "": UNKNOWN}
    strange = [value for value in values if _value_key(value) not in codes]
    if strange:
        raise TelemetryError(
            f"{where}: label column {name!r} has the values {_some(strange)}; "
            f"known: {_some([*codes][:-1])} and empty; map them in {DESCRIPTION_FILE}: "
            f"label: {{column: {name}, normal: [..], anomalous: [..], unknown: [..]}}"
        )
    return np.array([*(codes[_value_key(value)] for value in values), UNKNOWN], np.int8)[numbers]


def _read_split(column: pa.ChunkedArray, name: str, where: str) -> np.ndarray:
    numbers, values = pd.factorize(column.to_pandas())
    strange = [value for value in values if _value_key(value) not in SPLIT_CODES]
    strange += ["(empty)"] if -1 in numbers else []
    if strange:
        raise TelemetryError(
            f"{where}: split column {name!r} must hold train or test in every row; got {_some(strange)}; "
            f"mend it, or add {name!r} to 'ignore' in {DESCRIPTION_FILE} to have the rows split for you"
        )
    return np.array([SPLIT_CODES[_value_key(value)] for value in values], np.int8)[numbers]


def _read_numbers(column: pa.ChunkedArray, name: str, treatments: Counter[str], where: str) -> np.ndarray:
    """One feature as float32, NaN where missing or infinite, shape (T,)."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_boolean(kind):
        treatments["columns of true and false read as 1 and 0"] += 1
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if is_text:
        text = column.to_pandas().astype(object).map(str.strip, na_action="ignore")
        text = text.where(~text.isin(["", "nan", "NaN", "null", "None"]), None)
        numbers = pd.to_numeric(text, errors="coerce")
        unreadable = text[text.notna() & numbers.isna()]
        if len(unreadable):
            raise TelemetryError(
                f"{where}: feature column {name!r} holds text, first {unreadable.iloc[0]!r} "
                f"in row {unreadable.index[0]}; add it to 'ignore' in {DESCRIPTION_FILE} or make it numeric"
            )
        treatments["columns of text read as numbers"] += int(text.notna().any())
        values = numbers.to_numpy(np.float64)
    elif pa.types.is_boolean(kind) or pa.types.is_null(kind) or _is_number(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy()
    else:
        raise TelemetryError(
            f"{where}: feature column {name!r} holds {kind}, not numbers; "
            f"add it to 'ignore' in {DESCRIPTION_FILE} or convert it"
        )
    with np.errstate(over="ignore"):
        single: np.ndarray = values.astype(np.float32)
    infinite = np.isinf(single)
    if infinite.any():
        treatments["infinite values set to missing"] += int(infinite.sum())
        single[infinite] = np.nan
    return single


def _rows_in_time_order(time: np.ndarray, has_time: np.ndarray, treatments: Counter[str]) -> np.ndarray:
    """Row numbers in time order, the first row of each time step only."""
    rows = np.flatnonzero(has_time)
    late = time[rows] < np.maximum.accumulate(time[rows])
    rows = rows[np.argsort(time[rows], kind="stable")]
    again = np.diff(time[rows], prepend=time[rows[:1]] - 1) == 0
    counts = {
        "rows without a time dropped": int((~has_time).sum()),
        "rows out of time order sorted": int(late.sum()),
        "duplicate time steps dropped": int(again.sum()),
    }
    treatments.update({treatment: count for treatment, count in counts.items() if count})
    kept: np.ndarray = rows[~again]
    return kept


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _value_key(value: Any) -> float | str:
    """One key for 1, 1.0, True and '1', so that csv and parquet labels match fleet.yaml alike."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value).strip()


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]


def _some(names: list[Any], limit: int = 8) -> str:
    shown = ", ".join(repr(name.item() if isinstance(name, np.generic) else name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
