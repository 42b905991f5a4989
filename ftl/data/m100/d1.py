"""The older dump of Marconi100's telemetry: gzip-compressed parquet, one file per node, some of them empty.

It was never published. Its layout is that of a loader for the data of RUAD (Molan et al., FGCS 141, 2023): 15-minute
windows, ipmi and ganglia features, ``label`` as first annotated, and ``New_label`` as refined: 0 normal, 2 anomalous.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from ftl.data.column_readers import Advice, natural, some
from ftl.data.fleet_description import DESCRIPTION_FILE
from ftl.data.leftovers import is_unfinished_download, sort_leftovers
from ftl.data.m100.node_files import NodeFile
from ftl.data.node_reading import Roles, choose_features, node_without_rows, read_node_table
from ftl.data.node_table import ANOMALOUS, NORMAL, UNKNOWN, NodeTable
from ftl.errors import ConfigError, TelemetryError

TIME, LABELS = "timestamp", ("New_label", "label")
LABEL_CODES: dict[float | str, int] = {0.0: NORMAL, 1.0: ANOMALOUS, 2.0: ANOMALOUS, 3.0: UNKNOWN}
WINDOW_SECONDS = 900.0
_MEND = "see that the file is one of the dump, or describe the folder as node_tables in a fleet.yaml"
ADVICE = Advice(time=_MEND, label=_MEND, feature="name it under 'ignore' of the source")


class M100D1Source:
    """The source ``m100_d1``: files with ``gzip`` in their names, one per node.

    The node id is the first whole number in the file's name; where that does not tell the files apart, the name up to
    its first suffix. No rack is known: that these numbers are the public ones is not certain. Files without rows give
    nodes without rows; other files are named in ``notes``.

    Args:
        path: The folder, or one file.
        label_column: The annotation to use, ``New_label`` or ``label``; neither is ever a feature.
        ignore: Columns that are no features.
        name: The fleet's name; by default that of the folder.

    Raises:
        ConfigError: If label_column is neither of the two.
        TelemetryError: If there are no such files, or one cannot be used; the message names it.
    """

    origin = "real"
    time_unit = "seconds"

    def __init__(
        self,
        path: str | Path,
        label_column: str = "New_label",
        ignore: Collection[str] = (),
        name: str | None = None,
    ) -> None:
        if label_column not in LABELS:
            raise ConfigError(f"m100_d1: label_column: must be {' or '.join(LABELS)}; got {label_column!r}")
        self.path = Path(path)
        self.name = name or self.path.resolve().name
        self._label, self._ignore = label_column, frozenset(ignore)
        self._files, others = _files_in(self.path)
        foreign, parts = sort_leftovers(others)
        hollow = [file.name for file in self._files.values() if file.size == 0]
        notes = {
            f"files without 'gzip' in their names: {some(foreign)}": foreign,
            f"unfinished downloads, not read: {some(parts)}": parts,
            f"node files without a byte: {some(hollow)}": hollow,
        }
        self.notes = tuple(note for note, holds in notes.items() if holds)

    def node_ids(self) -> list[str]:
        """Node ids in natural order."""
        return list(self._files)

    def rack_of(self, node_id: str) -> str | None:
        """None: not known."""
        return None

    def window_seconds(self) -> float | None:
        """15 minutes."""
        return WINDOW_SECONDS

    def fingerprint(self) -> str:
        """SHA-256 over ids and bytes of the nodes' files and the settings with which they are read."""
        digest = hashlib.sha256(json.dumps([self._label, sorted(self._ignore)]).encode())
        for node_id, file in self._files.items():
            digest.update(f"{node_id}:{file.digest()}\n".encode())
        return digest.hexdigest()

    def read_node(self, node_id: str) -> NodeTable:
        """Read one node, sorted by time, each window once; an empty file gives a node without rows."""
        file = self._files[node_id]
        where = f"{file.name}: node {node_id}"
        if file.size == 0:
            return node_without_rows(node_id)
        table = file.open(where)
        if table.n_rows == 0:
            return node_without_rows(node_id)
        names = table.schema.names
        for column in (TIME, self._label):
            if column not in names:
                raise TelemetryError(f"{where}: no column {column!r} among {some(names)}; {_MEND}")
        taken = {TIME, self._label}
        features, treatments = choose_features(names, taken, self._ignore, "the source's 'ignore'", where)
        roles = Roles(TIME, features, ADVICE, label=self._label, label_codes=LABEL_CODES, treatments=treatments)
        return read_node_table(node_id, table, roles, where)


def _files_in(path: Path) -> tuple[dict[str, NodeFile], list[str]]:
    """Node files by node id in natural order, and the names of the other files."""
    if not path.exists():
        raise TelemetryError(f"{path}: no such folder; give the folder that holds one gzip file per node")
    entries = [path] if path.is_file() else sorted(path.iterdir())
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    tables = [
        entry
        for entry in entries
        if entry.is_file() and "gzip" in entry.name and not is_unfinished_download(entry.name)
    ]
    if not tables:
        found = f"only {some([entry.name for entry in entries])}" if entries else "nothing"
        raise TelemetryError(f"{path}: no file with 'gzip' in its name, {found} in it; one per node is needed")
    ids = _ids_of([table.name for table in tables])
    twice = [node_id for node_id, count in Counter(ids).items() if count > 1]
    if twice:
        both = [table.name for table, node_id in zip(tables, ids, strict=True) if node_id == twice[0]]
        raise TelemetryError(f"{path}: two files of node {twice[0]}: {some(both)}; keep one")
    files = {node_id: NodeFile(table, size=table.stat().st_size) for table, node_id in zip(tables, ids, strict=True)}
    others = [entry.name for entry in entries if entry not in tables and entry.name != DESCRIPTION_FILE]
    return {node_id: files[node_id] for node_id in sorted(files, key=natural)}, others


def _ids_of(names: list[str]) -> list[str]:
    """The first number of each name, or the part of each name before its first point."""
    numbers = [re.search(r"\d+", name.split(".", 1)[0]) for name in names]
    found = [str(int(number[0])) for number in numbers if number]
    if len(set(found)) == len(names):
        return found
    return [name.split(".", 1)[0] for name in names]
