"""Pictures of a fleet as it was found: coverage, labels, where nodes lie among each other, and drift.

Readable in black and white: what differs, differs in darkness, in shape or in words.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ftl.data.inspection import Description, Inspection
from ftl.data.inspection.tables import DRIFTED, MODERATE

MOST_ROWS = 60  # of a map: more nodes than this share rows, rack by rack or in groups
MOST_BARS = 15
_NOTHING, _COVERED, _INCOMPLETE = "#ffffff", "#86a8c9", "#6b4708"
_NORMAL, _UNKNOWN, _ANOMALOUS = "#d5e0ea", "#dda63a", "#6b0f1a"
_MARKERS = "osD^vP*X"
_DAY = 86400


@dataclass(frozen=True)
class Rows:
    """The rows of a map: which nodes each stands for, and what is written beside it."""

    names: tuple[str, ...]
    members: tuple[np.ndarray, ...]  # node numbers
    kind: str  # "node", "rack" or "group of nodes"


def rows_of_map(inspection: Inspection) -> Rows:
    """One row per node; with more than MOST_ROWS nodes one per rack, or per group of successive nodes."""
    nodes = inspection.nodes
    racks = list(dict.fromkeys(node.rack or "" for node in nodes))
    if len(nodes) <= MOST_ROWS:
        order = sorted(range(len(nodes)), key=lambda k: racks.index(nodes[k].rack or ""))
        return Rows(tuple(nodes[k].node_id for k in order), tuple(np.array([k]) for k in order), "node")
    if 2 <= len(racks) <= MOST_ROWS and racks != [""]:
        members = tuple(np.array([k for k, node in enumerate(nodes) if (node.rack or "") == rack]) for rack in racks)
        return Rows(tuple(rack or "no rack" for rack in racks), members, "rack")
    groups = tuple(np.array_split(np.arange(len(nodes)), MOST_ROWS))
    names = tuple(f"{nodes[group[0]].node_id} to {nodes[group[-1]].node_id}" for group in groups)
    return Rows(names, groups, "group of nodes")


def coverage_map(inspection: Inspection) -> Figure | None:
    """Rows that are there, and those that lack values, by node (or rack) and time; None without rows."""
    counts = inspection.grid.counts
    if not counts.shape[2]:
        return None
    rows = rows_of_map(inspection)
    expected = expected_rows(inspection)
    found, incomplete, wanted = (
        np.stack([table[group].sum(axis=0) for group in rows.members])
        for table in (counts[:, 0], counts[:, 3], expected)
    )
    figure, axes = _map_axes(inspection, rows)
    _draw_map(axes, inspection, _coverage_colours(found, incomplete, wanted))
    _legend(
        figure,
        {
            "no rows": _NOTHING,
            "half of the expected rows": _mixed(_NOTHING, _COVERED, 0.5),
            "all": _COVERED,
            "all, but with missing values": _INCOMPLETE,
        },
    )
    return figure


def label_map(inspection: Inspection) -> Figure | None:
    """Normal, anomalous and unknown rows, by node (or rack) and time; None without rows."""
    counts = inspection.grid.counts
    if not counts.shape[2]:
        return None
    rows = rows_of_map(inspection)
    found, anomalous, unknown, _ = (
        np.stack([counts[group, kind].sum(axis=0) for group in rows.members]) for kind in range(4)
    )
    figure, axes = _map_axes(inspection, rows)
    _draw_map(axes, inspection, _label_colours(found, anomalous, unknown, 0.35 if rows.kind == "node" else 0.15))
    _legend(
        figure,
        {
            "no rows": _NOTHING,
            "normal": _NORMAL,
            "mostly unknown": _UNKNOWN,
            "anomalous (darker: a larger share)": _ANOMALOUS,
        },
    )
    return figure


def node_scatter(description: Description) -> Figure | None:
    """Nodes by the first two principal components of their means and deviations; None with fewer than three nodes."""
    positions, nodes = description.positions, description.inspection.nodes
    shown = np.flatnonzero(~np.isnan(positions.coordinates[:, 0]))
    if len(shown) < 3:
        return None
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    x, y = positions.coordinates[shown].T
    rates = np.array([nodes[k].labels.rate for k in shown])
    racks = list(dict.fromkeys(nodes[k].rack for k in shown))
    by_rack = 2 <= len(racks) <= len(_MARKERS)
    highest = float(np.nanmax(rates, initial=0.0)) or 1.0
    for number, rack in enumerate(racks if by_rack else [None]):
        here = np.array([not by_rack or nodes[k].rack == rack for k in shown])
        points = axes.scatter(
            x[here], y[here], c=np.nan_to_num(rates[here]), cmap="Greys", vmin=0, vmax=highest, s=46,
            marker=_MARKERS[number], edgecolors="black", linewidths=0.8,
            label=_plain(rack if rack is not None else "no rack") if by_rack else None,
        )  # fmt: skip
    if np.isfinite(rates).any() and (np.nan_to_num(rates) > 0).any():
        bar = figure.colorbar(points, ax=axes, fraction=0.03, pad=0.02, format=lambda share, _: f"{share:.1%}")
        bar.set_label("anomalous share of labelled rows")
    for k in shown if len(shown) <= 12 else shown[positions.outlying[shown]][:12]:
        axes.annotate(_plain(nodes[k].node_id), positions.coordinates[k], xytext=(5, 4), textcoords="offset points",
                      fontsize=8)  # fmt: skip
    if by_rack:
        axes.legend(title="rack", fontsize=8, loc="best")
    first, second = (f"component {k + 1} ({share:.0%} of the variance)" for k, share in enumerate(positions.explained))
    axes.set_xlabel(first)
    axes.set_ylabel(second)
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(0.1)
    return figure


def drift_bars(description: Description) -> Figure | None:
    """The columns that moved most between train and test part; None where drift could not be computed."""
    features = description.features
    moved = (
        features[features["drift"].notna() & ~features["counter"]]
        .sort_values("drift", ascending=False, kind="stable")
        .head(MOST_BARS)
    )
    if moved.empty:
        return None
    figure = Figure(figsize=(7.2, 0.8 + 0.28 * len(moved)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(moved))
    axes.barh(rows, moved["drift"], color="#7f9bb8", edgecolor="black", linewidth=0.6)
    for row, (drift, shift) in enumerate(zip(moved["drift"], moved["shift"], strict=True)):
        text = "" if np.isnan(shift) or abs(shift) < 0.05 else f" {shift:+.1f} sd"
        axes.text(drift, row, text, va="center", fontsize=8)
    for limit in (MODERATE, DRIFTED):
        axes.axvline(limit, color="black", linewidth=0.9, linestyle=":" if limit == MODERATE else "--")
    axes.set_yticks(rows, [_plain(name) for name in moved["feature"]], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.15 * float(moved["drift"].max()), 1.2 * DRIFTED))
    axes.set_xlabel("population stability index, median node")
    return figure


def expected_rows(inspection: Inspection) -> np.ndarray:
    """Rows that each time bin would hold if the node never paused, shape (K, n_bins), over the fleet's whole period."""
    grid, lines = inspection.grid, [node.timeline for node in inspection.nodes]
    known = [line.window for line in lines if line.window]
    usual = float(np.median(known)) if known else 1.0
    left = grid.start + grid.width * np.arange(grid.counts.shape[2])
    first = min(line.first for line in lines if line.first is not None)
    last = max(line.last for line in lines if line.last is not None)
    covered = np.clip(np.minimum(left + grid.width, last + usual) - np.maximum(left, first), 0, grid.width)
    return np.stack([covered / (line.window or usual) for line in lines])


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG, without the version of matplotlib in it; letters that the font lacks become boxes."""
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def _coverage_colours(found: np.ndarray, incomplete: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """RGB of every cell, shape (rows, bins, 3)."""
    there = np.clip(found / np.maximum(expected, 1e-9), 0, 1)[..., None]
    lacking = (incomplete / np.maximum(found, 1))[..., None]
    return _mixed(_NOTHING, _mixed(_COVERED, _INCOMPLETE, lacking), there)


def _mixed(one: str | np.ndarray, other: str | np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """RGB between two colours, `share` of the other."""
    first, second = (np.array(to_rgb(colour)) if isinstance(colour, str) else colour for colour in (one, other))
    return np.asarray(first * (1 - share) + second * share)


def _legend(figure: Figure, colours: Mapping[str, str | np.ndarray]) -> None:
    handles = [
        Patch(facecolor=to_hex(tuple(colour) if isinstance(colour, np.ndarray) else colour), edgecolor="black",
              linewidth=0.6, label=text)
        for text, colour in colours.items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _label_colours(found: np.ndarray, anomalous: np.ndarray, unknown: np.ndarray, least: float) -> np.ndarray:
    """RGB of every cell, shape (rows, bins, 3); a single anomalous row has the darkness `least`, out of 1."""
    nothing, normal, strange = (np.array(to_rgb(colour)) for colour in (_NOTHING, _NORMAL, _UNKNOWN))
    labelled = np.maximum(found - unknown, 1)
    darkness = np.where(anomalous > 0, least + (1 - least) * np.sqrt(anomalous / labelled), 0.0)[..., None]
    colours = np.where((2 * unknown > found)[..., None], strange, normal)
    return np.where((found == 0)[..., None], nothing, _mixed(colours, _ANOMALOUS, darkness))


def _map_axes(inspection: Inspection, rows: Rows) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.6, min(9.0, 1.6 + 0.2 * len(rows.names))), layout="constrained")
    axes = figure.subplots()
    step = -(-len(rows.names) // 40)
    places = range(0, len(rows.names), step)
    axes.set_yticks(places, [_plain(rows.names[k]) for k in places], fontsize=8 if len(rows.names) <= 30 else 7)
    for k in range(1, len(rows.names) if len(rows.names) <= 40 else 0):
        axes.axhline(k - 0.5, color="white", linewidth=0.8)
    if rows.kind == "node":
        _separate_racks(axes, [inspection.nodes[int(group[0])].rack for group in rows.members])
    else:
        axes.set_ylabel(f"{rows.kind} ({len(inspection.nodes)} nodes)")
    return figure, axes


def _separate_racks(axes: Axes, racks: Sequence[str | None]) -> None:
    """A line between racks, and their names on the right where there are few."""
    starts = [k for k in range(len(racks)) if k == 0 or racks[k] != racks[k - 1]]
    if len(starts) < 2:
        return
    for k in starts[1:]:
        axes.axhline(k - 0.5, color="black", linewidth=0.7)
    if len(starts) <= 12:
        for first, end in zip(starts, [*starts[1:], len(racks)], strict=True):
            name = _plain(racks[first] or "no rack")
            axes.text(1.004, (first + end - 1) / 2, name, rotation=90, fontsize=7, va="center", ha="left",
                      transform=axes.get_yaxis_transform())  # fmt: skip


def _draw_map(axes: Axes, inspection: Inspection, cells: np.ndarray) -> None:
    start, width = inspection.grid.start, inspection.grid.width
    scale = _DAY if inspection.time_unit == "seconds" else 1
    ends = (start / scale, (start + width * cells.shape[1]) / scale)
    axes.imshow(cells, aspect="auto", interpolation="nearest", extent=(*ends, len(cells) - 0.5, -0.5))
    if inspection.time_unit == "seconds":
        locator = AutoDateLocator(maxticks=9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.set_xlabel("time (UTC)")
    else:
        axes.set_xlabel("step")
    axes.tick_params(axis="x", labelsize=8)


def _plain(name: str, most: int = 34) -> str:
    """A name as it stands: no formula between dollar signs, and shortened in the middle."""
    name = str(name)
    if len(name) > most:
        name = f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"
    return name.replace("$", r"\$")
