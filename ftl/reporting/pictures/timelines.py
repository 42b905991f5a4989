"""Scores of chosen nodes over time, local above transfer, with their true events and the alarms raised."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator

from ftl.evaluation.events import runs
from ftl.reporting.formats import count
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.chosen import MOST_NODES, chosen_nodes, paradigms_of, series_of, why
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject

_DAY = 86400
_POINTS = 1500  # of a line: of more rows the largest score of each stretch is drawn
_GAP = 4  # windows without a row, from which on the line is broken
_WIDE = 50.0  # largest over median score: from here on a logarithmic scale shows more
_UNKNOWN, _EVENT = "0.93", "0.72"


def pictures(subject: Subject) -> Iterator[Picture]:
    """timelines, one picture per paradigm."""
    for paradigm, table in paradigms_of(subject.timelines):
        series = [(node, arm, rows) for node in chosen_nodes(table) for arm, rows in series_of(table, node)]
        if not series:
            continue
        what = f"scores of chosen nodes over time, {paradigm}"
        figure = score_timelines(series, subject.in_seconds, subject.titled(what))
        alt = "Score lines over time, two rows per node, local above transfer, true events shaded, alarms marked."
        yield subject.picture("timelines", what, figure, _caption(series, table), alt, paradigm)


def score_timelines(series: list[tuple[str, str, pd.DataFrame]], in_seconds: bool, title: str) -> Figure:
    """A panel per (node, arm, rows of time, score, threshold, label): score over threshold where every threshold is
    positive and stays what it is, else the score with its threshold."""
    relative = all(_positive(rows["threshold"]) and rows["threshold"].nunique() == 1 for *_, rows in series)
    logarithmic = any(_is_wide(rows["score"].to_numpy(float)) for *_, rows in series)
    figure = ink.titled(10.5, 1.2 + 1.15 * len(series), title)
    grid = figure.subplots(len(series), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (node, arm, rows) in zip(grid, series, strict=True):
        _draw(axes, rows, 1 / _DAY if in_seconds else 1.0, relative, logarithmic)
        ink.headed(axes, f"{ink.plain(node)}, {arm}: {_counted(rows)}", 8.5, "left")
        axes.tick_params(labelsize=8)
        axes.xaxis.set_visible(axes is grid[-1])
    figure.supylabel(
        "anomaly score / threshold (1 = alarm)" if relative else "anomaly score (own unit)", fontsize=9, x=0.012
    )
    _time_axis(grid[-1], in_seconds)
    handles = [
        Line2D([], [], color=ink.DARK, linewidth=0.9, label="score"),
        Line2D([], [], color="black", linewidth=0.9, linestyle="--", label="threshold"),
        Patch(facecolor=_EVENT, edgecolor="0.4", label="true event"),
        Patch(facecolor=_UNKNOWN, edgecolor="0.6", hatch="...", label="label unknown"),
        _ticks([], [], "|", "alarm in an event"),
        _ticks([], [], "x", "false alarm"),
    ]
    ink.below(figure, handles, 6)
    ink.fit(figure, 0.7, (0.1, 0.26), 0.45)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, scale: float, relative: bool, logarithmic: bool) -> None:
    time = rows["time"].to_numpy(float) * scale
    threshold = rows["threshold"].to_numpy(float)
    shown = rows["score"].to_numpy(float) / (threshold if relative else 1.0)
    label = rows["label"].to_numpy(dtype=float, na_value=np.nan)
    _shade(axes, time, label == 1, facecolor=_EVENT, edgecolor="none")
    _shade(axes, time, np.isnan(label), facecolor=_UNKNOWN, edgecolor="0.6", hatch="...", linewidth=0)
    axes.plot(*_broken(*_envelope(time, shown), time), color=ink.DARK, linewidth=0.8)
    level = 1.0 if relative else float(threshold.max())
    if not relative and np.unique(threshold).size > 1:
        axes.plot(*_broken(*_envelope(time, threshold), time), color="black", linewidth=0.9, linestyle="--")
    elif np.isfinite(level):
        axes.axhline(level, color="black", linewidth=0.9, linestyle="--")
    _scale(axes, shown, level, logarithmic)
    axes.margins(x=0.01)
    alarm = rows["score"].to_numpy(float) > threshold
    for which, marker, height in ((alarm & (label == 1), "|", 0.95), (alarm & (label == 0), "x", 0.84)):
        line = _ticks(_thinned(time[which]), height, marker)
        line.set_transform(axes.get_xaxis_transform())
        axes.add_line(line)


def _is_wide(score: np.ndarray) -> bool:
    """Whether scores span orders of magnitude above their median."""
    known = score[np.isfinite(score)]
    return bool(known.size and known.min() > 0 and known.max() > _WIDE * np.median(known))


def _scale(axes: Axes, shown: np.ndarray, level: float, logarithmic: bool) -> None:
    """Room for the marks of alarms above the line."""
    known = shown[np.isfinite(shown)]
    if not known.size:
        return
    top = max(float(known.max()), level if np.isfinite(level) else float(known.max()))
    if logarithmic and (known > 0).any():
        positive = known[known > 0]
        bottom = max(float(positive.min()), float(np.median(positive)) / 30)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=4))
        axes.minorticks_off()
        axes.set_ylim(bottom / 1.5, top * (top / bottom) ** 0.45)
    else:
        bottom = min(0.0, float(known.min()))
        axes.set_ylim(bottom, top + 0.4 * (top - bottom or 1.0))
        axes.yaxis.set_major_locator(MaxNLocator(3))


def _shade(axes: Axes, time: np.ndarray, which: np.ndarray, **look: object) -> None:
    """A band over each run of rows, from half a window before to half a window after."""
    half = float(np.median(np.diff(time))) / 2 if len(time) > 1 else 0.5
    for start, end in zip(*runs(which), strict=True):
        axes.axvspan(time[start] - half, time[end - 1] + half, zorder=0.5, **look)  # type: ignore[arg-type]


def _envelope(time: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line, or the largest value of each of _POINTS stretches of rows."""
    if len(time) <= _POINTS:
        return time, value
    starts = np.linspace(0, len(time), _POINTS, endpoint=False).astype(int)
    return time[starts], np.fmax.reduceat(value, starts)


def _broken(at: np.ndarray, value: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line with a break wherever rows are missing, so that it draws no score that nobody computed."""
    if len(at) < 3:
        return at, value
    longest = _GAP * float(np.median(np.diff(time))) + float(np.median(np.diff(at)))
    after = np.flatnonzero(np.diff(at) > longest) + 1
    return np.insert(at, after, (at[after - 1] + at[after]) / 2), np.insert(value.astype(float), after, np.nan)


def _thinned(time: np.ndarray) -> np.ndarray:
    """At most _POINTS of the marks, evenly taken."""
    return time if len(time) <= _POINTS else time[np.linspace(0, len(time) - 1, _POINTS).astype(int)]


def _ticks(x: np.ndarray | list[float], y: float | list[float], marker: str, label: str = "") -> Line2D:
    colour = "black" if marker == "|" else ink.ALARM
    heights = np.full(len(x), y) if isinstance(y, float) else y
    return Line2D(x, heights, linestyle="", marker=marker, markersize=5, color=colour, markeredgewidth=0.9, label=label)


def _time_axis(axes: Axes, in_seconds: bool) -> None:
    if in_seconds:
        locator = AutoDateLocator(minticks=2, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.set_xlabel("time (UTC)" if in_seconds else "time step")


def _positive(threshold: "pd.Series[float]") -> bool:
    values = threshold.to_numpy(float)
    return bool((np.isfinite(values) & (values > 0)).all())


def _counted(rows: pd.DataFrame) -> str:
    """Events, alarms, and how many of them are false."""
    label = rows["label"].to_numpy(dtype=float, na_value=np.nan)
    alarm = (rows["score"] > rows["threshold"]).to_numpy()
    starts, ends = runs(label == 1)
    found = sum(bool(alarm[start:end].any()) for start, end in zip(starts, ends, strict=True))
    false = int((alarm & (label == 0)).sum())
    events = f"{found} of {count(len(starts), 'event')} found" if len(starts) else "no event"
    return f"{events}, {false:,} of {count(int(alarm.sum()), 'flagged row')} false"


def _caption(series: list[tuple[str, str, pd.DataFrame]], table: pd.DataFrame) -> str:
    told = "; ".join(f"{node}, {arm}: {_counted(rows)}" for node, arm, rows in series)
    longest = max(len(rows) for *_, rows in series)
    thinned = f" Of more than {_POINTS} rows the largest score of each stretch is drawn." if longest > _POINTS else ""
    return (
        "The line is the anomaly score of each test row, smoothed as for the alarms; it is broken where rows are "
        "missing. A row above the dashed line raises an alarm. Grey bands are true events. Marks at the top are "
        "flagged rows: a bar within an event, a cross outside (false). Scales differ between panels, and are "
        f"logarithmic where scores span orders of magnitude.{thinned} {told}. {why(table, MOST_NODES)}"
    )
