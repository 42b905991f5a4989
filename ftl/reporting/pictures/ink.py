"""How the pictures look: greys that stay apart in print, hatches, markers, line styles, and names as they can be set.

What differs, differs in darkness, hatch, marker or line style; colour only helps those who have it.
"""

import textwrap
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from ftl.reporting.tables import PARADIGMS, ordered

COLOURS = (  # darker and lighter in turn, hatches show on each; as many as there are policies
    "#5b8fc4", "#f4d596", "#4f8a5b", "#dcc3e0", "#8c8c8c", "#bfe3ea", "#b0654a",
)  # fmt: skip
DARK, LIGHT, GREY, ALARM = "#2f5d8f", COLOURS[1], "#8c8c8c", "#a3232b"
LINE_COLOURS = ("#2f5d8f", "#a86f10", "#3f7a4b", "#7d4a88")
HATCH = "////"
MARKERS = "osD^vP*X"
LINES = ("-", "--", ":", "-.")
HEAT = "cividis_r"  # darkness rises evenly with the value, in colour and in grey
PANEL = 3.5  # inches
FEW_NODES = 30  # up to here every node is named
_LETTERS_PER_INCH = 12.5


def titled(width: float, height: float, title: str) -> Figure:
    """A figure of so many inches with its title, broken into lines where it is longer than the figure is wide."""
    figure = Figure(figsize=(width, height))
    lines = textwrap.wrap(plain(title, most=400), int(width * _LETTERS_PER_INCH))
    figure.suptitle("\n".join(lines), fontsize=11, y=1 - 0.07 / height, va="top")
    return figure


def fit(figure: Figure, left: float, gaps: tuple[float, float] = (0.14, 0.5), bottom: float = 0.5) -> None:
    """Place the grid of a figure in its sheet: below the title, above the legend. Layout by hand, since the automatic
    ones of matplotlib take as long as the drawing itself.

    Args:
        figure: With its axes, its title and (where it has one) its legend.
        left: Inches for the labels on the left.
        gaps: Inches between columns and between rows.
        bottom: Inches for the labels below the lowest axes.
    """
    width, height = figure.get_size_inches()
    grid = figure.axes[0].get_subplotspec()
    assert grid is not None
    rows, columns = grid.get_gridspec().get_geometry()
    foot, top, right = bottom + legend_height(figure), height - title_height(figure) - 0.27, width - 0.12
    figure.subplots_adjust(
        left / width, foot / height, right / width, top / height,
        gaps[0] * columns / max(right - left - gaps[0] * (columns - 1), 0.1),
        gaps[1] * rows / max(top - foot - gaps[1] * (rows - 1), 0.1),
    )  # fmt: skip


def below(figure: Figure, handles: Sequence[Artist], columns: int, **words: Any) -> None:
    """A legend at the foot of the figure."""
    figure.legend(handles=list(handles), loc="lower center", ncols=min(columns, len(handles)), frameon=False,
                  **({"fontsize": 9} | words))  # fmt: skip


def title_height(figure: Figure) -> float:
    """Inches that the title takes."""
    return 0.08 + 0.185 * (figure.get_suptitle().count("\n") + 1)


def legend_height(figure: Figure) -> float:
    """Inches that the legend at the foot takes."""
    if not figure.legends:
        return 0.0
    (legend,) = figure.legends
    rows = -(-len(legend.legend_handles) // legend._ncols)  # type: ignore[attr-defined]
    return 0.12 + 0.2 * rows


def width_of(names: Iterable[str], points: float) -> float:
    """Inches that the longest of some names takes in a size of so many points, about."""
    return max((len(name) for name in names), default=0) * points * 0.6 / 72


def panels(
    paradigms: "pd.Series[str] | Sequence[str]", title: str, x_label: str, shared: bool = True, height: float = 4.2
) -> tuple[Figure, dict[str, Axes]]:
    """One panel per paradigm that occurs, side by side; with a shared scale they also have a line at 0."""
    names = ordered(pd.Series(paradigms, dtype=object), PARADIGMS)
    figure = titled(max(7.0, PANEL * len(names)), height, title)
    grid = figure.subplots(1, len(names), sharey=shared, squeeze=False)[0]
    for axes, paradigm in zip(grid, names, strict=True):
        headed(axes, plain(paradigm))
        axes.set_xlabel(x_label)
        ruled(axes, "y")
        if shared:
            axes.axhline(0, color="black", linewidth=0.9)
    return figure, dict(zip(names, grid, strict=True))


def headed(axes: Axes, text: str, size: float = 10, side: str = "center") -> None:
    """A heading at a fixed height: to look for the best one, matplotlib measures every label."""
    axes.set_title(text, fontsize=size, y=1.0, pad=3 if size < 10 else 5, loc=side)  # type: ignore[arg-type]


def ruled(axes: Axes, along: str = "both") -> None:
    """Pale lines behind the data."""
    axes.grid(axis=along, color="0.88", linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def colour_by(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, dark and light in turn."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def spread(n: int) -> np.ndarray:
    """Sideways shifts (n,) that keep sorted neighbours apart, without drawing lots."""
    golden_ratio = (5**0.5 - 1) / 2
    return (np.arange(n) * golden_ratio % 1.0 - 0.5) * 0.44


def some_ticks(n: int, most: int = FEW_NODES) -> range:
    """Which of n places in a row are named: all of them, or every so-manyth so that at most ``most`` are."""
    return range(0, n, max(1, -(-n // most)))


@lru_cache(maxsize=4096)
def plain(name: str, most: int = 28) -> str:
    """A name as it can be set: letters that the font lacks spelled as code points, no formula between dollar signs,
    shortened in the middle."""
    known = _letters()
    text = "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in str(name))
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"
    return text.replace("$", r"\$")


@cache
def _letters() -> frozenset[int]:
    """Code points that the default font has."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap()) - {10, 13}
