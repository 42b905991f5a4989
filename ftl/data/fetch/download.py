"""Files of a record into a folder: one at a time, continued where an earlier fetch ended, checked, then named.

While a file is on its way it is ``<name>.<first digits of its md5>.part``, so that parts of two versions never mix; it
gets its name when size and md5 are right. The part is also the lock: two fetches of one file wait for each other.
A finished file is skipped if SOURCE.json says that it was checked and nobody has written to it since; if it was, or if
it came here otherwise, its md5 is computed again.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftl.data.fetch.provenance import is_verified, read_source, record_source
from ftl.data.fetch.transfer import Transfer
from ftl.data.fetch.transport import FetchError, Server
from ftl.data.fetch.watcher import Watcher
from ftl.data.fetch.zenodo import RemoteFile
from ftl.data.sizes import readable_size as gigabytes
from ftl.processes import lock

COMPLETE, UNCHECKED, PARTIAL, ABSENT = "complete", "to be checked", "begun", "absent"


@dataclass(frozen=True)
class Planned:
    """What a fetch would do with a file: its state here, and how many bytes are still to come."""

    file: RemoteFile
    state: str
    n_missing: int


def plan(files: Sequence[RemoteFile], folder: Path) -> list[Planned]:
    """What is here of these files; nothing is computed from their bytes."""
    return [_planned(file, folder) for file in files]


def check_space(planned: Sequence[Planned], folder: Path) -> None:
    """Refuse to begin what cannot end.

    Raises:
        FetchError: If the folder's disk has less room than the missing bytes need.
    """
    missing = sum(item.n_missing for item in planned)
    free = shutil.disk_usage(_existing(folder)).free
    if missing > free:
        raise FetchError(
            f"--out {folder}: {gigabytes(missing)} are to come and {gigabytes(free)} are free there; free some space, "
            "take fewer months or racks, or give another folder"
        )


def fetch_files(
    server: Server, files: Sequence[RemoteFile], folder: Path, watcher: Watcher, verify: bool = False
) -> list[str]:
    """Bring these files into a folder, and note them in SOURCE.json.

    Args:
        verify: Compute the md5 of finished files even where SOURCE.json says that they are right.

    Returns:
        Names of the files that were downloaded, wholly or in part; the others were there.

    Raises:
        FetchError: At the first file that cannot be had. Those before it stay, and what has arrived of it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"--out {folder}: cannot be made: {error.strerror}") from error
    check_space(plan(files, folder), folder)
    return [file.key for file in files if _fetch(server, file, folder, watcher, verify)]


def _fetch(server: Server, file: RemoteFile, folder: Path, watcher: Watcher, verify: bool) -> bool:
    path, part = folder / file.key, part_of(folder, file)
    while not _is_complete(path, file, watcher, verify):
        with _opened(part) as half:
            lock(half.fileno(), lambda: watcher.say(f"{file.key}: another fetch is at it; waiting"))
            if not _is_still(half, part):
                continue  # the other fetch has finished it
            if path.exists():
                part.unlink()
                continue
            _remove_older_parts(part, file)
            try:
                Transfer(server, file, half, watcher).run()
            except BaseException:
                if part.stat().st_size == 0:
                    part.unlink()
                raise
            os.replace(part, path)
        record_source(folder, file)
        watcher.say(f"{file.key}: complete, {gigabytes(file.size)}, md5 {file.md5}")
        return True
    watcher.say(f"{file.key}: is there already")
    return False


def part_of(folder: Path, file: RemoteFile) -> Path:
    """Where a file grows."""
    return folder / f"{file.key}.{file.md5[:8]}.part"


def _planned(file: RemoteFile, folder: Path) -> Planned:
    path, part = folder / file.key, part_of(folder, file)
    if path.exists():
        return Planned(file, COMPLETE if is_verified(path, file, read_source(folder)) else UNCHECKED, 0)
    if part.exists():
        return Planned(file, PARTIAL, max(file.size - part.stat().st_size, 0))
    return Planned(file, ABSENT, file.size)


def _is_complete(path: Path, file: RemoteFile, watcher: Watcher, verify: bool) -> bool:
    if not path.exists():
        return False
    if not verify and is_verified(path, file, read_source(path.parent)):
        return True
    size = path.stat().st_size
    found = f"{size} bytes"
    if size == file.size:
        watcher.say(f"{file.key}: is there; computing its md5")
        with path.open("rb") as stream:
            md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if md5 == file.md5:
            record_source(path.parent, file)
            return True
        found = f"md5 {md5}"
    raise FetchError(
        f"{path}: there is a file of this name with {found}, but record {file.record} has {file.size} bytes with md5 "
        f"{file.md5}; remove it to have it fetched, or give another --out"
    )


def _opened(part: Path) -> io.FileIO:
    try:
        return io.FileIO(part, "a+")
    except OSError as error:
        advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "give another --out"
        raise FetchError(f"{part}: cannot be written: {error.strerror}; {advice}") from error


def _is_still(half: io.FileIO, part: Path) -> bool:
    """Is the open file still the one under this name? The holder of its lock may have renamed or removed it."""
    try:
        return os.path.samestat(os.fstat(half.fileno()), part.stat())
    except FileNotFoundError:
        return False


def _remove_older_parts(part: Path, file: RemoteFile) -> None:
    for old in part.parent.iterdir():
        if old.name.startswith(f"{file.key}.") and old.suffix == ".part" and old != part:
            old.unlink()


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
