"""From the columns of a file to time, labels, split and features; what is repaired on the way is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ftl.data.node_table import SPLIT_TEST, SPLIT_TRAIN, UNKNOWN
from ftl.errors import TelemetryError

LABEL_LIKE = (
    *("value", "label", "labels", "New_label", "state", "state_type", "nagiosdrained", "split"),
    *("anomaly", "anomalous", "is_anomaly", "ground_truth"),
)
INDEX_LIKE = ("node", "node_id", "rack_id", "__index_level_0__", "timestamp", "step")
NEVER_FEATURES = frozenset(name.casefold() for name in LABEL_LIKE + INDEX_LIKE)
TIME_UNITS = ("seconds", "milliseconds", "steps")
SPLIT_CODES: dict[float | str, int] = {"train": SPLIT_TRAIN, "test": SPLIT_TEST}
YEAR_2100 = 4_102_444_800  # epoch seconds
FAR_YEARS = 10


@dataclass(frozen=True)
class Advice:
    """What a user is told to do about a column that cannot be used; the words differ with the source."""

    time: str  # plain numbers where a date is due
    label: str  # values of unknown meaning
    feature: str  # no numbers


def could_be_label_or_index(name: str) -> bool:
    """True for a column that must not be learnt from: a label, a time or an index, or a window statistic of one.

    Upper case and blanks around the name make no difference, so ``Label`` and ``label_avg`` are labels as well.
    """
    plain = name.strip().casefold()
    metric = re.sub(r"_(avg|mean|std|min|max)$", "", plain)
    return plain in NEVER_FEATURES or metric in NEVER_FEATURES or bool(re.fullmatch(r"(unnamed: \d+)?", plain))


def time_unit_of(kind: pa.DataType, declared: str | None) -> str:
    """``steps`` or ``seconds``: what a time column of this type counts once it is read."""
    return "steps" if is_number(_plain_kind(kind)) and declared in (None, "steps") else "seconds"


def check_time_kind(kind: pa.DataType, name: str, unit: str | None, where: str, advice: Advice) -> None:
    """Refuse a time column whose type holds no time.

    Raises:
        TelemetryError: Naming the column and its type.
    """
    kind = _plain_kind(kind)
    if is_number(kind):
        if unit is None and name == "timestamp":
            raise TelemetryError(f"{where}: the time column {name!r} holds plain numbers; {advice.time}")
    elif not (_is_text(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        raise TelemetryError(f"{where}: the time column {name!r} holds {kind}, which is no date; bring ISO dates")


def read_time(
    column: pa.ChunkedArray, name: str, unit: str | None, where: str, advice: Advice
) -> tuple[np.ndarray, np.ndarray]:
    """Time as int64, epoch seconds UTC or steps, and which rows have one; both of shape (T,).

    Dates without a zone are UTC; parts of a second are cut off.

    Raises:
        TelemetryError: If a row holds something else than a time; the message names the row.
    """
    column = _plain(column)
    check_time_kind(column.type, name, unit, where, advice)
    series = column.to_pandas()
    if is_number(column.type):
        return _read_number_time(series, column.type, name, unit, where)
    parsed = pd.to_datetime(series, utc=True, errors="coerce", format="ISO8601")
    has_time = parsed.notna().to_numpy()
    given = series.notna().to_numpy()
    if _is_text(column.type):
        given = given & series.str.strip().ne("").to_numpy()
    unreadable = series[given & ~has_time]
    if len(unreadable):
        raise TelemetryError(
            f"{where}: time column {name!r}: row {unreadable.index[0]} has {unreadable.iloc[0]!r}, which is no ISO date"
        )
    return parsed.dt.as_unit("s").astype("int64").to_numpy(), has_time


def read_labels(
    column: pa.ChunkedArray, name: str, codes: Mapping[float | str, int], where: str, advice: Advice
) -> np.ndarray:
    """Labels as int8, shape (T,): what `codes` says about each value; empty cells are unknown.

    Raises:
        TelemetryError: If the column holds a value that `codes` does not know.
    """
    column = _plain(column)
    _refuse_nested(column.type, name, "label", where)
    numbers, values = pd.factorize(column.to_pandas())  # a missing label has number -1
    codes = {**codes, "": UNKNOWN, "nan": UNKNOWN}
    strange = [value for value in values if value_key(value) not in codes]
    if strange:
        known = [code for code in codes if code not in ("", "nan")]
        raise TelemetryError(
            f"{where}: label column {name!r} has the values {some(strange)}; known: {some(known)} and empty; "
            f"{advice.label}"
        )
    return np.array([*(codes[value_key(value)] for value in values), UNKNOWN], np.int8)[numbers]


def read_split(column: pa.ChunkedArray, name: str, where: str, advice: Advice) -> np.ndarray:
    """The published part of each row as int8, shape (T,): SPLIT_TRAIN or SPLIT_TEST.

    Raises:
        TelemetryError: If a row says neither train nor test.
    """
    column = _plain(column)
    _refuse_nested(column.type, name, "split", where)
    numbers, values = pd.factorize(column.to_pandas())
    strange = [value for value in values if value_key(value) not in SPLIT_CODES]
    strange += ["(empty)"] if -1 in numbers else []
    if strange:
        raise TelemetryError(
            f"{where}: split column {name!r} must hold train or test in every row; got {some(strange)}; "
            f"mend it, or have the rows split for you: {advice.feature}"
        )
    return np.array([SPLIT_CODES[value_key(value)] for value in values], np.int8)[numbers]


def read_numbers(
    column: pa.ChunkedArray, name: str, treatments: Counter[str], where: str, advice: Advice
) -> np.ndarray:
    """One feature as float32, shape (T,), NaN where missing or infinite.

    Raises:
        TelemetryError: If the column holds no numbers.
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_boolean(kind):
        treatments["columns of true and false read as 1 and 0"] += 1
    if _is_text(kind):
        values = _numbers_of_text(column, name, treatments, where, advice)
    elif pa.types.is_boolean(kind) or pa.types.is_null(kind) or is_number(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy()
    else:
        raise TelemetryError(
            f"{where}: feature column {name!r} holds {kind}, not numbers; {advice.feature} or convert it"
        )
    with np.errstate(over="ignore"):
        single: np.ndarray = values.astype(np.float32)
    infinite = np.isinf(single)
    if infinite.any():
        treatments["infinite values set to missing"] += int(infinite.sum())
        single[infinite] = np.nan
    return single


def rows_in_time_order(time: np.ndarray, has_time: np.ndarray, unit: str, treatments: Counter[str]) -> np.ndarray:
    """Row numbers in time order, the first row of each time step only.

    A clock that stood in 1970 or 2106 for a while is counted and its rows are kept: how far off it was, and whether the
    values are wrong as well, cannot be known from the rows.
    """
    rows = np.flatnonzero(has_time)
    late = time[rows] < np.maximum.accumulate(time[rows])
    rows = rows[np.argsort(time[rows], kind="stable")]
    again = np.diff(time[rows], prepend=time[rows[:1]] - 1) == 0
    kept: np.ndarray = rows[~again]
    far = np.abs(time[kept] - time[kept[len(kept) // 2 :][:1]]) > FAR_YEARS * 365.25 * 86400
    counts = {
        "rows without a time dropped": int((~has_time).sum()),
        "rows out of time order sorted": int(late.sum()),
        "duplicate time steps dropped": int(again.sum()),
        f"rows dated over {FAR_YEARS} years from the node's median time kept": int(far.sum()) * (unit == "seconds"),
    }
    treatments.update({treatment: count for treatment, count in counts.items() if count})
    return kept


def is_number(kind: pa.DataType) -> bool:
    """True for integers, floats and decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def value_key(value: Any) -> float | str:
    """One key for 1, 1.0, True and '1', so that csv and parquet labels match a description alike."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value).strip()
    return number if number == number else "nan"


def some(names: Sequence[Any], limit: int = 8) -> str:
    """The first few of many names, for a message."""
    shown = ", ".join(repr(name.item() if isinstance(name, np.generic) else name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which omi-2 comes before omi-10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]


def _read_number_time(
    series: pd.Series, kind: pa.DataType, name: str, unit: str | None, where: str
) -> tuple[np.ndarray, np.ndarray]:
    has_time = np.isfinite(series.to_numpy(np.float64, na_value=np.nan))
    exact = np.int64 if pa.types.is_integer(kind) and kind != pa.uint64() else np.float64
    time = series.where(has_time, 0).to_numpy(exact)
    broken = np.flatnonzero((time != np.floor(time)) | (np.abs(time.astype(np.float64)) > 2.0**62))
    if len(broken):
        value = time[broken[0]]
        raise TelemetryError(f"{where}: time column {name!r} must hold whole numbers; row {broken[0]} has {value}")
    whole = time.astype(np.int64) // (1000 if unit == "milliseconds" else 1)
    if unit in ("seconds", "milliseconds") and has_time.any() and np.median(whole[has_time]) > YEAR_2100:
        date = time[has_time][0]
        raise TelemetryError(
            f"{where}: time column {name!r} counts {unit}, but most rows lie after the year 2100, first {date}; "
            "is 'time_unit' right? (known: " + ", ".join(TIME_UNITS) + ")"
        )
    return whole, has_time


def _numbers_of_text(
    column: pa.ChunkedArray, name: str, treatments: Counter[str], where: str, advice: Advice
) -> np.ndarray:
    text = column.to_pandas().astype(object).map(str.strip, na_action="ignore")
    text = text.where(~text.isin(["", "nan", "NaN", "null", "None"]), None)
    numbers = pd.to_numeric(text, errors="coerce")
    unreadable = text[text.notna() & numbers.isna()]
    if len(unreadable):
        raise TelemetryError(
            f"{where}: feature column {name!r} holds text, first {unreadable.iloc[0]!r} "
            f"in row {unreadable.index[0]}; {advice.feature} or make it numeric"
        )
    treatments["columns of text read as numbers"] += int(text.notna().any())
    return numbers.to_numpy(np.float64)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(_plain_kind(column.type)) if pa.types.is_dictionary(column.type) else column


def _plain_kind(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _refuse_nested(kind: pa.DataType, name: str, role: str, where: str) -> None:
    if pa.types.is_nested(kind):
        raise TelemetryError(f"{where}: {role} column {name!r} holds {kind}; one value per row is needed")
