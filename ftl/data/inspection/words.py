"""Counts, shares, times and lengths of time as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from ftl.data.inspection.timeline import EARLIEST, LATEST

UNDEFINED = "-"
_UNITS = (("day", 86400), ("hour", 3600), ("min", 60), ("s", 1))


def count(number: int, what: str, plural: str | None = None) -> str:
    """``1 node``, ``1,234 nodes``."""
    return f"{number:,} {what if number == 1 else plural or what + 's'}"


def percent(share: float | None) -> str:
    """``0.35 %``, ``12 %``; never 0 % for what is there, nor 100 % while something lacks."""
    if share is None or math.isnan(share):
        return UNDEFINED
    if 0 < share < 0.0001:
        return "< 0.01 %"
    if 0.9995 < share < 1:
        return "> 99.9 %"
    digits = 2 if 0 < share < 0.01 else 1 if 0 < share < 0.1 or 0.99 < share < 1 else 0
    return f"{100 * share:.{digits}f} %"


def duration(units: float | None, time_unit: str) -> str:
    """A length of time: ``15 min``, ``3.5 days``, or a number of steps."""
    if units is None or math.isnan(units):
        return UNDEFINED
    if time_unit == "steps":
        return count(round(units), "step")
    for name, seconds in _UNITS:
        if units >= seconds:
            number = units / seconds
            text = f"{number:.1f}".removesuffix(".0")
            return f"{text} {name}{'s' if name in ('day', 'hour') and text != '1' else ''}"
    return f"{units:g} s"


def moment(time: int | None, time_unit: str) -> str:
    """A time: ``2020-03-09 12:00`` (UTC), or ``step 17``."""
    if time is None:
        return UNDEFINED
    if time_unit == "steps":
        return f"step {time:,}"
    if not EARLIEST - 10**9 <= time <= LATEST + 10**9:
        return f"{time:,} s after 1970"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")


def whole_months(first: int, last: int) -> list[str]:
    """The calendar months, ``2021-04``, that lie between two times in seconds; a quarter of an hour is forgiven."""
    months = []
    day = datetime.fromtimestamp(first, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while day.timestamp() <= last:
        after = (day + timedelta(days=32)).replace(day=1)
        if day.timestamp() >= first - 900 and after.timestamp() <= last + 900:
            months.append(day.strftime("%Y-%m"))
        day = after
    return months
