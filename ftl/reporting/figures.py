"""The gain in F1 as bars and node by node, and the federated training loss, each dataset on a page of its own.

Readable in black and white: policies differ in grey level, references in hatching, N in the marker. The object API of
matplotlib is used, without pyplot: no display, no global state, the same bytes for the same numbers.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ftl.evaluation.comparison import node_means, pair_with, target_runs
from ftl.evaluation.results import CELL_COLUMNS
from ftl.reporting.tables import PARADIGMS, POLICIES, ordered

_COLOURS = ["#3b6ea5", "#e3b04b", "#5b8c5a", "#a05195", "#7f7f7f"]
_HATCH = "////"
_MARKERS = "osD^vP*X"
_LINES = ["-", "--", ":", "-."]
_REFERENCES = {"local": "", "local_long": "_vs_local_long"}


def draw_figures(
    folder: Path,
    summary: pd.DataFrame,
    results: pd.DataFrame,
    rounds: pd.DataFrame | None,
    origins: Mapping[str, str],
    arm: str = "transfer",
) -> dict[tuple[str, str], dict[str, Path]]:
    """Draw all figures as PNG into ``folder``.

    Returns:
        By (dataset, protocol): the files by kind, "delta_f1", "delta_f1_nodes" and "training_loss"; a kind for which
        there is nothing to draw is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[tuple[str, str], dict[str, Path]] = {}
    for dataset, protocol in summary[["dataset", "protocol"]].drop_duplicates().itertuples(index=False, name=None):
        origin = f"{origins[dataset]} telemetry" if dataset in origins else "telemetry of unknown origin"
        where = f"{dataset} ({origin}), {protocol} protocol"
        cells = _of(summary, dataset, protocol)
        figures = {
            "delta_f1": delta_f1_bars(cells[cells["arm"] == arm], where, arm),
            "delta_f1_nodes": delta_f1_by_node(node_differences(_of(results, dataset, protocol), arm), where, arm),
            "training_loss": None if rounds is None else training_loss(_of(rounds, dataset, protocol), where),
        }
        for kind, figure in figures.items():
            if figure is not None:
                path = folder / f"{kind}_{_slug(dataset)}_{_slug(protocol)}.png"
                save(figure, path)
                drawn.setdefault((dataset, protocol), {})[kind] = path
    return drawn


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without the version of matplotlib in it, so that equal figures are equal files."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def delta_f1_bars(cells: pd.DataFrame, where: str, arm: str = "transfer") -> Figure | None:
    """Mean ΔF1 over target nodes with 95 % intervals by paradigm, N and policy, against local and local_long
    (the paper's Fig. 4, with the control that it lacks)."""
    cells = cells[cells["delta_f1"].notna() & cells["n_participants"].notna()]
    if cells.empty:
        return None
    counts = sorted({int(n) for n in cells["n_participants"]})
    kinds = [
        (policy, reference)
        for policy in ordered(cells["policy"], POLICIES)
        for reference, suffix in _REFERENCES.items()
        if f"delta_f1{suffix}" in cells
    ]
    colours = _colour_by(ordered(cells["policy"], POLICIES))
    width = 0.84 / len(kinds)
    figure, panels = _panels(cells, f"{where}: gain in F1 by {arm}", "participants N")
    for paradigm, axes in panels.items():
        for k, (policy, reference) in enumerate(kinds):
            rows = cells[(cells["paradigm"] == paradigm) & (cells["policy"] == policy)]
            x = [counts.index(int(n)) + (k - (len(kinds) - 1) / 2) * width for n in rows["n_participants"]]
            suffix = _REFERENCES[reference]
            height = _numbers(rows, f"delta_f1{suffix}")
            reach = np.abs(np.stack([_numbers(rows, f"ci_{end}{suffix}") for end in ("low", "high")]) - height)
            axes.bar(
                x, height, width, yerr=np.nan_to_num(reach), color=colours[policy], edgecolor="black", linewidth=0.6,
                hatch=_HATCH if suffix else None, error_kw={"elinewidth": 1.0, "capsize": 2.5},
            )  # fmt: skip
        axes.set_xticks(range(len(counts)), [str(n) for n in counts])
    _leftmost(panels).set_ylabel("ΔF1, mean over target nodes\n(whiskers: 95 % interval)")
    handles = [
        Patch(facecolor=colours[policy], edgecolor="black", hatch=_HATCH if _REFERENCES[reference] else None,
              label=f"{policy}, against {reference}")
        for policy, reference in kinds
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def delta_f1_by_node(differences: pd.DataFrame, where: str, arm: str = "transfer") -> Figure | None:
    """ΔF1 of each target node against its local model: a box over nodes, and every node as a point."""
    differences = differences[differences["n_participants"].notna()]
    if differences.empty:
        return None
    policies = ordered(differences["policy"], POLICIES)
    counts = sorted({int(n) for n in differences["n_participants"]})
    groups = [(policy, n) for policy in policies for n in counts]
    colours = _colour_by(policies)
    figure, panels = _panels(differences, f"{where}: gain in F1 by {arm}, node by node", "participants N")
    for paradigm, axes in panels.items():
        here = differences[differences["paradigm"] == paradigm]
        for x, (policy, n) in enumerate(groups):
            values = np.sort(here.loc[(here["policy"] == policy) & (here["n_participants"] == n), "delta_f1"])
            if not values.size:
                continue
            box = axes.boxplot(values, positions=[x], widths=0.7, showfliers=False, patch_artist=True)
            box["boxes"][0].set(facecolor=colours[policy], alpha=0.55)
            box["medians"][0].set(color="black", linewidth=1.6)
            axes.plot(x + _spread(values.size), values, "o", color="black", markersize=2.2, alpha=0.7)
        axes.set_xticks(range(len(groups)), [str(n) for _, n in groups])
        for first in range(len(counts), len(groups), len(counts)):
            axes.axvline(first - 0.5, color="0.6", linewidth=0.8, linestyle=":")
    _leftmost(panels).set_ylabel("ΔF1 of one target node against its local model\n(mean over draws and seeds)")
    handles = [Patch(facecolor=colours[policy], edgecolor="black", alpha=0.55, label=policy) for policy in policies]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def training_loss(rounds: pd.DataFrame, where: str) -> Figure | None:
    """Federated training loss over rounds, by policy and N, averaged over draws and seeds."""
    rounds = rounds[rounds["train_loss"].notna()]
    if rounds.empty:
        return None
    policies = ordered(rounds["policy"], POLICIES)
    counts = sorted({int(n) for n in rounds["n_participants"]})
    colours = _colour_by(policies)
    figure, panels = _panels(rounds, f"{where}: federated training", "round", shared_scale=False)
    for paradigm, axes in panels.items():
        here = rounds[rounds["paradigm"] == paradigm]
        for (i, policy), (k, n) in product(enumerate(policies), enumerate(counts)):
            cohort = here[(here["policy"] == policy) & (here["n_participants"] == n)]
            if cohort.empty:
                continue
            mean = cohort.groupby("round")["train_loss"].mean()
            axes.plot(
                mean.index, mean, _LINES[i % len(_LINES)], color=colours[policy], linewidth=1.3,
                marker=_MARKERS[k % len(_MARKERS)], markersize=4, markevery=max(1, len(mean) // 8),
                markeredgecolor="black", markeredgewidth=0.5, label=f"{policy}, N = {n}",
            )  # fmt: skip
        if (here["train_loss"] > 0).all():
            axes.set_yscale("log")
    _leftmost(panels).set_ylabel("training loss of the cohort\n(mean over draws and seeds)")
    entries: dict[str, Any] = {}
    for axes in panels.values():
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    shown = [label for n in counts for policy in policies if (label := f"{policy}, N = {n}") in entries]
    columns = min(6, len(shown))
    figure.legend([entries[s] for s in shown], shown, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def node_differences(results: pd.DataFrame, arm: str = "transfer", reference: str = "local") -> pd.DataFrame:
    """ΔF1 of each target node: the mean over draws and seeds of F1(arm) - F1(reference, same seed).

    Returns:
        The key of the cell, node, delta_f1; nodes without a defined F1 are left out.

    Raises:
        ValueError: If a target lacks its reference, or was scored on other test rows than it.
    """
    runs = target_runs(results[results["arm"] == arm])
    pairs = pair_with(runs, results[results["arm"] == reference], ["f1"], "_before")
    pairs["delta_f1"] = pairs["f1"] - pairs["f1_before"]
    nodes = node_means(pairs, [*CELL_COLUMNS], ["delta_f1"])
    return nodes[nodes["delta_f1"].notna()]


def _panels(table: pd.DataFrame, title: str, x_label: str, shared_scale: bool = True) -> tuple[Figure, dict[str, Axes]]:
    """One panel per paradigm that occurs, side by side."""
    paradigms = ordered(table["paradigm"], PARADIGMS)
    figure = Figure(figsize=(max(7.0, 4.2 * len(paradigms)), 4.4), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(1, len(paradigms), sharey=shared_scale, squeeze=False)[0]
    for axes, paradigm in zip(grid, paradigms, strict=True):
        axes.set_title(paradigm, fontsize=11)
        axes.set_xlabel(x_label)
        axes.grid(axis="y", color="0.88", linewidth=0.7)
        axes.set_axisbelow(True)
        if shared_scale:
            axes.axhline(0, color="black", linewidth=0.9)
    return figure, dict(zip(paradigms, grid, strict=True))


def _leftmost(panels: dict[str, Axes]) -> Axes:
    return next(iter(panels.values()))


def _spread(n: int) -> np.ndarray:
    """Sideways shifts that keep sorted neighbours apart, without drawing lots."""
    golden_ratio = (5**0.5 - 1) / 2
    return (np.arange(n) * golden_ratio % 1.0 - 0.5) * 0.44


def _colour_by(policies: list[str]) -> dict[str, str]:
    return {policy: _COLOURS[i % len(_COLOURS)] for i, policy in enumerate(policies)}


def _numbers(rows: pd.DataFrame, name: str) -> np.ndarray:
    return rows[name].to_numpy(float) if name in rows else np.full(len(rows), np.nan)


def _of(table: pd.DataFrame, dataset: str, protocol: str) -> pd.DataFrame:
    here = table[table["dataset"] == dataset]
    return here[here["protocol"] == protocol] if "protocol" in here else here


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
