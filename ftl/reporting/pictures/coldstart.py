"""The cold start: what alarms are worth against the hours of history that a node has of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from ftl.evaluation.significance import bootstrap_interval
from ftl.reporting.coldstart_subject import ColdSubject
from ftl.reporting.coldstart_words import from_words, hours_of
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture, png_of
from ftl.reporting.pictures.wording import listed
from ftl.studies.coldstart.arms import POLICY
from ftl.studies.coldstart.words import has_yardstick, hours_words
from ftl.studies.tables import node_means

KINDS = ("coldstart", "coldstart_alarms")
ARMS = (POLICY, "federated_pca", "local_rehearsed", "local")
"""Lines of the pictures: the policy, and what a node has without weights of others, from much shared to nothing."""

BANDS = (POLICY, "local")
"""Of these the interval is a band, of the others a bar: four bands would hide each other."""

_NAMES = {
    "f1": "F1",
    "fpr": "false-positive rate",
    "auroc": "AUROC",
    "alarms_per_node_day": "alarms per node-day",
    "event_recall": "share of events found",
}
_PANELS = {"coldstart": ("f1", "fpr", "auroc"), "coldstart_alarms": ("alarms_per_node_day", "event_recall")}
_USABLE = "#e3efdb"
_LEAST_RATE = 0.003


def pictures(cold: ColdSubject) -> Iterator[Picture]:
    """coldstart and coldstart_alarms, where more than one length of history was tried."""
    if len(cold.lengths) < 2:
        return
    for kind, metrics in _PANELS.items():
        what = f"{listed(_NAMES[metric] for metric in metrics)} by history"
        title = f"{cold.where}: {what}"
        figure = against_history(means_over_nodes(cold, metrics), metrics, cold, title)
        alt = f"Lines of {listed(_NAMES[metric] for metric in metrics)} over hours of history, one per arm. {title}."
        yield Picture(kind, cold.dataset, cold.protocol, title, _caption(cold, kind), png_of(figure), alt)


def means_over_nodes(cold: ColdSubject, metrics: tuple[str, ...]) -> pd.DataFrame:
    """arm, metric, x (hours, :func:`places`), mean over nodes, low, high: its 95 % interval, NaN without the rows of
    the study."""
    found = []
    rows = cold.tables.rows
    nodes = node_means(rows, ["full", "asked_hours", "arm"], metrics) if len(rows) else rows
    for x, (_, length) in zip(places(cold), cold.lengths.iterrows(), strict=True):
        summary, here = cold.at(cold.tables.summary, length).set_index("arm"), cold.at(nodes, length)
        for arm in [arm for arm in ARMS if arm in summary.index]:
            for metric in metrics:
                low, high = _interval(here[here["arm"] == arm], metric, cold.racks) if len(here) else (np.nan, np.nan)
                mean = float(summary[metric].astype("float64")[arm])
                found.append({"arm": arm, "metric": metric, "x": x, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(found)


def places(cold: ColdSubject) -> list[float]:
    """Where each length of history stands on the axis: at its hours; the whole of it right of all others."""
    hours = cold.lengths["hours"].to_list()
    return [*hours[:-1], max(hours[-1], 1.5 * hours[-2])]


def against_history(means: pd.DataFrame, metrics: tuple[str, ...], cold: ColdSubject, title: str) -> Figure:
    """A panel per metric over hours of history on a logarithmic axis, a line with its band per arm."""
    figure = ink.titled(3.75 * len(metrics) + (0 if len(metrics) > 2 else 0.8), 4.3, title)
    grid = figure.subplots(1, len(metrics), squeeze=False)[0]
    arms = list(dict.fromkeys(means["arm"]))
    for axes, metric in zip(grid, metrics, strict=True):
        ink.headed(axes, _NAMES[metric])
        ink.ruled(axes)
        for number, arm in enumerate(arms):
            _line(axes, means[(means["arm"] == arm) & (means["metric"] == metric)], arm, number)
        _scale(axes, metric, means[means["metric"] == metric])
        _mark_usable(axes, metric, cold)
        _hours(axes, cold)
    handles: list[Line2D | Patch] = [
        Line2D([], [], **_style(number), label=ink.plain(arm)) for number, arm in enumerate(arms)
    ]
    if "f1" in metrics and len(cold.tables.usable) and has_yardstick(cold.tables.usable):
        handles.append(Patch(facecolor=_USABLE, edgecolor="0.5", label="usable"))
    ink.below(figure, handles, 5 if len(metrics) > 2 else 2)
    ink.fit(figure, 0.55, (0.5, 0.5), bottom=0.58)
    return figure


def _line(axes: Axes, points: pd.DataFrame, arm: str, number: int) -> None:
    points = points.sort_values("x")
    style = _style(number)
    if points["low"].notna().any():
        low, high = (points[end].to_numpy(float) for end in ("low", "high"))
        if arm in BANDS:
            axes.fill_between(points["x"], low, high, color=style["color"], alpha=0.16, linewidth=0, zorder=1.5)
        else:
            axes.vlines(points["x"] * 1.025**number, low, high, color=style["color"], linewidth=1, zorder=1.6)
    axes.plot(points["x"], points["mean"], **style, zorder=3 - number / 10)


def _style(number: int) -> dict[str, Any]:
    """The first line is the thickest; lines differ in style and marker as in colour."""
    return {
        "color": ink.LINE_COLOURS[number % len(ink.LINE_COLOURS)], "linestyle": ink.LINES[number % len(ink.LINES)],
        "marker": ink.MARKERS[number % len(ink.MARKERS)], "linewidth": 2.2 if number == 0 else 1.4, "markersize": 5,
        "markeredgecolor": "black", "markeredgewidth": 0.5,
    }  # fmt: skip


def _scale(axes: Axes, metric: str, means: pd.DataFrame) -> None:
    """Rates on a logarithmic scale, where 5 % and 1 % are as far apart as 50 % and 10 %."""
    highest = float(means[["mean", "high"]].max().max())
    if metric == "fpr":
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(_LEAST_RATE, 1.15)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:.1%}" if value < 0.01 else f"{value:.0%}")
        )
    elif np.isnan(highest):  # none of the targets has a test anomaly
        axes.set_ylim(0, 1)
    elif metric == "auroc":
        axes.set_ylim(min(0.5, float(means[["mean", "low"]].min().min()) - 0.02), min(1.0, highest + 0.02))
    else:
        axes.set_ylim(0, max(1.05 * highest, 0.1))


def _mark_usable(axes: Axes, metric: str, cold: ColdSubject) -> None:
    """The region in which alarms count as usable."""
    usable = cold.tables.usable
    if usable.empty or not has_yardstick(usable) or metric not in ("f1", "fpr"):
        return
    bottom, top = axes.get_ylim()
    if metric == "f1":
        level = float(usable["f1_needed"].iloc[0])
        top = max(top, level * 1.05)
        axes.set_ylim(bottom, top)
        axes.axhspan(level, top, color=_USABLE, zorder=0.2)
    else:
        level = float(usable["fpr_allowed"].iloc[0])
        axes.axhspan(bottom, level, color=_USABLE, zorder=0.2)
    axes.axhline(level, color="0.4", linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)


def _hours(axes: Axes, cold: ColdSubject) -> None:
    at, lengths = places(cold), cold.lengths
    names = ["all" if full else hours_words(float(asked)) for full, asked in zip(
        lengths["full"], lengths["asked_hours"], strict=True)]  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(at, names, fontsize=8.5)
    axes.set_xlim(at[0] / 1.25, at[-1] * 1.25)
    axes.set_xlabel("history of the node")


def _interval(nodes: pd.DataFrame, metric: str, racks: Mapping[str, str | None]) -> tuple[float, float]:
    known = nodes[nodes[metric].notna()]
    if len(known) < 2:
        return np.nan, np.nan
    found = bootstrap_interval(known[metric].to_numpy(float), [racks.get(node) for node in known["node"]])
    return found.low, found.high


def _caption(cold: ColdSubject, kind: str) -> str:
    arms = [arm for arm in ARMS if arm in set(cold.tables.summary["arm"])]
    whole = hours_words(float(cold.lengths["hours"].iloc[-1]))
    read = (
        "A point is the mean over nodes that have so much history of their own and no more; the band (or bar) is its "
        f"95 % interval over nodes, the last point the whole history ({whole} on average)."
    )
    if kind == "coldstart_alarms":
        return (
            f"{read} Alarms are runs of flagged rows: a detector that flags nearly everything has few alarms, finds "
            "every event, and is of no use; read this beside the false-positive rate."
        )
    usable = cold.tables.usable
    if usable.empty or not has_yardstick(usable):
        return read
    told = listed(f"{arm} {from_words(hours_of(cold, arm))}" for arm in arms)
    return (
        f"{read} Alarms are usable where F1 is at least {usable['f1_needed'].iloc[0]:.2f} and the false-positive rate "
        f"at most {usable['fpr_allowed'].iloc[0]:.0%} (green), there and at all longer histories: {told}."
    )
