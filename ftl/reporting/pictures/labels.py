"""Names beside points, placed so that they cover neither each other nor the points."""

from collections.abc import Hashable, Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes

from ftl.reporting.pictures import ink

_SIZE = 7.0  # points
_LETTER = 0.62 * _SIZE  # width of a letter, about
_GAP = 5.0
_SIDES = (  # (dx, dy, horizontal, vertical alignment), the preferred one first
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
    (0.7, 0.8, "left", "bottom"),
    (-0.7, 0.8, "right", "bottom"),
    (0.7, -0.8, "left", "top"),
    (-0.7, -0.8, "right", "top"),
)


def place_labels(axes: Axes, points: np.ndarray, rows: Iterable[Hashable], names: Mapping[Hashable, str]) -> None:
    """Write names beside points, each on the first side where there is room; a name without room is left out.

    Args:
        axes: With its limits set; in its final place.
        points: All points that must stay free, (K, 2), in the order of `names`.
        rows: Keys of the points to name, the most important first.
        names: Key -> name of every point.
    """
    place = {key: k for k, key in enumerate(names)}
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position().bounds
    width, height = (72 * size * share for size, share in zip(figure.get_size_inches(), box[2:], strict=True))
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    at = (points - [left, bottom]) / [right - left, top - bottom] * [width, height]  # points of a letter
    taken = np.concatenate([at - 3.5, at + 3.5], axis=1)  # (K, 4): left, bottom, right, top
    for key in rows:
        name = ink.plain(names[key], 14)
        x, y = at[place[key]]
        for dx, dy, horizontal, vertical in _SIDES:
            spot = _box(x + _GAP * dx, y + _GAP * dy, len(name) * _LETTER, horizontal, vertical)
            inside = spot[0] >= 0 and spot[1] >= 0 and spot[2] <= width and spot[3] <= height
            if inside and not _covers(spot, np.delete(taken, place[key], axis=0)):
                axes.annotate(name, points[place[key]], (_GAP * dx, _GAP * dy), textcoords="offset points",
                              fontsize=_SIZE, ha=horizontal, va=vertical).set_in_layout(False)  # fmt: skip
                taken = np.concatenate([taken, spot[None]])
                break


def _box(x: float, y: float, width: float, horizontal: str, vertical: str) -> np.ndarray:
    left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[horizontal] * width
    bottom = y - {"bottom": 0.0, "center": 0.5, "top": 1.0}[vertical] * _SIZE
    return np.array([left, bottom, left + width, bottom + _SIZE])


def _covers(box: np.ndarray, others: np.ndarray) -> bool:
    apart = (others[:, 0] > box[2]) | (others[:, 2] < box[0]) | (others[:, 1] > box[3]) | (others[:, 3] < box[1])
    return not apart.all()
