"""ROC and precision-recall curves of chosen nodes, local beside transfer, with the point where the threshold lies."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ftl.evaluation.ranking import rank
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.chosen import ARMS, MOST_NODES, chosen_nodes, paradigms_of, series_of, why
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject

_LOOKS: dict[str, tuple[Any, str, str]] = {
    "local": ("-", "o", "white"),
    "transfer": ("--", "D", "black"),
}  # line, marker and its face
_POINTS = 400  # of a curve, evenly and from its start: more cannot be told apart


@dataclass(frozen=True)
class Curve:
    """Both curves of one model on one node, and where its threshold lies on them."""

    arm: str
    fpr: np.ndarray  # (S,) from 0 to 1
    recall: np.ndarray  # (S,)
    precision: np.ndarray  # (S,) at the same steps; the first is that of the highest scores
    at: tuple[float, float, float]  # fpr, recall, precision at the threshold; precision NaN where nothing is flagged
    prevalence: float


def pictures(subject: Subject) -> Iterator[Picture]:
    """ranking, one picture per paradigm."""
    for paradigm, table in paradigms_of(subject.timelines):
        curves = {
            node: [curve for arm, part in series_of(table, node) if (curve := curve_of(part, arm)) is not None]
            for node in chosen_nodes(table)
        }
        curves = {node: found for node, found in curves.items() if found}
        if not curves:
            continue
        what = f"ROC and precision-recall curves of chosen nodes, {paradigm}"
        figure = roc_pr(curves, subject.titled(what))
        alt = "Above ROC curves, below precision-recall curves, one column per node, local solid and transfer dashed."
        yield subject.picture("ranking", what, figure, _caption(curves, table), alt, paradigm)


def curve_of(rows: pd.DataFrame, arm: str) -> Curve | None:
    """The curves of rows (score, threshold, label), rows of unknown label left out; None unless both kinds of rows are
    there."""
    rows = rows[rows["label"].notna() & rows["score"].notna()]
    score, anomalous = rows["score"].to_numpy(float), rows["label"].to_numpy(float) == 1
    n_anomalous, n = int(anomalous.sum()), len(rows)
    if n_anomalous in (0, n):
        return None
    ranking = rank(score)
    tp = anomalous[ranking.order].cumsum()[ranking.last]
    flagged = ranking.last + 1
    ends = np.linspace(0, len(tp) - 1, _POINTS), np.geomspace(1, len(tp), _POINTS) - 1  # precision moves early
    keep = np.unique(np.concatenate(ends).round().astype(int))
    tp, flagged = tp[keep], flagged[keep]
    precision = tp / flagged
    raised = score > rows["threshold"].to_numpy(float)
    hits = int((raised & anomalous).sum())
    at = (
        float((raised.sum() - hits) / (n - n_anomalous)),
        hits / n_anomalous,
        hits / int(raised.sum()) if raised.any() else float("nan"),
    )
    fpr = np.append(0.0, (flagged - tp) / (n - n_anomalous))
    return Curve(
        arm, fpr, np.append(0.0, tp / n_anomalous), np.append(precision[0], precision), at, n_anomalous / n
    )  # fmt: skip


def roc_pr(curves: dict[str, list[Curve]], title: str) -> Figure:
    """A column per node: ROC above, precision over recall below."""
    columns = max(2, len(curves))
    figure = ink.titled(max(7.0, 2.65 * columns), 5.9, title)
    grid = figure.subplots(2, columns, sharex="row", sharey="row", squeeze=False)
    for column, (node, found) in enumerate(curves.items()):
        _draw_node(grid[0, column], grid[1, column], found)
        ink.headed(grid[0, column], ink.plain(node), 9)
    for axes in grid[:, len(curves) :].ravel():
        axes.set_axis_off()
    grid[0, 0].set_ylabel("recall\n(share of anomalous rows)", fontsize=9.5)
    grid[1, 0].set_ylabel("precision\n(share of flagged rows)", fontsize=9.5)
    handles = [
        Line2D(
            [], [], color="black", linestyle=line, marker=marker, markerfacecolor=face, label=f"{arm}, threshold marked"
        )
        for arm, (line, marker, face) in _LOOKS.items()
    ]
    handles.append(Line2D([], [], color=ink.GREY, linestyle=":", label="chance (below: prevalence of anomalies)"))
    ink.below(figure, handles, 3)
    ink.fit(figure, 0.9, (0.14, 0.6), 0.42)
    return figure


def _draw_node(roc: Axes, pr: Axes, curves: list[Curve]) -> None:
    roc.plot([0, 1], [0, 1], color=ink.GREY, linestyle=":")
    pr.axhline(curves[0].prevalence, color=ink.GREY, linestyle=":")
    for curve in curves:
        line, marker, face = _LOOKS.get(curve.arm, ("-.", "s", "0.6"))
        size = 9 if face == "white" else 5.5  # both are seen where they meet
        point: dict[str, Any] = {
            "marker": marker,
            "markerfacecolor": face,
            "markeredgecolor": "black",
            "linestyle": "",
            "zorder": 5,
        }
        roc.plot(curve.fpr, curve.recall, color="black", linestyle=line, linewidth=1.2)
        roc.plot(curve.at[0], curve.at[1], markersize=size, clip_on=False, **point)
        pr.plot(curve.recall, curve.precision, color="black", linestyle=line, linewidth=1.2)
        pr.plot(curve.at[1], curve.at[2], markersize=size, clip_on=False, **point)
    roc.set_xlabel("false-positive rate", fontsize=9)
    pr.set_xlabel("recall", fontsize=9)
    for axes in (roc, pr):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), yticks=[0, 0.25, 0.5, 0.75, 1])
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ink.ruled(axes)


def _caption(curves: dict[str, list[Curve]], table: pd.DataFrame) -> str:
    """How to read the curves, and what the thresholds reach on each node."""
    parts = []
    for node, found in curves.items():
        reached = [
            f"{c.arm} finds {c.at[1]:.0%} at a false-positive rate of {c.at[0]:.1%}" for c in found
        ]  # fmt: skip
        parts.append(f"{node} ({found[0].prevalence:.1%} anomalous): {', '.join(reached)}")
    return (
        "One column per node. A curve nearer to the upper left (ROC) or upper right (precision-recall) is a better "
        "ranking; the marker is where the model's own threshold lies, and a good ranking with a marker in the wrong "
        "place is a matter of the threshold. A model that flags nothing has no precision, and no marker below. Where "
        "anomalies are rare the lower row tells more: the dotted line is what a random score reaches. "
        f"{'; '.join(parts)}. {why(table, MOST_NODES)} Arms: {', '.join(ARMS)}, first seed."
    )
