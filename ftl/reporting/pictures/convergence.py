"""Federated training loss over rounds, by policy and N."""

from collections.abc import Iterator
from itertools import cycle, product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject
from ftl.reporting.pictures.wording import listed
from ftl.reporting.tables import POLICIES, ordered

_WIDE = 4.0
_STILL_FALLING = 0.02  # of the loss, over the last tenth of the rounds


def pictures(subject: Subject) -> Iterator[Picture]:
    """training_loss, where rounds were recorded."""
    what = "federated training"
    figure = training_loss(subject.rounds, subject.titled(what))
    if figure is not None:
        alt = "Lines of the training loss over rounds, by paradigm, policy and number of participants."
        yield subject.picture("training_loss", what, figure, _caption(_means(subject.rounds)), alt)


def training_loss(rounds: pd.DataFrame, title: str) -> Figure | None:
    """Federated training loss over rounds, by policy and N, averaged over draws and seeds."""
    if rounds.empty or not rounds["train_loss"].notna().any():
        return None
    means = _means(rounds)
    policies = ordered(means["policy"], POLICIES)
    counts = sorted({int(n) for n in means["n_participants"]})
    colours = dict(zip(policies, cycle(ink.LINE_COLOURS), strict=False))
    n_styles = len(ink.LINES)
    styles = [ink.LINES[(i + i // n_styles) % n_styles] for i in range(len(policies))]  # no pair of both comes twice
    figure, panels = ink.panels(means["paradigm"], title, "round", shared=False)
    entries: dict[str, Any] = {}
    for paradigm, axes in panels.items():
        here = means[means["paradigm"] == paradigm]
        lines: dict[Any, pd.DataFrame] = dict(iter(here.groupby(["policy", "n_participants"])))
        for (i, policy), (k, n) in product(enumerate(policies), enumerate(counts)):
            if (policy, n) not in lines:
                continue
            line = lines[policy, n]
            label, step = f"{ink.plain(policy)}, N = {n}", max(1, len(line) // 6)
            (entries[label],) = axes.plot(
                line["round"], line["train_loss"], styles[i], color=colours[policy], linewidth=1.3,
                marker=ink.MARKERS[k % len(ink.MARKERS)], markersize=4.5, markevery=(k * step // len(counts), step),
                markeredgecolor="black", markeredgewidth=0.5, label=label,
            )  # fmt: skip
        _scale(axes, here["train_loss"].to_numpy())
    next(iter(panels.values())).set_ylabel("training loss of the cohort\n(mean over draws and seeds)", fontsize=9.5)
    shown = [label for n in counts for policy in policies if (label := f"{ink.plain(policy)}, N = {n}") in entries]
    ink.below(figure, [entries[label] for label in shown], 6)
    ink.fit(figure, 1.02, (0.6, 0.5))
    return figure


def _scale(axes: Axes, loss: np.ndarray) -> None:
    """Logarithmic where the losses span a factor of _WIDE; plain numbers at the ticks either way."""
    if loss.min() > 0 and loss.max() > _WIDE * loss.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _means(rounds: pd.DataFrame) -> pd.DataFrame:
    """paradigm, policy, n_participants, round, train_loss: the mean over draws and seeds."""
    keys = ["paradigm", "policy", "n_participants", "round"]
    return rounds[rounds["train_loss"].notna()].groupby(keys, sort=True)["train_loss"].mean().reset_index()


def _caption(means: pd.DataFrame) -> str:
    """How to read the lines, and whether the loss still fell at the end."""
    parts = []
    for paradigm, here in means.groupby("paradigm", sort=True):
        falls = [
            fall for _, line in here.groupby(["policy", "n_participants"]) if (fall := _last_fall(line)) is not None
        ]
        if falls:
            still = sum(fall > _STILL_FALLING for fall in falls)
            parts.append(f"in {still} of {len(falls)} lines ({paradigm})")
    told = (
        f" Over the last tenth of the rounds the loss still fell by more than {_STILL_FALLING:.0%} {listed(parts)}: "
        "there more rounds would lower it further."
        if parts
        else ""
    )
    return (
        "Loss that the participants report on their own training rows, averaged over them, draws and seeds, on a "
        "logarithmic scale where it spans a wide range. Losses of different paradigms have different units and do not "
        f"compare. A low loss is not yet a good detector.{told}"
    )


def _last_fall(line: pd.DataFrame) -> float | None:
    """Share of the loss that went in the last tenth of the rounds; None for fewer than five records."""
    loss, number = line["train_loss"].to_numpy(), line["round"].to_numpy()
    if len(loss) < 5 or loss[-1] <= 0:
        return None
    earlier = loss[np.searchsorted(number, number[-1] - 0.1 * (number[-1] - number[0]), side="right") - 1]
    return float(earlier / loss[-1] - 1)
