"""A study of parameters: its best value over trials, and the trade-off of its objectives (Pareto front)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ftl.reporting.formats import count, number
from ftl.reporting.pictures import ink
from ftl.reporting.pictures.picture import Picture, png_of

MAXIMISE = "maximize"
_STATES = {"COMPLETE": ("o", "finished"), "PRUNED": ("x", "pruned"), "FAIL": ("v", "failed")}
_UNITS = {
    "bytes": "bytes, all nodes",
    "seconds": "s",
    "wall_seconds": "s",
    "cpu_seconds": "s",
    "energy_wh": "Wh",
    "wh": "Wh",
}


def pictures(tuning: Mapping[str, Any] | None) -> Iterator[Picture]:
    """tuning_history and tuning_pareto, as far as the study has them."""
    if not tuning:
        return
    dataset, protocol = str(tuning.get("dataset") or ""), str(tuning.get("protocol") or "")
    names = _several(tuning, "objective")
    about = ", ".join(
        part for part in (str(tuning.get("study") or ""), dataset, protocol and f"{protocol} protocol") if part
    )
    history, pareto = tuning.get("history") or [], tuning.get("pareto") or []
    if any(value is not None for _, value, _ in history):
        title = "Search for parameters, trial by trial" + (f" ({about})" if about else "")
        figure = history_of(history, _axis(names[0] if names else "objective"), title, _maximises(tuning, 0))
        caption = _history_caption(history, _maximises(tuning, 0))
        alt = f"Objective of every trial with the best value so far. {title}."
        yield Picture("tuning_history", dataset, protocol, title, caption, png_of(figure), alt)
    if pareto and len(names) >= 2 and all(len(trial["values"]) >= 2 for trial in pareto):
        title = f"What {names[0]} costs in {names[1]}" + (f" ({about})" if about else "")
        figure = front_of(pareto, [_axis(name) for name in names[:2]], title)
        alt = f"Scatter plot of the trials that no other beats in both objectives. {title}."
        yield Picture("tuning_pareto", dataset, protocol, title, _pareto_caption(pareto, names), png_of(figure), alt)


def history_of(history: Sequence[Sequence[Any]], label: str, title: str, maximise: bool) -> Figure:
    """Value of each finished trial, and the best so far; trials without a value stand at the foot."""
    figure = ink.titled(7.5, 4.2, title)
    axes = figure.subplots()
    for state, (marker, word) in _STATES.items():
        of_state = [(n, v) for n, v, s in history if s == state]
        valued = [(n, v) for n, v in of_state if v is not None]
        look: dict[str, Any] = {"color": "black", "markerfacecolor": "white", "markersize": 5.5, "linestyle": ""}
        if valued:
            axes.plot(*zip(*valued, strict=True), marker=marker, label=f"{word} ({len(of_state)})", **look)
        bare = [n for n, v in of_state if v is None]
        if bare:
            axes.plot(bare, [0.02] * len(bare), marker=marker, transform=axes.get_xaxis_transform(),
                      label=None if valued else f"{word} ({len(of_state)}), no value", **look)  # fmt: skip
    numbers, best = _best_so_far(history, maximise)
    axes.step(numbers, best, where="post", color=ink.DARK, linewidth=1.6, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="trial (number)", ylabel=label)
    axes.legend(fontsize=8.5)
    ink.ruled(axes)
    ink.fit(figure, 0.85)
    return figure


def front_of(pareto: Sequence[Mapping[str, Any]], labels: Sequence[str], title: str) -> Figure:
    """The trials of the front in the plane of the first two objectives, named by their number."""
    figure = ink.titled(7.0, 4.6, title)
    axes = figure.subplots()
    values = np.array([trial["values"][:2] for trial in pareto], dtype=float)
    order = np.lexsort((values[:, 0], values[:, 1]))
    axes.plot(values[order, 1], values[order, 0], linestyle=":", color="black", linewidth=1, zorder=1)
    axes.plot(values[:, 1], values[:, 0], "o", markerfacecolor="white", markeredgecolor="black", markersize=6)
    _name_trials(axes, pareto, values)
    axes.set(xlabel=labels[1], ylabel=labels[0])
    if (values[:, 1] > 0).all() and values[:, 1].max() > 50 * values[:, 1].min():
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.margins(0.1)
    ink.ruled(axes)
    ink.fit(figure, 0.85)
    return figure


def _name_trials(axes: Axes, pareto: Sequence[Mapping[str, Any]], values: np.ndarray) -> None:
    for k in ink.some_ticks(len(pareto), 25):
        axes.annotate(f"{pareto[k]['number']}", (values[k, 1], values[k, 0]), (5, 4), textcoords="offset points",
                      fontsize=7.5)  # fmt: skip


def _best_so_far(history: Sequence[Sequence[Any]], maximise: bool) -> tuple[list[int], np.ndarray]:
    finished = sorted((n, v) for n, v, state in history if v is not None and state == "COMPLETE")
    values = np.array([v for _, v in finished], dtype=float)
    best = np.maximum.accumulate(values) if maximise else np.minimum.accumulate(values)
    return [n for n, _ in finished], best


def _maximises(tuning: Mapping[str, Any], objective: int) -> bool:
    directions = _several(tuning, "direction")
    return len(directions) <= objective or directions[objective].lower() == MAXIMISE


def _several(tuning: Mapping[str, Any], name: str) -> list[str]:
    """A list under the plural of a name, or what stands under the name itself, one or several."""
    found = tuning.get(f"{name}s") or tuning.get(name) or []
    return [found] if isinstance(found, str) else [str(item) for item in found]


def _axis(name: str) -> str:
    """The objective's name with its unit; scores of detection have none."""
    unit = next((unit for word, unit in _UNITS.items() if word in name.lower()), "no unit")
    return f"{name}, validation ({unit})" if unit == "no unit" else f"{name} ({unit})"


def _history_caption(history: Sequence[Sequence[Any]], maximise: bool) -> str:
    numbers, best = _best_so_far(history, maximise)
    if not numbers:
        return "No trial finished; the values drawn are those that pruned trials had reached."
    at = numbers[int(np.flatnonzero(best == best[-1])[0])]
    words = ", ".join(
        count(n, f"{word} trial") for state, (_, word) in _STATES.items() if (n := sum(s == state for *_, s in history))
    )
    gain = (
        "No later trial was better than the first."
        if at == numbers[0]
        else f"The first trial had {number(best[0], 4)}, the best has {number(best[-1], 4)} (trial {at})."
    )
    better = "larger" if maximise else "smaller"
    return (
        f"Every mark is a trial ({words}); the step is the best value so far, {better} being better. Values are of "
        "validation rows: the best of many trials looks better there than it will on new rows. "
        f"{gain}"
    )


def _pareto_caption(pareto: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    gain, cost = names[:2]
    return (
        f"The {count(len(pareto), 'trial')} that no other trial beats in both objectives, by number: to gain in {gain} "
        f"from any of them is to give something in {cost}, or the reverse. The dotted line joins them in order of "
        f"{cost}; it promises nothing between them."
    )
