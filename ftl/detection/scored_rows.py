"""The rows of one node with their scores, as an operator reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ftl.detection.raw_rows import ModelRows, Past, RowRules

Sensors = list[dict[str, object]]


@dataclass(frozen=True)
class ScoredRows:
    """The rows of one node, scored.

    Attributes:
        frame: One row per row of the table that has a time, in time order, with the columns time (UTC, or a step
            number), node, score (NaN where a row lacks values that nothing can fill), threshold, label (1 flagged,
            0 not, missing without a score) and top_sensors (as :func:`ftl.detection.contributions.top_sensors`).
        treatments: What was done on reading, counted.
        past: What scoring later rows of this node needs; None before the first row.
        notes: What an operator should know before trusting the scores, in sentences.
    """

    frame: pd.DataFrame
    treatments: dict[str, int]
    past: Past | None
    notes: tuple[str, ...] = ()


def scored_frame(
    rows: ModelRows,
    rules: RowRules,
    node_id: str,
    score: np.ndarray,
    threshold: np.ndarray,
    sensors: Mapping[int, Sensors],
) -> pd.DataFrame:
    """The frame of :class:`ScoredRows`.

    Args:
        score, threshold: Of all rows, shape (T,); a score is NaN where a row has none.
        sensors: Top sensors of the rows that are explained, by row number.
    """
    time = pd.Series(rows.time)
    if rules.time_unit == "seconds":
        time = pd.to_datetime(time, unit="s", utc=True).dt.as_unit("s")
    frame = pd.DataFrame(
        {
            "time": time,
            "node": node_id,
            "score": score,
            "threshold": threshold,
            "label": pd.array(np.where(rows.complete, score > threshold, 0), "Int8"),
            "top_sensors": [sensors.get(row, []) for row in range(len(rows.time))],
        }
    )
    frame.loc[~rows.complete, "label"] = pd.NA
    return frame


def notes_on_rows(rows: ModelRows, rules: RowRules) -> list[str]:
    """What cost scores, or makes the first of them less certain."""
    notes = _without_a_whole_window(rows, rules)
    if rows.lacking:
        most = sorted(rows.lacking, key=lambda name: -rows.lacking[name])
        named = ", ".join(f"{name!r} ({rows.lacking[name]:,} rows)" for name in most[:3])
        notes.append(f"rows without a score lack a value that no earlier row could fill: {named}")
    return notes


def _without_a_whole_window(rows: ModelRows, rules: RowRules) -> list[str]:
    """What to know of the first rows of a re-based node, whose trailing median has little to look back to."""
    window, time = rules.rebase_window, rows.time[rows.complete]
    if rows.before is None or window is None or len(rows.before.time) or not len(time):
        return []
    n_short = int((time - time[0] < window).sum())
    length = f"{window / 3600:g} h" if rules.time_unit == "seconds" else f"{window:g} steps"
    note = f"re-based on a past that begins with this table: the first {n_short:,} rows are compared with less than "
    return [f"{note}{length}; give a table that begins as much earlier"]
