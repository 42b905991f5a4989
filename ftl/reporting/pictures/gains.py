"""The gain in F1: as bars by paradigm, policy and N (the paper's Fig. 4), node by node, and who was harmed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ftl.evaluation.significance import ROUNDING
from ftl.reporting.formats import count
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import ARM, REFERENCES, Subject
from ftl.reporting.pictures.wording import listed, signed, verdicts
from ftl.reporting.tables import PARADIGMS, POLICIES, ordered

_GAIN = f"gain in F1 by {ARM}"


def pictures(subject: Subject) -> Iterator[Picture]:
    """delta_f1, delta_f1_nodes and delta_f1_harmed, where there is something to draw."""
    cells = subject.summary[subject.summary["arm"] == ARM] if len(subject.summary) else subject.summary
    bars = delta_f1_bars(cells, subject.titled(_GAIN))
    if bars is not None:
        alt = "Grouped bars of the mean gain in F1 with 95 % intervals, by paradigm, policy and number of participants."
        yield subject.picture("delta_f1", _GAIN, bars, _bars_caption(cells), alt)
    what = f"{_GAIN}, node by node"
    boxes = delta_f1_by_node(subject.gains, subject.titled(what))
    if boxes is not None:
        alt = "Box plots over target nodes of the gain in F1, every node a point, by paradigm, policy and N."
        yield subject.picture("delta_f1_nodes", what, boxes, _boxes_caption(subject.gains), alt)
    what = f"who gained and who was harmed by {ARM} ({subject.headline_words()})"
    harmed = gains_in_order(subject.headline_gains, subject.titled(what))
    if harmed is not None:
        alt = "Bars of the gain in F1 of every target node, sorted from loss to gain; losses are hatched."
        yield subject.picture("delta_f1_harmed", what, harmed, _harm_caption(subject.headline_gains), alt)


def delta_f1_bars(cells: pd.DataFrame, title: str) -> Figure | None:
    """Mean ΔF1 over target nodes with 95 % intervals by paradigm, N and policy, against local and local_long
    (the paper's Fig. 4, with the control that it lacks)."""
    if cells.empty:
        return None
    cells = cells[cells["delta_f1"].notna() & cells["n_participants"].notna()]
    if cells.empty:
        return None
    counts = sorted({int(n) for n in cells["n_participants"]})
    policies = ordered(cells["policy"], POLICIES)
    kinds = [(p, r) for p in policies for r, ending in REFERENCES.items() if f"delta_f1{ending}" in cells]
    colours = ink.colour_by(policies)
    width = 0.84 / len(kinds)
    figure, panels = ink.panels(cells["paradigm"], title, "participants N (nodes)")
    for paradigm, axes in panels.items():
        for k, (policy, reference) in enumerate(kinds):
            rows = cells[(cells["paradigm"] == paradigm) & (cells["policy"] == policy)]
            x = [counts.index(int(n)) + (k - (len(kinds) - 1) / 2) * width for n in rows["n_participants"]]
            ending = REFERENCES[reference]
            height = _numbers(rows, f"delta_f1{ending}")
            reach = np.abs(np.stack([_numbers(rows, f"ci_{end}{ending}") for end in ("low", "high")]) - height)
            axes.bar(
                x, height, width, yerr=np.nan_to_num(reach), color=colours[policy], edgecolor="black", linewidth=0.6,
                hatch=ink.HATCH if ending else None, error_kw={"elinewidth": 1.0, "capsize": min(2.5, 12 * width)},
            )  # fmt: skip
        axes.set_xticks(range(len(counts)), [str(n) for n in counts])
    next(iter(panels.values())).set_ylabel("ΔF1, mean over target nodes\n(whiskers: 95 % interval)", fontsize=9.5)
    handles = [
        Patch(facecolor=colours[policy], edgecolor="black", hatch=ink.HATCH if REFERENCES[reference] else None,
              label=f"{ink.plain(policy)}, against {reference}")
        for policy, reference in kinds
    ]  # fmt: skip
    ink.below(figure, handles, 4)
    ink.fit(figure, 0.98)
    return figure


def delta_f1_by_node(gains: pd.DataFrame, title: str) -> Figure | None:
    """ΔF1 of each target node against its local model: a box over nodes, and every node as a point."""
    gains = gains[gains["n_participants"].notna()]
    if gains.empty:
        return None
    policies = ordered(gains["policy"], POLICIES)
    counts = sorted({int(n) for n in gains["n_participants"]})
    groups = [(policy, n) for policy in policies for n in counts]
    colours = ink.colour_by(policies)
    figure, panels = ink.panels(gains["paradigm"], title, "participants N (nodes)")
    for paradigm, axes in panels.items():
        here = gains[gains["paradigm"] == paradigm]
        grouped: dict[Any, Any] = dict(iter(here.groupby(["policy", "n_participants"])["delta_f1"]))
        parts = {key: np.sort(part) for key, part in grouped.items()}
        places = [x for x, group in enumerate(groups) if group in parts]
        values = [parts[groups[x]] for x in places]
        drawn = axes.boxplot(values, positions=places, widths=0.7, showfliers=False, patch_artist=True)
        for x, box, median in zip(places, drawn["boxes"], drawn["medians"], strict=True):
            box.set(facecolor=colours[groups[x][0]], alpha=0.7, zorder=2)
            median.set(color="black", linewidth=1.8)
        points = np.concatenate([x + ink.spread(v.size) for x, v in zip(places, values, strict=True)])
        many = max(map(len, values)) > ink.FEW_NODES
        axes.plot(points, np.concatenate(values), "o", color="0.35" if many else "black", alpha=0.7,
                  markersize=1.6 if many else 2.2, zorder=1.5 if many else 3)  # fmt: skip
        axes.set_xticks(range(len(groups)), [str(n) for _, n in groups])
        for first in range(len(counts), len(groups), len(counts)):
            axes.axvline(first - 0.5, color="black", linewidth=0.8, linestyle=":")
    next(iter(panels.values())).set_ylabel(
        "ΔF1 of one target node against\nits local model (mean over draws and seeds)", fontsize=9.5
    )
    handles = [Patch(facecolor=colours[p], edgecolor="black", alpha=0.7, label=ink.plain(p)) for p in policies]
    ink.below(figure, handles, 4)
    ink.fit(figure, 0.98)
    return figure


def gains_in_order(gains: pd.DataFrame, title: str) -> Figure | None:
    """ΔF1 of every target node of the headline cohorts from the largest loss to the largest gain: bars against local,
    diamonds against local_long; losses are hatched."""
    if gains.empty:
        return None
    figure, panels = ink.panels(gains["paradigm"], title, "target nodes, in order of their ΔF1", height=4.6)
    for paradigm, axes in panels.items():
        here = gains[gains["paradigm"] == paradigm].sort_values(["delta_f1", "node"], kind="stable")
        _draw_order(axes, here)
    next(iter(panels.values())).set_ylabel("ΔF1 of the node\n(mean over draws and seeds)", fontsize=9.5)
    handles: list[Patch | Line2D] = [
        Patch(facecolor=ink.DARK, edgecolor="black", label="gained against local"),
        Patch(facecolor="white", edgecolor="black", hatch=ink.HATCH, label="lost against local (harmed)"),
    ]
    if gains["delta_f1_vs_local_long"].notna().any():
        handles.append(_diamonds([], [], label="the same node against local_long"))
    ink.below(figure, handles, 3)
    nodes = [ink.plain(node, 16) for node in gains["node"].unique()]
    few = gains.groupby("paradigm").size().max() <= ink.FEW_NODES
    ink.fit(figure, 0.98, bottom=0.35 + (ink.width_of(nodes, 7.5) if few else 0.2))
    return figure


def _draw_order(axes: Axes, nodes: pd.DataFrame) -> None:
    places, gain = np.arange(len(nodes)), nodes["delta_f1"].to_numpy()
    lost = gain < -ROUNDING
    line = 0.6 if len(nodes) <= 50 else 0.3
    hatch = ink.HATCH if len(nodes) <= 50 else 2 * ink.HATCH
    for which, face, filling in ((~lost, ink.DARK, None), (lost, "white", hatch)):
        axes.bar(places[which], gain[which], 0.8, color=face, hatch=filling, edgecolor="black", linewidth=line)
    against_long = nodes["delta_f1_vs_local_long"].to_numpy(float)
    axes.add_line(_diamonds(places, against_long, markersize=5 if len(nodes) <= 30 else 3))
    axes.update_datalim([(x, y) for x, y in zip(places, against_long, strict=True) if not np.isnan(y)])
    axes.use_sticky_edges = False  # room below 0 also where nobody lost
    axes.autoscale_view()
    if len(nodes) <= ink.FEW_NODES:
        axes.set_xticks(places, [ink.plain(n, 16) for n in nodes["node"]], rotation=90, fontsize=7.5)
    else:
        axes.set_xticks([0, len(nodes) - 1], ["1", str(len(nodes))])


def _diamonds(
    x: np.ndarray | list[float], y: np.ndarray | list[float], markersize: float = 5, label: str = ""
) -> Line2D:
    return Line2D(
        x, y, linestyle="", marker="D", markersize=markersize, markerfacecolor=ink.LIGHT, markeredgecolor="black",
        markeredgewidth=0.7, label=label,
    )  # fmt: skip


def _bars_caption(cells: pd.DataFrame) -> str:
    """How to read the bars, and in how many cells transfer was better or worse."""
    cells = cells[cells["delta_f1"].notna() & cells["n_participants"].notna()]
    parts = [
        f"against {reference} it was "
        + verdicts(_numbers(cells, f"ci_low{ending}"), _numbers(cells, f"ci_high{ending}"))
        for reference, ending in REFERENCES.items()
        if f"delta_f1{ending}" in cells
    ]
    return (
        "Each bar is the mean over target nodes of F1 after transfer minus F1 of a model of the node's own: its local "
        "model (plain), or that model trained for as many gradient steps as federation and fine-tuning take "
        "(local_long, hatched). A whisker that crosses 0 shows no difference; a gain is a gain only if both bars stand "
        f"above 0 with their whiskers. By this measure, over the cells drawn: {listed(parts)}."
    )


def _boxes_caption(gains: pd.DataFrame) -> str:
    """How to read the boxes, and how many nodes lost in each paradigm."""
    parts = []
    for paradigm, here in _by_paradigm(gains[gains["n_participants"].notna()]):
        values = here["delta_f1"].to_numpy()
        parts.append(
            f"{paradigm}: median {signed(float(np.median(values)))}, "
            f"{float((values < -ROUNDING).mean()):.0%} of {len(values)} values below 0"
        )
    return (
        "Every point is one target node; the box holds the middle half of the nodes, the line in it is the median. "
        "Points below 0 are nodes whose F1 fell against their own local model. Left of a dotted line stands one "
        "policy, right of it the next. Over all policies and N, a value being one node in one cell: "
        f"{'; '.join(parts)}."
    )


def _harm_caption(gains: pd.DataFrame) -> str:
    """How many nodes gained, lost or stayed, and who lost most."""
    parts = []
    for paradigm, here in _by_paradigm(gains):
        gain, against_long = here["delta_f1"].to_numpy(), here["delta_f1_vs_local_long"].to_numpy(float)
        lost = int((gain < -ROUNDING).sum())
        told = f"{paradigm}: {lost} of {count(len(gain), 'node')} lost, {int((gain > ROUNDING).sum())} gained"
        if lost:
            worst = here.iloc[int(gain.argmin())]
            told += f", the largest loss {signed(float(worst['delta_f1']))} on {worst['node']}"
        if (~np.isnan(against_long)).any():
            told += f"; against local_long {int((against_long < -ROUNDING).sum())} lost"
        parts.append(told)
    return (
        "Every bar is one target node, sorted from the largest loss of F1 to the largest gain against its local model; "
        "a hatched bar below 0 is a node that federation harmed. The diamond is the same node against local_long, its "
        f"own model trained for as many gradient steps. {'. '.join(parts)}. Nodes without a test anomaly have no F1 "
        "and are not shown."
    )


def _by_paradigm(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for paradigm in ordered(table["paradigm"], PARADIGMS):
        yield paradigm, table[table["paradigm"] == paradigm]


def _numbers(rows: pd.DataFrame, name: str) -> np.ndarray:
    return rows[name].to_numpy(float) if name in rows else np.full(len(rows), np.nan)
