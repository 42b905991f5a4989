"""The simulated machine beside the real one, in pictures.

The real side is drawn from recordings where they are given, else from the values and bands of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

from ftl.data.simulation.calibration import NodeDays, run_lengths, usual_days

REAL, SIMULATED, ALARM = "#7f7f7f", "#3b6ea5", "#c0392b"
_PERCENTS = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class Week:
    """Some windows of one node."""

    node: str
    day: np.ndarray  # (T,) days since the start of the picture
    power: np.ndarray  # (T,) W
    gpu: np.ndarray  # (T,) degC
    ambient: np.ndarray  # (T,) degC
    anomalous: np.ndarray  # (T,) bool


def save_small(figure: Figure, path: Path) -> None:
    """Write a PNG of at most 64 colours, so that a page of pictures stays small; equal figures are equal files."""
    canvas = FigureCanvasAgg(figure)
    canvas.figure.set_dpi(110)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def node_levels(simulated: NodeDays, table: pd.DataFrame, real: NodeDays | None) -> Figure:
    """Histograms over nodes of mean power and mean inlet temperature, with the quantiles of the reference."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = (("power", "mean node power, W"), ("ambient", "mean inlet temperature, °C"))
    for axes, (name, label) in zip(figure.subplots(1, 2), panels, strict=True):
        fleets = [("simulated, 200 nodes, 90 days", simulated, SIMULATED)]
        if real is not None:
            fleets.insert(0, ("real, 980 nodes, 90 days from 2022-01-01", real, REAL))
        values = [np.nanmean(getattr(fleet.ordinary(), name), axis=1) for _, fleet, _ in fleets]
        edges = np.linspace(min(map(np.nanmin, values)), max(map(np.nanmax, values)), 31)
        for (title, _, colour), means in zip(fleets, values, strict=True):
            axes.hist(means, edges, density=True, color=colour, alpha=0.6, label=title)
        top = axes.get_ylim()[1]
        for height, quantile in ((1.04, "p5"), (1.10, "median"), (1.16, "p95")):
            row = table.loc[f"{name}.node_mean.{quantile}"]
            axes.plot([row["low"], row["high"]], [height * top] * 2, color=REAL, linewidth=4, solid_capstyle="butt")
            axes.plot(row["simulated"], height * top, "|", color=SIMULATED, markersize=11, markeredgewidth=2)
            axes.annotate(
                quantile, (row["high"], height * top), (4, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set(xlabel=label, yticks=[], ylim=(0, 1.22 * top))
        axes.margins(x=0.1)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle("Node by node (grey bars: bands of the quantiles; blue ticks: the simulator's)", fontsize=11)
    return figure


def variance_parts(table: pd.DataFrame) -> Figure:
    """Standard deviations between nodes, between days and of the rest, and the share of the racks."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    grid = figure.subplots(1, 4, width_ratios=[3, 1, 3, 1])
    parts = {"node_sd": "nodes", "day_sd": "days of\nthe fleet", "residual_sd": "rest"}
    for (left, right), (name, unit) in zip((grid[:2], grid[2:]), (("power", "W"), ("ambient", "°C")), strict=True):
        _bars(left, table.loc[[f"{name}.{part}" for part in parts]], list(parts.values()))
        left.set_ylabel(f"standard deviation, {unit}")
        left.set_title(f"{'node power' if name == 'power' else 'inlet temperature'}, daily means", fontsize=10)
        _bars(right, table.loc[[f"{name}.rack_share"]], ["racks' share of\nnode variance"])
        right.set_ylim(0, 0.8)
    grid[0].legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    x = np.arange(len(rows))
    reach = np.abs(rows[["low", "high"]].to_numpy().T - rows["real"].to_numpy())
    axes.bar(x - 0.2, rows["real"], 0.38, color=REAL, label="real, with band", yerr=reach, error_kw={"capsize": 3})
    axes.bar(x + 0.2, rows["simulated"], 0.38, color=SIMULATED, label="simulated")
    axes.set_xticks(x, names, fontsize=8)
    axes.set_xlim(-0.7, len(rows) - 0.3)


def faults(table: pd.DataFrame, rates: np.ndarray, coverage: np.ndarray, real_coverage: np.ndarray | None) -> Figure:
    """Anomaly rates of nodes in ascending order, and how long nodes stay away.

    Args:
        table: The calibration table.
        rates: (K,) share of anomalous windows of each simulated node.
        coverage: (K, D) share of each day's windows that arrived, simulated.
        real_coverage: The same of the real machine, where known.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(100 * (np.arange(len(rates)) + 0.5) / len(rates), 100 * np.sort(rates), color=SIMULATED, linewidth=2)
    names = [f"labels.rate.{'median' if p == 50 else f'p{p}'}" for p in _PERCENTS]
    rows = 100 * table.loc[names, ["real", "low", "high"]].astype(float)
    reach = np.abs(rows[["low", "high"]].to_numpy().T - rows["real"].to_numpy())
    left.errorbar(_PERCENTS, rows["real"], reach, fmt="o", color=REAL, capsize=3, markersize=4)
    left.set(yscale="log", xlabel="percentile of nodes", ylabel="anomalous share of labelled windows, %")
    left.set_title("uneven over nodes", fontsize=10)
    left.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    left.minorticks_off()
    for values, colour, label in ((real_coverage, REAL, "real"), (coverage, SIMULATED, "simulated")):
        if values is not None and (lengths := outage_lengths(values)).size:
            share = 1 - np.arange(lengths.size) / lengths.size
            right.step(lengths, share, color=colour, label=f"{label}, {lengths.size} outages", linewidth=2)
    right.set(xscale="log", xlabel="length in days", ylabel="share of outages at least so long", ylim=(0, 1.03))
    right.set_xticks([1, 2, 5, 10, 30, 100], ["1", "2", "5", "10", "30", "100"])
    right.minorticks_off()
    right.set_title("nodes that lose more than half a day", fontsize=10)
    right.legend(fontsize=8, frameon=False)
    return figure


def outage_lengths(coverage: np.ndarray) -> np.ndarray:
    """Lengths in days of the outages of single nodes, ascending."""
    return np.sort(run_lengths(coverage[:, usual_days(coverage)] < 0.5))


def coverage_maps(coverage: np.ndarray, real_coverage: np.ndarray | None) -> Figure:
    """Node x day: how much of each day's telemetry arrived."""
    shown = [("simulated", coverage)] + ([("real", real_coverage)] if real_coverage is not None else [])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    colours = ListedColormap(["#b0b0b0", "#c0392b", "#e3b04b", "#f6e7c1", "#ffffff"])
    for axes, (title, share) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown[::-1], strict=True):
        level = np.digitize(np.nan_to_num(share, nan=-1.0), (0.0, 0.5, 0.95, 0.99))
        axes.imshow(level, aspect="auto", cmap=colours, vmin=0, vmax=4, interpolation="nearest")
        axes.set(xlabel="day", title=f"{title}, {share.shape[0]} nodes, {share.shape[1]} days")
        axes.title.set_fontsize(10)
        axes.set_yticks(range(0, share.shape[0], 100))
    figure.axes[0].set_ylabel("node (20 to a rack)")
    words = ("no node", "lost > 50 %", "> 5 %", "> 1 %", "whole")
    handles = [
        figure.axes[0].scatter([], [], marker="s", s=50, color=colours(k), edgecolor="0.6", label=word)
        for k, word in enumerate(words)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def weeks(nodes: Sequence[Week]) -> Figure:
    """Power, a GPU's temperature and the inlet of some nodes over one week; labelled windows are shaded."""
    figure = Figure(figsize=(9, 1.6 * len(nodes)), layout="constrained")
    for axes, node in zip(figure.subplots(len(nodes), 1, sharex=True, squeeze=False)[:, 0], nodes, strict=True):
        degrees = axes.twinx()
        for start, stop in _stretches(node.anomalous):
            axes.axvspan(node.day[start], node.day[stop - 1] + 1 / 96, color=ALARM, alpha=0.18, linewidth=0)
        axes.plot(node.day, node.power, color="black", linewidth=0.7)
        degrees.plot(node.day, node.gpu, color="#d9822b", linewidth=0.7)
        degrees.plot(node.day, node.ambient, color=SIMULATED, linewidth=1.0)
        axes.set(xlim=(0, 7), ylim=(0, 2000), ylabel="power, W")
        degrees.set(ylim=(10, 90), ylabel="°C")
        axes.set_title(node.node, fontsize=9, loc="left", pad=2)
    figure.supxlabel("day", fontsize=10)
    figure.suptitle(
        "One simulated week: node power (black), GPU 0 (orange), inlet (blue); shaded: labelled anomalous", fontsize=10
    )
    return figure


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
