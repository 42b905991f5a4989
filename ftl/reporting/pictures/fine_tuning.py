"""Decoder-only against full fine-tuning (the paper's Fig. 3), node by node, with a test of equivalence."""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ftl.evaluation.comparison import EQUIVALENCE_MARGIN, compare_arms, target_runs
from ftl.reporting.formats import count
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import ARM, Subject
from ftl.reporting.pictures.wording import interval, p_of, signed
from ftl.reporting.tables import PARADIGMS, ordered

FULL = "full_fine_tune"
_LEVEL = 0.05


def pictures(subject: Subject) -> Iterator[Picture]:
    """fine_tuning, where both arms were run."""
    if subject.results.empty:
        return
    both = subject.at_headline(subject.results[subject.results["arm"].isin([ARM, FULL])])
    nodes = paired_f1(both)
    if nodes.empty:
        return
    what = f"decoder-only ({ARM}) against full fine-tuning ({subject.headline_words()})"
    compared = {row["paradigm"]: row for row in compare_arms(both, ARM, FULL, subject.known_racks).to_dict("records")}
    alt = "Scatter plot of F1 after decoder-only over F1 after full fine-tuning, one point per target node."
    figure = fine_tuning(nodes, subject.titled(what))
    yield subject.picture("fine_tuning", what, figure, _caption(compared, nodes), alt)


def paired_f1(results: pd.DataFrame) -> pd.DataFrame:
    """F1 of each target after both ways of fine-tuning: paradigm, node, transfer, full_fine_tune, means over draws and
    seeds that both have."""
    runs = target_runs(results)
    keys = ["paradigm", "policy", "n_participants", "draw", "seed", "node"]
    sides = [runs.loc[runs["arm"] == arm, [*keys, "f1"]].rename(columns={"f1": arm}) for arm in (ARM, FULL)]
    pairs = sides[0].merge(sides[1], on=keys)
    return pairs.groupby(["paradigm", "node"], sort=True)[[ARM, FULL]].mean().dropna().reset_index()


def fine_tuning(nodes: pd.DataFrame, title: str) -> Figure:
    """F1 after decoder-only over F1 after full fine-tuning, a point per node, with the line of equal F1."""
    names = ordered(nodes["paradigm"], PARADIGMS)
    figure = ink.titled(max(5.5, ink.PANEL * len(names)), 4.4, title)
    for axes, paradigm in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
        here = nodes[nodes["paradigm"] == paradigm]
        ink.headed(axes, ink.plain(paradigm))
        _draw_pairs(axes, here[FULL].to_numpy(), here[ARM].to_numpy(), _ends(nodes))
        axes.set_xlabel("F1, all layers fine-tuned")
        if paradigm == names[0]:
            axes.set_ylabel("F1, decoder alone fine-tuned\n(mean over draws and seeds)", fontsize=9.5)
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], linestyle="", marker="o", markerfacecolor="none", markeredgecolor="black", label="one target node"
        ),
        Line2D([], [], color="black", linewidth=1, label="equal F1"),
        Patch(facecolor="0.85", edgecolor="0.5", label=f"within {EQUIVALENCE_MARGIN:g} of F1"),
    ]
    ink.below(figure, handles, 3)
    ink.fit(figure, 0.98, (0.14, 0.5))
    return figure


def _draw_pairs(axes: Axes, full: np.ndarray, decoder: np.ndarray, ends: np.ndarray) -> None:
    axes.fill_between(ends, ends - EQUIVALENCE_MARGIN, ends + EQUIVALENCE_MARGIN, color="0.85", edgecolor="0.5")
    axes.plot(ends, ends, color="black", linewidth=1)
    size = 6 if len(full) <= ink.FEW_NODES else 4
    axes.plot(full, decoder, "o", markerfacecolor="none", markeredgecolor="black", markersize=size, alpha=0.75)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    ink.ruled(axes)


def _ends(nodes: pd.DataFrame) -> np.ndarray:
    """Both ends of the scale that all panels share."""
    f1 = nodes[[ARM, FULL]].to_numpy()
    margin = 0.06 * max(0.1, float(np.ptp(f1)))
    return np.array([f1.min() - margin, f1.max() + margin])


def _caption(compared: Mapping[str, Mapping[Any, Any]], nodes: pd.DataFrame) -> str:
    """The paired difference of each paradigm, and whether the two are shown to be equivalent."""
    parts = []
    for paradigm in ordered(nodes["paradigm"], PARADIGMS):
        row = compared[paradigm]
        parts.append(
            f"{paradigm}: mean difference {signed(row['delta_f1'])} "
            f"({interval(row['ci_low'], row['ci_high'])}, {count(int(row['n_nodes']), 'node')}); "
            f"{_equivalence(row['p_equivalence'], float(row['delta_f1']))}"
        )
    return (
        "Every point is one target node; above the line the decoder alone did better, below it full fine-tuning did. "
        f"Points in the grey band differ by less than {EQUIVALENCE_MARGIN:g}. Decoder-only minus full: "
        f"{'. '.join(parts)}. The test of equivalence (TOST) asks whether the mean difference lies within "
        f"±{EQUIVALENCE_MARGIN:g}; an interval that holds 0 does not say so by itself."
    )


def _equivalence(p: float, delta: float) -> str:
    if isnan(p):
        return "equivalence cannot be tested (fewer than two nodes, or all differences equal)"
    if p < _LEVEL:
        return f"equivalent within ±{EQUIVALENCE_MARGIN:g} (TOST {p_of(p)})"
    far = ", the difference being larger" if abs(delta) > EQUIVALENCE_MARGIN else ""
    return f"not shown to be equivalent within ±{EQUIVALENCE_MARGIN:g} (TOST {p_of(p)}){far}"
