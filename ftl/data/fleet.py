"""The prepared fleet: what training and evaluation read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.scaling import Scaling
from ftl.errors import TelemetryError

TRAIN, VALIDATION, TEST, GAP = 0, 1, 2, 3  # values of Fleet.part
PROTOCOLS = ("rigorous", "paper")
CARD_FILE = "fleet.json"
FORMAT = 2
ARRAYS: dict[str, type] = {
    "x": np.float32,
    "label": np.int8,
    "time": np.int64,
    "part": np.int8,
    "lent": np.bool_,
    "start": np.int64,
    "offset": np.float32,
    "scale": np.float32,
    "muted": np.bool_,
}
ROW_ARRAYS = ("x", "label", "time", "part", "lent")  # as long as the fleet has rows
CARD_FIELDS = (
    "name",
    "origin",
    "protocol",
    "node_ids",
    "racks",
    "features",
    "time_unit",
    "window_seconds",
    "labels_borrowed",
    "signed_log",
    "counters",
    "clip_low",
    "clip_high",
    "fingerprint",
    "report",
)
LATER_FIELDS = ("rebased", "rebase_window")  # of the card, too; fleets that were prepared before they existed lack them


@dataclass(frozen=True)
class Fleet:
    """K nodes with one feature list, split into parts and scaled; K nodes' rows one after the other, R in all."""

    name: str
    origin: str  # "simulated" or "real"
    protocol: str  # "rigorous" or "paper"
    node_ids: tuple[str, ...]
    racks: tuple[str | None, ...]
    features: tuple[str, ...]
    time_unit: str  # "seconds" or "steps"
    window_seconds: float | None
    labels_borrowed: bool  # True: no anomaly before the test part, so paradigms that need labels use the lent rows
    x: np.ndarray  # (R, F) float32, scaled telemetry, memory-mapped read-only
    label: np.ndarray  # (R,) int8: 0 normal, 1 anomalous, -1 unknown
    time: np.ndarray  # (R,) int64
    part: np.ndarray  # (R,) int8: TRAIN, VALIDATION, TEST or GAP
    lent: np.ndarray  # (R,) bool: test rows whose labels are lent; all False unless labels_borrowed
    start: np.ndarray  # (K+1,) int64: node k owns the rows start[k]:start[k+1]
    offset: np.ndarray  # (K, F) float32: scaled = (transformed raw - offset) / scale, then clipped
    scale: np.ndarray  # (K, F) float32, > 0
    muted: np.ndarray  # (K, F) bool: 0 in x, since constant on the node's train rows or not in its table
    report: dict[str, Any]  # what was done to the telemetry, JSON-able
    fingerprint: str
    signed_log: tuple[str, ...] = ()  # features transformed by sign(x) log(1 + |x|) before scaling
    counters: tuple[str, ...] = ()  # features of which x holds the increase per window, transformed and scaled
    clip_low: float = -4.0
    clip_high: float = 5.0
    rebased: tuple[str, ...] = ()  # nodes of which x holds the distance to their trailing median, ftl.data.rebasing
    rebase_window: float | None = None  # how far it looks back, in units of time; None where no node is re-based

    @property
    def is_rebased(self) -> np.ndarray:
        """Which nodes are re-based, bool, shape (K,)."""
        return np.array([node_id in self.rebased for node_id in self.node_ids], bool)

    def rows(self, node: int, *parts: int) -> np.ndarray:
        """Row numbers (int64, time order) of the node with index `node` that belong to one of these parts."""
        first, last = int(self.start[node]), int(self.start[node + 1])
        return first + np.flatnonzero(np.isin(self.part[first:last], parts))

    def scaling(self) -> Scaling:
        """The map from raw telemetry to x, node by node; of counters, raw is the increase per window.

        On a re-based node the trailing median is taken off between the transform and the scale (ftl.data.rebasing).
        """
        return Scaling(
            offset=self.offset,
            scale=self.scale,
            muted=self.muted,
            signed_log=np.array([name in self.signed_log for name in self.features]),
            clip_low=self.clip_low,
            clip_high=self.clip_high,
        )


def write_fleet(fleet: Fleet, folder: Path) -> None:
    """Write a fleet folder; it appears as a whole or not at all."""
    with replacing(folder) as partial:
        for name in ROW_ARRAYS:
            _save(getattr(fleet, name), name, partial)
        write_all_but_rows(fleet, partial)


def write_all_but_rows(fleet: Fleet, folder: Path) -> None:
    """Write the small arrays and the card beside row arrays that are there already."""
    for name in ARRAYS:
        if name not in ROW_ARRAYS:
            _save(getattr(fleet, name), name, folder)
    card = {"format": FORMAT, **{name: getattr(fleet, name) for name in (*CARD_FIELDS, *LATER_FIELDS)}}
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _save(array: np.ndarray, name: str, folder: Path) -> None:
    np.save(folder / f"{name}.npy", np.asarray(array, ARRAYS[name]), allow_pickle=False)


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds a prepared fleet."""
    return (Path(folder) / CARD_FILE).is_file()


def read_fleet(folder: Path) -> Fleet:
    """Open a fleet folder; arrays are memory-mapped read-only.

    Raises:
        TelemetryError: If the folder is missing, incomplete or damaged.
    """
    folder = Path(folder)
    if not is_prepared(folder):
        raise TelemetryError(f"{folder}: no prepared fleet here ({CARD_FILE} is missing); prepare the fleet first")
    again = "delete the folder and prepare the fleet again"
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        fields = {name: card[name] for name in CARD_FIELDS} | {
            name: card[name] for name in LATER_FIELDS if name in card
        }
    except (ValueError, KeyError, TypeError) as error:
        raise TelemetryError(f"{folder / CARD_FILE}: damaged ({error!r}); {again}") from error
    found = card.get("format")
    if found != FORMAT:
        raise TelemetryError(f"{folder / CARD_FILE}: format {found!r}, this version reads {FORMAT}; {again}")
    for name in ("node_ids", "racks", "features", "signed_log", "counters", "rebased"):
        fields[name] = tuple(fields.get(name, ()))
    for name in ARRAYS:
        try:
            fields[name] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise TelemetryError(f"{folder / name}.npy: missing or damaged ({error}); {again}") from error
    fleet = Fleet(**fields)
    _check_shapes(fleet, folder, again)
    return fleet


def _check_shapes(fleet: Fleet, folder: Path, again: str) -> None:
    n_nodes, n_features, n_rows = len(fleet.node_ids), len(fleet.features), len(fleet.x)
    wanted: dict[str, tuple[int, ...]] = dict.fromkeys(ROW_ARRAYS, (n_rows,))
    wanted |= dict.fromkeys(("offset", "scale", "muted"), (n_nodes, n_features))
    wanted |= {"x": (n_rows, n_features), "start": (n_nodes + 1,)}
    for name, shape in wanted.items():
        if getattr(fleet, name).shape != shape:
            raise TelemetryError(f"{folder / name}.npy: shape {getattr(fleet, name).shape}, expected {shape}; {again}")
    if fleet.start[0] != 0 or fleet.start[-1] != n_rows:
        raise TelemetryError(f"{folder / 'start'}.npy: covers {fleet.start[-1]} of {n_rows} rows; {again}")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder` that takes its place when the block ends well.

    Raises:
        TelemetryError: If `folder` holds something else than a prepared fleet, which would be lost.
    """
    folder = Path(folder)
    check_replaceable(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        move_into_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds something else than a prepared fleet, which would be lost.

    Raises:
        TelemetryError: Naming the folder.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not is_prepared(folder))):
        raise TelemetryError(f"{folder}: exists and is no prepared fleet; name another folder or move it away")


def move_into_place(whole: Path, folder: Path) -> None:
    """Let a whole fleet folder take the place of an older one, which is never replaced by half of it."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(whole, folder)
    shutil.rmtree(old, ignore_errors=True)
