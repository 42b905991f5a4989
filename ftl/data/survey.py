"""The first and, where the disk has room, only reading of a source: all of a node but its values, kept in a file.

Values are kept beside it (spooled), so that a source that is slow to read, or that generates, is asked once. A node's
files appear whole; a node that has its survey file is not read again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ftl.data.cleaning import MissingCells
from ftl.data.node_table import NodeTable, TelemetrySource
from ftl.data.split import NodeRows
from ftl.errors import TelemetryError, is_disk_full

ROOM_TO_SPARE = 1.1


@dataclass(frozen=True)
class NodeSurvey:
    """All of a node's table but its values."""

    node_id: str
    rows: NodeRows
    label: np.ndarray  # (T,) int8
    features: tuple[str, ...]
    missing: MissingCells
    treatments: dict[str, int]

    @classmethod
    def of(cls, table: NodeTable) -> NodeSurvey:
        rows = NodeRows(table.node_id, table.time, table.split)
        missing = MissingCells.of(table.values)
        return cls(table.node_id, rows, table.label, table.features, missing, table.treatments)


@dataclass(frozen=True)
class NodeSummary:
    """What stays in memory of every node."""

    number: int  # its place in the source
    node_id: str
    n_rows: int
    features: tuple[str, ...]
    reports: np.ndarray  # (F,) bool: columns that hold at least one value
    has_split: bool
    usual_step: float | None  # median distance of its rows in time; None with less than two rows
    treatments: dict[str, int]

    def present(self) -> list[str]:
        """The columns that hold at least one value."""
        return [name for name, reports in zip(self.features, self.reports, strict=True) if reports]


@dataclass(frozen=True)
class NodeFiles:
    """The files that are kept of each node until the fleet is whole."""

    source: TelemetrySource
    folder: Path
    n_nodes: int

    def path(self, number: int, kind: str) -> Path:
        """``survey.npz``, ``values.npy`` and others of a node."""
        return self.folder / f"{number:06d}.{kind}"

    def survey(self, number: int) -> NodeSurvey:
        """What the survey found."""
        return _read_survey(self.path(number, "survey.npz"))

    def times(self, numbers: Iterable[int]) -> Times:
        """The times of these nodes' rows, read when asked for."""
        return Times([self.path(number, "survey.npz") for number in numbers])

    def values(self, number: int, node_id: str, n_rows: int) -> np.ndarray:
        """The node's values, shape (T, F): the spooled ones where there are any, else read once more.

        Raises:
            TelemetryError: If the source gives another number of rows than before.
        """
        spool = self.path(number, "values.npy")
        if spool.exists():
            values = np.asarray(np.load(spool, mmap_mode="r", allow_pickle=False))
        else:
            values = self.source.read_node(node_id).values
        if len(values) != n_rows:
            raise TelemetryError(f"node {node_id}: its table changed while it was read; start again")
        return values

    def spooled_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*.values.npy"))


@dataclass(frozen=True)
class Times:
    """The times of nodes, one array at a time, as often as they are asked for."""

    paths: list[Path] = field(repr=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self.paths:
            with np.load(path, allow_pickle=False) as arrays:
                yield arrays["time"]


def survey_node(files: NodeFiles, number: int, node_id: str) -> NodeSummary:
    """Read a node, keep its survey and, where there is room, its values; or take up what is kept already."""
    path = files.path(number, "survey.npz")
    if path.exists():
        survey = _read_survey(path)
    else:
        table = files.source.read_node(node_id)
        survey = NodeSurvey.of(table)
        _spool(table.values, files, number)
        del table
        write_survey(survey, path)
    time = survey.rows.time
    return NodeSummary(
        number=number,
        node_id=node_id,
        n_rows=len(time),
        features=survey.features,
        reports=~survey.missing.empty_columns(),
        has_split=survey.rows.published is not None,
        usual_step=float(np.median(np.diff(time))) if len(time) > 1 else None,
        treatments=survey.treatments,
    )


def write_whole(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz file that is there as a whole or not at all."""
    half = path.with_name(path.name + ".half")
    with half.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the names for allow_pickle
    os.replace(half, path)


def _spool(values: np.ndarray, files: NodeFiles, number: int) -> None:
    """Keep the values if the disk holds as much for every node that follows."""
    wanted = ROOM_TO_SPARE * values.nbytes * (files.n_nodes - number + 1)
    if shutil.disk_usage(files.folder).free < wanted:
        return
    path = files.path(number, "values.npy")
    half = path.with_name(path.name + ".half")
    try:
        with half.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        os.replace(half, path)
    except OSError as error:
        half.unlink(missing_ok=True)
        if not is_disk_full(error):
            raise


def write_survey(survey: NodeSurvey, path: Path) -> None:
    """Keep all of a node but its values."""
    missing = survey.missing
    card = {"node_id": survey.node_id, "features": survey.features, "treatments": survey.treatments}
    arrays = {
        "card": np.frombuffer(json.dumps(card).encode(), np.uint8),
        "shape": np.array([missing.n_rows, missing.n_columns]),
        "time": survey.rows.time,
        "label": survey.label,
        "rows": missing.rows,
        "bits": missing.bits,
    }
    if survey.rows.published is not None:
        arrays["split"] = survey.rows.published
    write_whole(path, arrays)


def _read_survey(path: Path) -> NodeSurvey:
    with np.load(path, allow_pickle=False) as arrays:
        card = json.loads(arrays["card"].tobytes())
        published = arrays.get("split")
        n_rows, n_columns = map(int, arrays["shape"])
        return NodeSurvey(
            node_id=card["node_id"],
            rows=NodeRows(card["node_id"], arrays["time"], published),
            label=arrays["label"],
            features=tuple(card["features"]),
            missing=MissingCells(n_rows, n_columns, arrays["rows"], arrays["bits"]),
            treatments=card["treatments"],
        )
