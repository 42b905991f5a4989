"""Where the files of a release with one parquet file per node lie: in a folder, or inside the tars of its racks."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ftl.data.column_readers import some
from ftl.data.fleet_description import DESCRIPTION_FILE
from ftl.data.table_files import ParquetTable, first_line
from ftl.errors import TelemetryError

NODES_PER_RACK = 20
BLOCK = 512  # bytes; a tar is a row of such blocks, and ends with blocks of zeros


@dataclass(frozen=True)
class NodeFile:
    """The bytes of one node's parquet file."""

    path: Path
    member: str | None = None  # its name inside the tar `path`
    offset: int = 0
    size: int = 0

    @property
    def name(self) -> str:
        """What messages call it: ``5.parquet``, or ``0.tar: 5.parquet``."""
        return self.path.name if self.member is None else f"{self.path.name}: {self.member}"

    def open(self, where: str) -> ParquetTable:
        """Open it; of a tar, just this member's bytes are read.

        Raises:
            TelemetryError: If the file is damaged.
        """
        return ParquetTable(self.path if self.member is None else self._read(), where)

    def digest(self) -> str:
        """SHA-256 of its bytes; the same whether packed or not."""
        if self.member is not None:
            return hashlib.sha256(self._read()).hexdigest()
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def _read(self) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


@dataclass(frozen=True)
class Found:
    """What lies in a folder."""

    nodes: dict[int, NodeFile]
    tables: list[Path]  # parquet files whose names are no node numbers
    others: list[str]  # names of everything else


@dataclass(frozen=True)
class Wanted:
    """A choice of nodes; None chooses all."""

    nodes: frozenset[int] | None = None
    racks: frozenset[int] | None = None

    def has(self, node: int) -> bool:
        """Whether this node is wanted."""
        in_rack = self.racks is None or node // NODES_PER_RACK in self.racks
        return in_rack and (self.nodes is None or node in self.nodes)

    def has_of_rack(self, rack: int) -> bool:
        """Whether any node of this rack is wanted."""
        return any(self.has(node) for node in range(rack * NODES_PER_RACK, (rack + 1) * NODES_PER_RACK))


def find_node_files(path: Path, wanted: Wanted) -> Found:
    """The files of the wanted nodes, by node number in order.

    Args:
        path: A folder with rack tars or node files in it or in folders below it; or one such file.
        wanted: The choice of nodes. A tar named by a rack's number of which no node is wanted is not opened.

    Raises:
        TelemetryError: If there is nothing at this path, a tar is damaged, or a node has two files.
    """
    found = Found({}, [], [])
    for file in _files_of(path):
        number = _number(file.name)
        if file.suffix == ".tar":
            if number is None or wanted.has_of_rack(number):
                members = list(_members_of(file))
                found.others.extend([] if members else [f"{file.name} (without node files)"])
                for node, member in members:
                    _add(found.nodes, node, member, wanted)
        elif file.suffix != ".parquet":
            found.others.extend([] if file.name == DESCRIPTION_FILE else [file.name])
        elif number is None:
            found.tables.append(file)
        else:
            _add(found.nodes, number, NodeFile(file, size=file.stat().st_size), wanted)
    return Found(dict(sorted(found.nodes.items())), found.tables, found.others)


def _files_of(path: Path) -> list[Path]:
    if not path.exists():
        raise TelemetryError(f"{path}: no such folder; give the folder that holds rack tars or <node>.parquet files")
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _members_of(tar: Path) -> Iterator[tuple[int, NodeFile]]:
    """The node files in a tar; only its headers are read.

    Raises:
        TelemetryError: If the tar is damaged or cut short: nodes would be missing without anybody's notice.
    """
    try:
        with tarfile.open(tar, "r:") as archive:
            members = [member for member in archive if member.isfile()]
            end = archive.offset  # of the first block that is no header
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _damaged(tar, first_line(error)) from error
    with tar.open("rb") as stream:
        stream.seek(end)
        if stream.read(BLOCK) != bytes(BLOCK):
            raise _damaged(tar, f"no end mark after {len(members)} files")
    for member in members:
        name = member.name.rsplit("/", 1)[-1]
        number = _number(name)
        if number is not None and name.endswith(".parquet"):
            yield number, NodeFile(tar, member.name.removeprefix("./"), member.offset_data, member.size)


def _damaged(tar: Path, what: str) -> TelemetryError:
    return TelemetryError(
        f"{tar.name}: cannot be read as a tar ({what}); the file is damaged or cut short, and its nodes would be "
        "missing: fetch it again"
    )


def _add(nodes: dict[int, NodeFile], node: int, file: NodeFile, wanted: Wanted) -> None:
    if not wanted.has(node):
        return
    if node in nodes:
        raise TelemetryError(f"two files of node {node}: {some([nodes[node].name, file.name])}; keep one")
    nodes[node] = file


def _number(name: str) -> int | None:
    match = re.fullmatch(r"(\d+)\.(parquet|tar)", name)
    return int(match[1]) if match else None
