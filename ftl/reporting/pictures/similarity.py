"""How similar local encoders are (the paper's Fig. 5b): CKA beside cosine, and whether central nodes gain more.

The cosine of raw weights compares units by their number; encoders that were not started alike may compute the same with
their units in another order, and have a cosine near 0. CKA compares what encoders make of common rows, in any order.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ftl.reporting.formats import count
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.centrality import SIMILARITIES, mean_similarity, similarity_matrix, spearman
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject
from ftl.reporting.tables import PARADIGMS, ordered

_NAMES = {"cosine": "cosine of weights", "cka": "linear CKA on common rows"}
_SIDES = ("cosine", "cka")
_ALIKE = 0.9  # the scale reaches down to here at least, so that what is alike looks alike
_SHEET, _LEFTS = (10.5, 8.1), (1.05, 6.1)  # inches: the sheet, and the left edges of its two columns


def pictures(subject: Subject) -> Iterator[Picture]:
    """similarity, one picture per paradigm."""
    pairs = subject.similarity
    if pairs.empty:
        return
    for paradigm in ordered(pairs["paradigm"], PARADIGMS):
        here = pairs[pairs["paradigm"] == paradigm]
        nodes = node_values(subject, paradigm, sorted({*here["node_a"], *here["node_b"]}))
        matrices = {side: similarity_matrix(here, nodes.index.to_list(), side) for side in _SIDES if side in here}
        if not matrices or len(nodes) < 2:
            continue
        for side, matrix in matrices.items():
            nodes[side] = mean_similarity(matrix)
        what = f"similarity of the nodes' local encoders, {paradigm}"
        figure = similarity_maps(nodes, matrices, subject.titled(what))
        alt = (
            "Heat maps of the similarity of every pair of encoders, nodes in order of their local F1, and two scatter "
        )
        alt += "plots of mean similarity against F1 and against the gain."
        yield subject.picture("similarity", what, figure, _caption(nodes, here, subject), alt, paradigm)


def node_values(subject: Subject, paradigm: str, nodes: list[str]) -> pd.DataFrame:
    """What is known of each node, by node: f1 (local), gain (ΔF1 at the headline cohort), closeness (minus the distance
    of its features to the centroid), share (of seeds in which it took part); from the highest F1 to the lowest."""
    table = pd.DataFrame(index=pd.Index(nodes, name="node"))
    sources = {
        "f1": (subject.local_f1, "f1"),
        "gain": (subject.headline_gains, "delta_f1"),
        "share": (subject.shares, "share"),
    }
    for name, (source, column) in sources.items():
        own = source[source["paradigm"] == paradigm]
        table[name] = own.set_index("node")[column].astype(float).reindex(table.index)
    distance = pd.Series(np.nan, index=table.index)
    if "distance" in subject.projection:
        distance = subject.projection.set_index("node")["distance"].astype(float).reindex(table.index)
    table["closeness"] = -distance
    return table.sort_values("f1", ascending=False, na_position="last", kind="stable")


def similarity_maps(nodes: pd.DataFrame, matrices: dict[str, np.ndarray], title: str) -> Figure:
    """A heat map per measure, and the mean similarity of each node over its local F1 and over its gain.

    Args:
        nodes: As of :func:`node_values`, with a column of mean similarity per measure.
        matrices: By measure, (K, K) in the order of `nodes`.
        title: Of the figure.
    """
    figure = ink.titled(*_SHEET, title)
    for left, (side, matrix) in zip(_LEFTS, matrices.items(), strict=False):
        _draw_map(figure, left, matrix, nodes, _NAMES[side])
    side = "cka" if "cka" in matrices else "cosine"
    outcomes = {"f1": "F1 of the local model", "gain": "ΔF1 of the node by transfer"}
    for left, (value, label) in zip(_LEFTS, outcomes.items(), strict=True):
        _draw_scatter(_axes(figure, left, 0.5, 4.05, 2.6), nodes, side, value, label)
    return figure


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    return figure.add_axes((left / _SHEET[0], bottom / _SHEET[1], width / _SHEET[0], height / _SHEET[1]))


def _draw_map(figure: Figure, left: float, matrix: np.ndarray, nodes: pd.DataFrame, name: str) -> None:
    axes = _axes(figure, left, 3.65, 3.75, 3.75)
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    low = float(np.nanmin(off)) if (~np.isnan(off)).any() else 0.0
    axes.set_facecolor("white")
    image = axes.imshow(matrix, cmap=ink.HEAT, vmin=min(low, _ALIKE), vmax=1, interpolation="nearest")
    bar = figure.colorbar(image, cax=_axes(figure, left + 3.85, 3.65, 0.15, 3.75), format="%.2f")
    bar.ax.tick_params(labelsize=8)
    ink.headed(axes, f"{name} (no unit)")
    size = 7.0 if len(nodes) <= 20 else 5.5
    if len(nodes) <= ink.FEW_NODES:
        names = [("★ " if share > 0 else "") + ink.plain(node, 12) for node, share in nodes["share"].items()]
        axes.set_yticks(range(len(nodes)), names, fontsize=size)
        axes.set_xticks([])
    else:
        places = [k for k, share in enumerate(nodes["share"]) if share > 0]
        axes.set_yticks(places, ["★"] * len(places), fontsize=6)
        axes.set_xticks([0, len(nodes) - 1], ["1", str(len(nodes))], fontsize=8)
    axes.set_xlabel("nodes, from the highest local F1 to the lowest", fontsize=9)


def _draw_scatter(axes: Axes, nodes: pd.DataFrame, side: str, value: str, label: str) -> None:
    took_part = (nodes["share"] > 0).to_numpy()
    for which, face, marker, word in (
        (~took_part, "white", "o", "other node"),
        (took_part, "black", "*", "participant"),
    ):
        part = nodes[which]
        if part[value].notna().any():
            axes.plot(part[side], part[value], marker, markerfacecolor=face, markeredgecolor="black",
                      markersize=5 if marker == "o" else 8, markeredgewidth=0.8, label=word)  # fmt: skip
    if not nodes[value].notna().any():
        axes.text(0.5, 0.5, "not known", ha="center", va="center", transform=axes.transAxes)
    elif value == "f1":
        axes.legend(fontsize=7.5, loc="best")
    if value == "gain":
        axes.axhline(0, color="black", linewidth=0.8)
    axes.tick_params(labelsize=8.5)
    axes.set_xlabel(f"centrality: mean {side if side == 'cosine' else 'CKA'} to the other nodes (no unit)", fontsize=9)
    axes.set_ylabel(label, fontsize=9)
    ink.ruled(axes)


def _caption(nodes: pd.DataFrame, pairs: pd.DataFrame, subject: Subject) -> str:
    """How to read the maps, and the correlation of every measure of centrality with F1 and with the gain."""
    measures = {"cka": "mean CKA", "cosine": "mean cosine", "closeness": "closeness of features to the centroid"}
    told = []
    for name, words in measures.items():
        if name in nodes and nodes[name].notna().any():
            with_f1, with_gain = (spearman(nodes[name].to_numpy(), nodes[v].to_numpy()) for v in ("f1", "gain"))
            told.append(f"{words}: with local F1 {with_f1}, with ΔF1 {with_gain}")
    medians = [
        f"median {side.upper() if side == 'cka' else side} {float(pairs[side].median()):.2f}"
        for side in SIMILARITIES
        if side in pairs and pairs[side].notna().any()
    ]
    n_seeds = pairs["seed"].nunique()
    return (
        "Every cell is a pair of nodes, the darker the more alike their encoders are (mean over "
        f"{count(n_seeds, 'seed')}; {', '.join(medians)}); nodes stand in order of their local F1, and a star marks "
        f"the participants of the headline cohort ({subject.headline_words() or 'none'}). Cosine compares weights unit "
        "by unit and is meaningful only where all encoders started from one initialisation; CKA compares what they "
        "make of the same rows. If good nodes were alike, the upper left corner would be dark. Below: does a central "
        "node detect better (left), or gain more from transfer (right)? Spearman's rank correlation over nodes with "
        f"its 95 % interval, not corrected for their number: {'; '.join(told) or 'nothing of the nodes is known'}."
    )
