"""Every arm and baseline side by side: AUROC, with the interval of its difference to the local model."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ftl.evaluation.results import BASELINES
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject
from ftl.reporting.tables import ARMS, NOT_SIMPLE, PARADIGMS, ordered


def pictures(subject: Subject) -> Iterator[Picture]:
    """arms, where any arm has an AUROC."""
    cells = arms_at_headline(subject)
    if cells.empty:
        return
    cohort = subject.headline_words()
    what = "arms and baselines" + (f" ({cohort})" if cohort else "")
    alt = "Dots of the AUROC of every arm and baseline, with intervals, one panel per paradigm."
    yield subject.picture("arms", what, arms(cells, subject.titled(what)), _caption(cells), alt)


def arms_at_headline(subject: Subject) -> pd.DataFrame:
    """Rows of the summary without a cohort, and those of the headline cohorts, where AUROC is defined."""
    summary = subject.summary
    if summary.empty:
        return summary
    rows = pd.concat(
        [summary[summary["policy"].isna()], subject.at_headline(summary[summary["policy"].notna()])], ignore_index=True
    )
    return rows[rows["auroc_after"].notna()]


def arms(cells: pd.DataFrame, title: str) -> Figure:
    """AUROC of each arm as a dot; the tick is the local model on the same nodes, and the whisker the 95 % interval of
    the difference to it, set out from the tick."""
    names, paradigms = ordered(cells["arm"], ARMS), ordered(cells["paradigm"], PARADIGMS)
    place = {name: k for k, name in enumerate(names)}
    figure = ink.titled(max(7.0, ink.PANEL * len(paradigms)), 1.7 + 0.27 * len(names), title)
    grid = figure.subplots(1, len(paradigms), sharex=True, sharey=True, squeeze=False)[0]
    for axes, paradigm in zip(grid, paradigms, strict=True):
        ink.headed(axes, ink.plain(paradigm))
        rows = cells[cells["paradigm"] == paradigm]
        _draw(axes, rows, rows["arm"].map(place).to_numpy(float))
    first_baseline = min((place[name] for name in names if name in BASELINES), default=0)
    for axes in grid:
        axes.axvline(0.5, color="black", linewidth=0.9, linestyle=":")
        if first_baseline:
            axes.axhline(first_baseline - 0.5, color="0.5", linewidth=0.8, linestyle="--")
        axes.set_xlabel("AUROC, mean over nodes (no unit)")
        ink.ruled(axes, "x")
    grid[0].set_yticks(range(len(names)), [ink.plain(name) for name in names])
    grid[0].set_ylim(len(names) - 0.5, -0.5)
    grid[0].set_xlim(right=min(grid[0].get_xlim()[1], 1.01))
    handles = [
        _dot("arm", [], []),
        _dot("baseline", [], [], baseline=True),
        Line2D([], [], linestyle="", marker="|", markersize=9, color="black", label="local model on the same nodes"),
        Line2D([], [], color="black", linewidth=1, label="95 % interval of the difference to it"),
        Line2D([], [], color="black", linewidth=1, linestyle=":", label="chance"),
    ]
    ink.below(figure, handles, 5 if len(paradigms) > 2 else 3)
    ink.fit(figure, 0.2 + ink.width_of(names, 10))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, y: np.ndarray) -> None:
    value, before = rows["auroc_after"].to_numpy(float), rows["auroc_before"].to_numpy(float)
    low, high = (before + rows[name].to_numpy(float) for name in ("ci_low_auroc", "ci_high_auroc"))
    known = ~np.isnan(low)
    axes.hlines(y[known], low[known], high[known], color="black", linewidth=1.3)
    axes.plot(before, y, "|", color="black", markersize=9)
    simple = rows["arm"].isin(BASELINES).to_numpy()
    for which, baseline in ((~simple, False), (simple, True)):
        axes.add_line(_dot("", value[which], y[which], baseline))
    axes.update_datalim(np.stack([value, y], axis=1))
    axes.autoscale_view()


def _dot(label: str, x: np.ndarray | list[float], y: np.ndarray | list[float], baseline: bool = False) -> Line2D:
    return Line2D(
        x, y, linestyle="", marker="s" if baseline else "o", markersize=4.5, label=label, markeredgecolor="black",
        markerfacecolor="white" if baseline else ink.DARK, markeredgewidth=0.8,
    )  # fmt: skip


def _caption(cells: pd.DataFrame) -> str:
    """How to read the dots, and which arm and which baseline rank best."""
    parts = []
    for paradigm in ordered(cells["paradigm"], PARADIGMS):
        rows = cells[cells["paradigm"] == paradigm]
        simple = rows["arm"].isin(BASELINES)
        rows, simple = rows[~rows["arm"].isin(NOT_SIMPLE)], simple[~rows["arm"].isin(NOT_SIMPLE)]
        best = [
            f"{kind} {part['arm'].iloc[int(part['auroc_after'].argmax())]} ({part['auroc_after'].max():.3f})"
            for kind, part in (("arm", rows[~simple]), ("baseline", rows[simple]))
            if len(part)
        ]
        parts.append(f"{paradigm}: highest {' and '.join(best)}")
    return (
        "A dot is the mean AUROC over nodes with test anomalies: how often an anomalous row scores above a normal one, "
        "0.5 by chance, whatever the threshold. The tick is the local model on the same nodes; where the whisker "
        "(cut at 1) reaches over the tick, no difference to it is shown. Arms of a cohort stand over its targets, the "
        f"others over all nodes, so compare each with its own tick. {'; '.join(parts)}. Being highest in a list "
        "is no evidence by itself."
    )
