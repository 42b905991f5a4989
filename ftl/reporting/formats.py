"""Numbers as they are shown: rounded, with unit, "-" where they are undefined."""

from collections.abc import Callable
from typing import Any

import pandas as pd

UNDEFINED = "-"


def number(value: Any, digits: int = 2, signed: bool = False) -> str:
    """A rounded number, "-" where it is undefined; a rounded zero carries no minus sign."""
    if pd.isna(value):
        return UNDEFINED
    text = f"{float(value):{'+' if signed else ''}.{digits}f}"
    return text.replace("-", "+" if signed else "") if float(text) == 0 else text


def whole(value: Any) -> str:
    return UNDEFINED if pd.isna(value) else f"{round(float(value)):,}"


def p_value(value: Any) -> str:
    """Four digits, or a bound where that would print zero."""
    return UNDEFINED if pd.isna(value) else "<0.0001" if value < 0.0001 else f"{value:.4f}"


def share(value: Any) -> str:
    return UNDEFINED if pd.isna(value) else f"{float(value):.0%}"


def interval(low: Any, high: Any, digits: int = 2) -> str:
    """``[+0.40, +0.48]``, or nothing where it is undefined."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return ""
    return f"[{number(low, digits, True)}, {number(high, digits, True)}]"


def difference(delta: Any, low: Any, high: Any, digits: int = 2, mark: str = "") -> str:
    """``+0.44* [+0.40, +0.48]``."""
    if delta is None or pd.isna(delta):
        return UNDEFINED
    return f"{number(delta, digits, True)}{mark} {interval(low, high, digits)}".rstrip()


def data_size(n_bytes: Any) -> str:
    """``812 B``, ``74.1 kB``, ``3.2 MB`` (powers of ten)."""
    if pd.isna(n_bytes):
        return UNDEFINED
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def seconds(value: Any) -> str:
    """``4.2 ms``, ``1.3 s``, ``12 min``, ``3.4 h``."""
    if pd.isna(value):
        return UNDEFINED
    length = float(value)
    if length < 1:
        return "0 s" if length == 0 else f"{1000 * length:.3g} ms"
    if length < 120:
        return f"{length:.3g} s"
    return f"{length / 60:.0f} min" if length < 7200 else f"{length / 3600:.1f} h"


def text(value: Any) -> str:
    return UNDEFINED if value is None or pd.isna(value) else str(value)


def count(n: int, what: str, plural: str | None = None) -> str:
    """``1 node``, ``1,234 nodes``."""
    return f"{n:,} {what if n == 1 else plural or what + 's'}"


def column(part: pd.DataFrame, name: str, show: Callable[[Any], str]) -> list[str]:
    """The cells of a column, each "-" where the table has no such column."""
    return [show(value) for value in part[name]] if name in part else [UNDEFINED] * len(part)
