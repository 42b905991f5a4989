"""Where the parts of the M100 ExaData release lie: in folders ``year_month=*`` or inside monthly tars.

    year_month=21-03/plugin=ipmi_pub/metric=p0_power/a_0.parquet    (Borghesi et al., Scientific Data 10:288, 2023)

A member of an uncompressed tar is a stretch of bytes of the tar, so it is opened in place and nothing is unpacked.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from ftl.data.leftovers import is_unfinished_download
from ftl.errors import ConfigError, TelemetryError

MONTH = re.compile(r"\d\d-(0[1-9]|1[0-2])")
PART = re.compile(r"year_month=([^/]+)/plugin=([^/]+)/metric=([^/]+)/([^/]+\.parquet)$")
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")
RANGE = ".."
DICTIONARIES = ("node", "description")  # columns of few distinct texts
COPY_AGAIN = "the file is damaged or cut short: download or copy it again"


@dataclass(frozen=True)
class Part:
    """One parquet file of a metric, by itself or inside a tar."""

    file: Path  # the parquet file, or the tar
    size: int  # bytes of the part
    modified: int  # when the file was modified, nanoseconds since 1970
    member: str | None = None  # its name inside the tar
    offset: int = 0  # where it begins inside the tar

    def __str__(self) -> str:
        return str(self.file) if self.member is None else f"{self.file}: {self.member}"

    def identity(self) -> list[str | int]:
        """What changes when the file does; JSON-able."""
        return [self.member or self.file.name, self.size, self.modified, self.offset]


Metrics = dict[str, tuple[Part, ...]]


@dataclass(frozen=True)
class Layout:
    """The parts of the chosen months, and what was odd about the folder."""

    months: dict[str, dict[str, Metrics]]  # month -> plugin (without _pub) -> metric -> parts
    notes: tuple[str, ...]


def find_layout(path: Path, months: Sequence[str] | None = None) -> Layout:
    """Find the parts of some months, or of all that are there.

    Args:
        path: A folder with ``year_month=*`` folders, with monthly tars ``YY-MM.tar``, or with both; or one of them.
        months: Such as 21-03, or 20-03..20-06 for all of these; None takes all.

    Raises:
        ConfigError: If a month is written wrongly.
        TelemetryError: If nothing is there, a month is missing, or a tar is damaged.
    """
    if not path.exists():
        raise TelemetryError(
            f"{path}: no such folder; give the folder that holds year_month=* folders or YY-MM.tar files"
        )
    wanted = None if months is None else _wanted(months)
    folders, tars, compressed, parts = _entries(path)
    found: dict[str, dict[str, Metrics]] = {}
    notes = []
    if compressed:
        names = ", ".join(file.name for file in compressed)
        notes.append(f"compressed tars cannot be read in place and were left out; unpack them to .tar: {names}")
    if parts:
        notes.append(f"unfinished downloads, not read: {', '.join(file.name for file in parts)}")
    for tar in tars:
        named = MONTH.fullmatch(tar.stem) is not None
        if wanted is not None and named and tar.stem not in wanted:
            continue
        inside = _group(_tar_parts(tar))
        if not inside:
            notes.append(f"{tar.name} holds no year_month=*/plugin=*/metric=*/*.parquet and was left out")
        for month, plugins in inside.items():
            if month in found:
                raise TelemetryError(f"{path}: two tars hold month {month}, the second is {tar.name}; keep one")
            found[month] = plugins
    for month, plugins in _group(part for folder in folders for part in _folder_parts(folder)).items():
        if month in found:
            notes.append(f"month {month} is there unpacked and as a tar; unpacked files go before members of the tar")
        for plugin, metrics in plugins.items():
            found.setdefault(month, {}).setdefault(plugin, {}).update(metrics)
    chosen = _chosen(found, wanted, path, tars)
    return Layout(chosen, (*notes, *(_holes(list(chosen)) if wanted is None else ())))


@contextmanager
def open_part(part: Part) -> Iterator[pa.parquet.ParquetFile]:
    """Open a part where it lies; what goes wrong while it is read becomes a TelemetryError that names it."""
    try:
        with part.file.open("rb") as stream, _parquet(part, stream) as plain:
            schema = plain.schema_arrow
            texts = [name for name in DICTIONARIES if name in schema.names and schema.field(name).type == pa.string()]
            if not texts:
                yield plain
                return
            with _parquet(part, stream, read_dictionary=texts) as file:  # written without Arrow's own schema
                yield file
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TelemetryError(f"{part}: cannot be read ({reason}); {COPY_AGAIN}") from error


def _parquet(part: Part, stream: io.BufferedReader, **settings: Any) -> pa.parquet.ParquetFile:
    source = part.file if part.member is None else _Section(stream, part.offset, part.size)
    return pa.parquet.ParquetFile(source, **settings)


class _Section(io.RawIOBase):
    """A stretch of a file as a file of its own."""

    def __init__(self, stream: io.BufferedReader, offset: int, size: int) -> None:
        self._stream, self._offset, self._size, self._at = stream, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        self._stream.seek(self._offset + self._at)
        content = self._stream.read(left if size is None or size < 0 else min(size, left))
        self._at += len(content)
        return content


def _wanted(months: Sequence[str]) -> list[str]:
    """Months and ranges of months as single months."""
    wanted = []
    for words in [months] if isinstance(months, str) else months:
        for word in str(words).split(","):
            ends = [_month(end.strip()) for end in word.split(RANGE)]
            if len(ends) > 2:
                raise ConfigError(f"months: a range is written 20-03{RANGE}20-06; got {word!r}")
            if ends[0] > ends[-1]:
                raise ConfigError(f"months: {word!r} runs backwards; write {ends[-1]}{RANGE}{ends[0]}")
            wanted += _months_from(ends[0], ends[-1])
    return wanted


def _months_from(first: str, last: str) -> list[str]:
    steps = np.arange(np.datetime64(f"20{first}", "M"), np.datetime64(f"20{last}", "M") + 1)
    return [str(month)[2:] for month in steps]


def _holes(months: Sequence[str]) -> list[str]:
    """A note for every stretch of months that is missing between two that are there."""
    notes = []
    for before, after in pairwise(months):
        missing = _months_from(before, after)[1:-1]
        if missing:
            named = missing[0] if len(missing) == 1 else f"{missing[0]} to {missing[-1]}"
            notes.append(f"no telemetry of {named} between {before} and {after}")
    return notes


def _month(month: str) -> str:
    short = re.sub(r"^(year_month=)?(20(?=\d\d-))?", "", str(month))
    if not MONTH.fullmatch(short):
        raise ConfigError(f"months: must be written like 21-03; got {month!r}")
    return short


def _entries(path: Path) -> tuple[list[Path], list[Path], list[Path], list[Path]]:
    """Month folders, tars, compressed tars and half-fetched tars, in the folder itself and one level below."""
    if path.is_file():
        return [], [path], [], []
    if path.name.startswith("year_month="):
        return [path], [], [], []
    near = sorted(entry for pattern in ("*", "*/*") for entry in path.glob(pattern))
    folders = [entry for entry in near if entry.name.startswith("year_month=") and entry.is_dir()]
    files = [
        entry for entry in near if not entry.name.startswith(".") and not entry.parent.name.startswith("year_month=")
    ]
    tars = [entry for entry in files if entry.suffix == ".tar" and entry.is_file()]
    compressed = [entry for entry in files if entry.name.endswith(COMPRESSED_TARS)]
    return folders, tars, compressed, [entry for entry in files if is_unfinished_download(entry.name)]


def _folder_parts(folder: Path) -> Iterator[tuple[str, Part]]:
    for file in sorted(folder.glob("plugin=*/metric=*/*.parquet")):
        status = file.stat()
        name = "/".join((folder.name, *file.relative_to(folder).parts))
        yield name, Part(file, status.st_size, status.st_mtime_ns)


def _tar_parts(tar: Path) -> Iterator[tuple[str, Part]]:
    """Members that are parts, from the headers alone."""
    modified = tar.stat().st_mtime_ns
    try:
        with tar.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                if member.isreg() and not member.issparse() and PART.search(member.name):
                    yield member.name, Part(tar, member.size, modified, member.name, member.offset_data)
            stream.seek(archive.offset)  # a header cut short ends the list of members without an error
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("no end mark, members are missing")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise TelemetryError(f"{tar}: cannot be read as an uncompressed tar ({error}); {COPY_AGAIN}") from error


def _group(parts: Iterable[tuple[str, Part]]) -> dict[str, dict[str, Metrics]]:
    """Parts by month, plugin and metric, as their paths say."""
    grouped: dict[str, dict[str, Metrics]] = {}
    for name, part in parts:
        match = PART.search(name)
        if match and MONTH.fullmatch(month := match[1].removeprefix("20") if len(match[1]) == 7 else match[1]):
            metrics = grouped.setdefault(month, {}).setdefault(match[2].removesuffix("_pub"), {})
            metrics[match[3]] = (*metrics.get(match[3], ()), part)
    return grouped


def _chosen(
    found: dict[str, dict[str, Metrics]], wanted: Sequence[str] | None, path: Path, tars: Sequence[Path]
) -> dict[str, dict[str, Metrics]]:
    """The wanted months in time order."""
    there = sorted({*found, *(tar.stem for tar in tars if MONTH.fullmatch(tar.stem))})
    if not there:
        raise TelemetryError(
            f"{path}: no month of the M100 ExaData release: neither year_month=*/plugin=*/metric=*/*.parquet nor a tar "
            "with such members"
        )
    missing = sorted(set(wanted or ()) - set(found))
    if missing:
        raise TelemetryError(
            f"{path}: month {', '.join(missing)} is not there; there are {', '.join(there)}: "
            "choose among them, or download it"
        )
    return {month: found[month] for month in sorted(found) if wanted is None or month in wanted}
