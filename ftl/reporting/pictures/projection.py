"""Nodes by the distribution of their features, in two principal components (the paper's Fig. 5a)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ftl.reporting.pictures import ink
from ftl.reporting.pictures.centrality import spearman
from ftl.reporting.pictures.labels import place_labels
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject
from ftl.reporting.tables import PARADIGMS, ordered

_LOOKS = {  # (face, marker, size)
    "participant with every seed": ("black", "*", 11.0),
    "participant with some seeds": ("0.6", "*", 11.0),
    "not a participant": ("white", "o", 5.5),
}


def pictures(subject: Subject) -> Iterator[Picture]:
    """projection, where the nodes' features were projected."""
    nodes = subject.projection
    if nodes.empty:
        return
    nodes = nodes[nodes["x"].notna() & nodes["y"].notna()]
    if len(nodes) < 2:
        return
    cohort = subject.headline_words()
    what = "nodes by the distribution of their features" + (f" ({cohort})" if cohort else "")
    alt = "Scatter plot of nodes in two principal components; participants are stars."
    figure = projection(nodes, subject.shares, subject.titled(what))
    yield subject.picture("projection", what, figure, _caption(nodes, subject), alt)


def projection(nodes: pd.DataFrame, shares: pd.DataFrame, title: str) -> Figure:
    """One panel per paradigm (their participants differ), or one panel without marks where none are known.

    Args:
        nodes: node, x, y, share_x, share_y.
        shares: paradigm, node, share: in which share of the seeds it took part.
        title: Of the figure.
    """
    names = ordered(shares["paradigm"], PARADIGMS) or [""]
    figure = ink.titled(max(7.0, ink.PANEL * len(names)), 4.6, title)
    for axes, paradigm in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
        own = shares[shares["paradigm"] == paradigm].set_index("node")["share"]
        share = nodes["node"].map(own).fillna(0.0).to_numpy(float)
        ink.headed(axes, ink.plain(paradigm))
        _draw(axes, nodes, share)
        axes.set_xlabel(f"first component ({float(nodes['share_x'].iloc[0]):.0%} of the variance)")
        if paradigm == names[0]:
            axes.set_ylabel(f"second component ({float(nodes['share_y'].iloc[0]):.0%} of the variance)")
    handles = [
        Line2D([], [], linestyle="", marker=marker, markersize=size, markerfacecolor=face, markeredgecolor="black",
               label=word)
        for word, (face, marker, size) in _LOOKS.items()
    ]  # fmt: skip
    handles.append(
        Line2D([], [], linestyle="", marker="+", markersize=11, color="black", label="centroid of all nodes")
    )
    ink.below(figure, handles, 4)
    ink.fit(figure, 0.75)
    _label(figure, nodes)
    return figure


def _draw(axes: Axes, nodes: pd.DataFrame, share: np.ndarray) -> None:
    kinds = (share >= 1 - 1e-9, (share > 0) & (share < 1 - 1e-9), share <= 0)
    for which, (face, marker, size) in reversed([*zip(kinds, _LOOKS.values(), strict=True)]):
        smaller = 1.0 if len(nodes) <= ink.FEW_NODES else 0.8
        axes.plot(nodes["x"][which], nodes["y"][which], marker, markerfacecolor=face, markeredgecolor="black",
                  markersize=size * smaller, markeredgewidth=0.7)  # fmt: skip
    axes.plot(nodes["x"].mean(), nodes["y"].mean(), "+", color="black", markersize=11, markeredgewidth=1.2)
    axes.margins(0.12)
    ink.ruled(axes)


def _label(figure: Figure, nodes: pd.DataFrame) -> None:
    """Names beside the points where there are few; else of the five nodes farthest from the centroid."""
    named = nodes if len(nodes) <= ink.FEW_NODES else _farthest(nodes, 5)
    for axes in figure.axes:
        place_labels(axes, nodes[["x", "y"]].to_numpy(float), named.index, nodes["node"].to_dict())


def _farthest(nodes: pd.DataFrame, n: int) -> pd.DataFrame:
    centred = nodes[["x", "y"]] - nodes[["x", "y"]].mean()
    return nodes.loc[(centred**2).sum(axis=1).nlargest(n).index]


def _caption(nodes: pd.DataFrame, subject: Subject) -> str:
    """How to read the map, and whether nodes near the centroid have a better local model or gain more."""
    explained = float(nodes["share_x"].iloc[0] + nodes["share_y"].iloc[0])
    told = []
    if "distance" in nodes:
        distance = nodes.set_index("node")["distance"].astype(float)
        for paradigm in ordered(subject.local_f1["paradigm"], PARADIGMS):
            parts = []
            for words, table, column in (
                ("local F1", subject.local_f1, "f1"),
                ("ΔF1", subject.headline_gains, "delta_f1"),
            ):
                own = table[table["paradigm"] == paradigm].set_index("node")[column].astype(float)
                closeness = -distance.reindex(own.index).to_numpy()
                parts.append(f"with {words} {spearman(closeness, own.to_numpy())}")
            told.append(f"{paradigm}: {', '.join(parts)}")
    correlation = (
        " Closeness to the centroid and what comes of it, Spearman's rank correlation over nodes with its 95 % "
        f"interval, not corrected for the number of them: {'; '.join(told)}."
        if told
        else ""
    )
    return (
        "Nodes that lie together have similar distributions of features. The two components (PCA) hold "
        f"{explained:.0%} of the variance between nodes, so distances in the picture leave out the rest. Stars are the "
        "participants of the headline cohort, grey where a node took part with some seeds only.{}".format(correlation)
    )
