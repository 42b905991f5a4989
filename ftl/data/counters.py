"""Columns that only ever grow: errors since the machine was built, energy, bytes sent, seconds since boot.

Such a column leaves the range of any training period and never comes back, so a model of its values calls every later
row anomalous. What happens in a window is the increase.
"""

from __future__ import annotations

import numpy as np

COUNTER_RULES = ("increase", "keep")

LEAST_INCREASES = 10
"""Of the whole fleet's train rows; with fewer, a column is a constant that changed once or twice."""

MOST_DECREASES = 0.02
"""Per increase: a counter starts again at 0 when its node does. A sensor falls as often as it rises."""

COLUMNS_AT_ONCE = 32


def count_steps(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each feature rises and falls from a train row to the next, two arrays (F,) int64.

    Args:
        train: A node's train rows in time order, shape (T, F).
    """
    ups, downs = np.zeros((2, train.shape[1]), np.int64)
    for first in range(0, train.shape[1], COLUMNS_AT_ONCE):
        some = slice(first, first + COLUMNS_AT_ONCE)
        step = np.diff(train[:, some], axis=0)
        ups[some], downs[some] = (step > 0).sum(axis=0), (step < 0).sum(axis=0)
    return ups, downs


def find_counters(ups: np.ndarray, downs: np.ndarray) -> np.ndarray:
    """Which features are counters, bool (F,): one decision per fleet, from the rises and falls of all its nodes.

    Args:
        ups: Rises, summed over nodes, shape (F,).
        downs: Falls, likewise.
    """
    found: np.ndarray = (ups >= LEAST_INCREASES) & (downs <= MOST_DECREASES * ups)
    return found


def increases(values: np.ndarray, measured: np.ndarray, time: np.ndarray, window: float) -> np.ndarray:
    """What a counter has grown by per window since it was last read, shape (T,).

    0 where it was not read, and in the first row, before which nothing is known. Where it fell it began again at 0.

    Args:
        values: The counter, shape (T,).
        measured: Rows in which it was read, bool, shape (T,).
        time: Of the rows, ascending, shape (T,).
        window: Length of a window in units of time.
    """
    grown = np.zeros(len(values), np.float64)
    read = np.flatnonzero(measured)
    count = values[read].astype(np.float64)
    step = np.diff(count)
    step = np.where(step < 0, np.maximum(count[1:], 0), step)
    grown[read[1:]] = step * window / np.diff(time[read])
    return grown
