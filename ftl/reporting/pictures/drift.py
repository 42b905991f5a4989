"""Event recall against false alarms as the percentile is varied, without drift handling, with parts of it, with all."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from ftl.reporting.drift_tables import drift_where
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture, png_of
from ftl.reporting.run_tables import RunTables
from ftl.studies.drift.combination import DETECTORS
from ftl.studies.drift.tables import FALSE_ALARMS, USABLE_FPR, curve_table, main_rows, recall_at

LEAST = 0.01  # false alarms per node-day: fewer stand at the left edge
_TICKS = (0.01, 0.1, 1, 10, 100, 1000)
_LOOKS: dict[str, tuple[Any, str, str]] = {
    "nothing": ("-", "black", "o"),
    "re-basing": (":", ink.LINE_COLOURS[1], "s"),
    "smoothing": ("--", ink.LINE_COLOURS[0], "D"),
    "trailing threshold": ("-.", ink.LINE_COLOURS[2], "^"),
    "all three": ("-", ink.LINE_COLOURS[3], "P"),
}


def pictures(run: RunTables) -> Iterator[Picture]:
    """drift_curve, one picture per dataset and protocol that was studied."""
    if run.drift is None or run.drift.empty:
        return
    for (dataset, protocol), rows in run.drift.groupby(["dataset", "protocol"], sort=False):
        curve = curve_table(rows)
        if curve.empty:
            continue
        usual = float(main_rows(rows)["percentile"].iloc[0])
        title = f"{drift_where(run, str(dataset), str(protocol), rows)}: events found against false alarms"
        figure = curves_of(curve, usual, title)
        alt = f"Event recall over false alarms per node-day, one panel per detector, five curves each. {title}."
        yield Picture("drift_curve", str(dataset), str(protocol), title, _caption(curve, usual), png_of(figure), alt)


def curves_of(curve: pd.DataFrame, usual: float, title: str) -> Figure:
    """A panel per detector; the marker is the percentile of the settings."""
    detectors = [name for name in DETECTORS if (curve["detector"] == name).any()]
    figure = ink.titled(max(7.0, 2.7 * len(detectors)), 4.3, title)
    grid = figure.subplots(1, len(detectors), sharex=True, sharey=True, squeeze=False)[0]
    for axes, detector in zip(grid, detectors, strict=True):
        _draw(axes, curve[curve["detector"] == detector], usual)
        ink.headed(axes, detector, 10)
    grid[0].set_ylabel("event recall (share of events found)")
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, label=f"{name}, marked at percentile {usual:g}")
        if name == "nothing"
        else Line2D([], [], color=colour, linestyle=line, marker=marker, label=name)
        for name, (line, colour, marker) in _LOOKS.items()
    ]
    ink.below(figure, handles, 5, handlelength=3.2)
    ink.fit(figure, 0.7, (0.16, 0.5), 0.62)
    return figure


def _draw(axes: Axes, curve: pd.DataFrame, usual: float) -> None:
    for name, (line, colour, marker) in _LOOKS.items():
        one = curve[curve["curve"] == name].sort_values("percentile")
        alarms = one[FALSE_ALARMS].clip(lower=LEAST)
        usable = one["fpr"] <= USABLE_FPR
        axes.plot(alarms, one["event_recall"], line, color=colour, linewidth=0.6, alpha=0.5)
        axes.plot(alarms[usable], one["event_recall"][usable], line, color=colour, linewidth=1.7)
        at = (one["percentile"] == usual).to_numpy()
        axes.plot(alarms[at], one["event_recall"][at], marker, color=colour, markeredgecolor="black", markersize=7)
    axes.set_xscale("log")
    low, high = LEAST * 0.9, float(curve[FALSE_ALARMS].max()) * 1.2
    axes.set(xlim=(low, max(high, 2.0)), ylim=(-0.02, 1.04), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in _TICKS]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("false alarms per node-day\n(x 700: a week of 100 nodes)", fontsize=9)
    ink.ruled(axes)


def _caption(curve: pd.DataFrame, usual: float) -> str:
    """How to read it, and what all three reach beside nothing at as many false alarms."""
    said = []
    for detector in DETECTORS:
        here = curve[curve["detector"] == detector]
        of_all = here[(here["curve"] == "all three") & (here["percentile"] == usual)]
        if of_all.empty:
            continue
        budget = float(of_all[FALSE_ALARMS].iloc[0])
        found = [recall_at(here[here["curve"] == name], budget) for name in ("nothing", "all three")]
        without, with_all = (f"{value:.2f}" if np.isfinite(value) else "unreachable" for value in found)
        said.append(f"{detector}: {with_all} with all three, {without} with nothing, at {budget:.2f} a day")
    return (
        "A curve nearer to the upper left finds more events at fewer false alarms. Along a curve the percentile above "
        f"which rows are flagged goes from {curve['percentile'].min():g} to {curve['percentile'].max():g}; what only "
        "moves the marker along it could be had by another percentile. Means over nodes with anomalies. Thin: more "
        f"than {USABLE_FPR:.0%} of normal rows flagged, where a single alarm may never end. Best event recall outside "
        f"of that, at no more false alarms than all three raise at percentile {usual:g}: {'; '.join(said)}."
    )
