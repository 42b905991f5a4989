"""What it cost (the paper's Fig. 6): time, memory and energy of each stage, and the bytes a node sends and receives."""

from collections.abc import Iterator
from math import isnan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from ftl.reporting.formats import count, data_size, number, seconds
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject
from ftl.reporting.pictures.wording import listed
from ftl.reporting.tables import ARMS, ordered

STAGES = ["prepare", "baselines", "local", "federate", "transfer"]
NOT_MEASURED = "not measured"
_MEBIBYTE = 2**20


def pictures(subject: Subject) -> Iterator[Picture]:
    """costs, where anything of it was measured."""
    stages, traffic = stage_costs(subject.costs), bytes_per_node(subject)
    loud = traffic if traffic.empty else traffic[~_silent(traffic)]
    if stages.empty and loud.empty:
        return
    what = "what it cost"
    figure = cost_bars(stages, loud, subject.titled(what))
    alt = "Bars of time, memory and energy by stage, and of bytes sent and received per node by arm."
    yield subject.picture("costs", what, figure, _caption(stages, traffic, subject), alt)


def stage_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """By stage, in order: wall_seconds, cpu_seconds, energy_wh (sums over units, NaN where none was measured),
    peak_memory_bytes (largest unit) and n_units."""
    if costs.empty:
        return pd.DataFrame()
    groups = costs.groupby("stage")
    sums = groups[["wall_seconds", "cpu_seconds", "energy_wh"]].sum(min_count=1)
    table = sums.join(groups["peak_memory_bytes"].max()).join(groups.size().rename("n_units"))
    return table.astype(float).reindex(ordered(costs["stage"], STAGES))


def bytes_per_node(subject: Subject) -> pd.DataFrame:
    """What one node sends and receives for each arm, mean over nodes, draws and seeds at the headline cohorts: label,
    sent, received."""
    results = subject.results
    if not {"bytes_sent", "bytes_received"} <= {*results.columns}:
        return pd.DataFrame()
    measured = results[results["bytes_sent"].notna() & results["bytes_received"].notna()]
    without_cohort = measured[measured["policy"].isna()].assign(role="every node")
    rows = pd.concat([without_cohort, subject.at_headline(measured[measured["policy"].notna()])])
    if rows.empty:
        return pd.DataFrame()
    means = rows.groupby(["arm", "role"])[["bytes_sent", "bytes_received"]].mean().astype(float).reset_index()
    means = means.rename(columns={"bytes_sent": "sent", "bytes_received": "received"})
    order = ordered(means["arm"], ARMS)
    means = means.iloc[np.lexsort((means["role"], means["arm"].map(order.index)))]
    roles = means["role"].replace({"participant": "a participant", "target": "a target"})
    return means.assign(label=means["arm"] + ": " + roles).reset_index(drop=True)


def _silent(traffic: pd.DataFrame) -> "pd.Series[bool]":
    """Arms whose nodes send and receive nothing: they are named in the caption and have no bars."""
    return (traffic["sent"] == 0) & (traffic["received"] == 0)


def cost_bars(stages: pd.DataFrame, traffic: pd.DataFrame, title: str) -> Figure:
    """Three panels over stages, and one over arms; what was not measured is said in words."""
    foot, head = (
        (0.26 * len(traffic) + 0.75 if len(traffic) else 0.0),
        (0.36 * len(stages) + 0.6 if len(stages) else 0.3),
    )
    size = (10.5, foot + head + 0.45)
    figure = ink.titled(*size, title)
    if len(stages):
        grid = [_axes(figure, 1.05 + k * 3.15, foot + 0.5, 3.0, head - 0.6) for k in range(3)]
        _draw_time(grid[0], stages)
        _draw_bars(grid[1], stages["peak_memory_bytes"] / _MEBIBYTE, "largest memory of one unit (MiB)", 0)
        _draw_bars(grid[2], stages["energy_wh"], "energy, all units (Wh)", 2)
        for axes, names in zip(grid, (list(stages.index), [], []), strict=True):
            axes.set_yticks(range(len(stages)) if names else [], names)
            axes.set_ylim(len(stages) - 0.5, -0.5)
    else:
        figure.text(0.5, (foot + 0.15) / size[1], f"time, memory and energy: {NOT_MEASURED}", ha="center")
    if len(traffic):
        _draw_traffic(_axes(figure, 2.1, 0.5, 8.25, foot - 0.75), traffic)
    return figure


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    whole = figure.get_size_inches()
    return figure.add_axes((left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]))


def _draw_time(axes: Axes, stages: pd.DataFrame) -> None:
    places = np.arange(len(stages))
    for shift, column, label in ((-0.2, "wall_seconds", "on the clock"), (0.2, "cpu_seconds", "of processors")):
        values = stages[column].to_numpy()
        bars = _pair(axes, places + shift, np.nan_to_num(values), label, shift > 0)
        words = [NOT_MEASURED if isnan(value) else seconds(value) for value in values]
        axes.bar_label(bars, words, padding=3, fontsize=7.5)
    axes.set_xlabel("time, all units (s)")
    axes.margins(x=0.3)
    _legend_above(axes)
    ink.ruled(axes, "x")


def _legend_above(axes: Axes) -> None:
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 0.98), ncols=2, frameon=False, borderpad=0.2)


def _pair(axes: Axes, places: np.ndarray, values: np.ndarray, label: str, second: bool) -> BarContainer:
    """One of two bars side by side: the first dark, the second hatched."""
    return axes.barh(
        places, values, 0.38, color="white" if second else ink.DARK, hatch=ink.HATCH if second else None,
        edgecolor="black", linewidth=0.6, label=label,
    )  # fmt: skip


def _draw_bars(axes: Axes, values: "pd.Series[float]", label: str, digits: int) -> None:
    bars = axes.barh(
        range(len(values)), values.fillna(0), 0.6, color=ink.LIGHT, edgecolor="black", linewidth=0.6
    )  # fmt: skip
    words = [NOT_MEASURED if isnan(v) else f"{v:.3g}" if 0 < v < 1 else number(v, digits) for v in values]
    axes.bar_label(bars, words, padding=3, fontsize=7.5)
    if values.isna().all():
        axes.set(xlim=(0, 1), xticks=[])
    axes.margins(x=0.3)
    axes.set_xlabel(label)
    ink.ruled(axes, "x")


def _draw_traffic(axes: Axes, traffic: pd.DataFrame) -> None:
    places = np.arange(len(traffic))
    for shift, column in ((-0.2, "sent"), (0.2, "received")):
        values = traffic[column].to_numpy()
        bars = _pair(axes, places + shift, values, column, shift > 0)
        axes.bar_label(bars, [data_size(value) for value in values], padding=3, fontsize=7.5)
    axes.set_yticks(places, [ink.plain(label, 40) for label in traffic["label"]], fontsize=8.5)
    axes.set_ylim(len(traffic) - 0.4, -0.6)
    most = float(traffic[["sent", "received"]].max().max())
    if most > 0:
        least = traffic[["sent", "received"]].where(lambda v: v > 0).min().min()
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xlim(float(least) / 4, most * 6)
    axes.set_xlabel("bytes per node over the whole run (logarithmic; 0 B has no bar)")
    _legend_above(axes)
    ink.ruled(axes, "x")


def _caption(stages: pd.DataFrame, traffic: pd.DataFrame, subject: Subject) -> str:
    parts = []
    if len(stages):
        longest = stages["wall_seconds"].idxmax() if stages["wall_seconds"].notna().any() else None
        total = "" if longest is None else (
            f" In all {seconds(stages['wall_seconds'].sum())} on the clock, most of it in {longest} "
            f"({stages['wall_seconds'].max() / stages['wall_seconds'].sum():.0%})."
        )  # fmt: skip
        parts.append(
            "Time is the sum over the units of a stage (a paradigm and seed, or a baseline), memory the most that one "
            f"of them held.{total} Times hold for the machine it ran on, for all nodes together. "
            f"{_energy(subject.costs)}{_resumed(subject.costs)}"
        )
    else:
        parts.append("Time, memory and energy were not measured in this run.")
    if len(traffic):
        silent = listed(dict.fromkeys(traffic.loc[_silent(traffic), "arm"]))
        parts.append(
            "Bytes are counted, not measured: what one node would send and receive if each ran on its own machine, "
            f"mean over nodes at the headline cohort ({subject.headline_words() or 'none'})."
            + (f" Nothing at all is sent by {silent}." if silent else "")
        )
    else:
        parts.append("Bytes per node are not known for this run.")
    return " ".join(parts)


def _resumed(costs: pd.DataFrame) -> str:
    """That some units were interrupted, where the table says so."""
    n = int(costs["resumed"].astype(bool).sum()) if "resumed" in costs else 0
    if not n:
        return ""
    return f" Interrupted and resumed: {count(n, 'unit')}, whose last seconds before that are not counted."


def _energy(costs: pd.DataFrame) -> str:
    """Where the energy comes from."""
    sources = sorted(set(costs.get("energy_source", pd.Series(dtype=object)).dropna()) - {NOT_MEASURED})
    if costs["energy_wh"].notna().any():
        some = (
            "" if costs["energy_wh"].notna().all() else " for a part of the units; the others are left out of the sum"
        )
        return f"Energy was read from {listed(sources) or 'an unnamed source'}{some}."
    return "Energy was not measured: the machine has no counter that could be read."
