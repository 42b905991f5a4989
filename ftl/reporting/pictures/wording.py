"""Phrases of captions: differences with their sign, intervals and what they say."""

from collections.abc import Iterable
from math import isnan

import numpy as np

from ftl.evaluation.significance import ROUNDING
from ftl.reporting.formats import count, number, p_value


def signed(value: float, digits: int = 3) -> str:
    return number(value, digits, True)


def interval(low: float, high: float, digits: int = 3) -> str:
    """ "95 % interval -0.010 to +0.030", or why there is none."""
    if isnan(low) or isnan(high):
        return "too few nodes for an interval"
    return f"95 % interval {signed(low, digits)} to {signed(high, digits)}"


def p_of(p: float) -> str:
    """ "p = 0.0123" or "p < 0.0001" """
    text = p_value(p)
    return f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"


def listed(parts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c" """
    *first, last = [*parts] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def verdicts(low: np.ndarray, high: np.ndarray, cells: str = "cell") -> str:
    """In how many cells the interval of a difference lies above 0, below 0, or shows no difference."""
    known = ~(np.isnan(low) | np.isnan(high))
    better, worse = int((low[known] > ROUNDING).sum()), int((high[known] < -ROUNDING).sum())
    n = int(known.sum())
    if n == 0:
        return "no interval could be computed"
    words = f"better in {better}, worse in {worse} and no difference shown in {n - better - worse} of {count(n, cells)}"
    return words + (f" ({count(len(low) - n, cells)} without an interval)" if n < len(low) else "")
