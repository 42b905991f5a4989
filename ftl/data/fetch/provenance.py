"""SOURCE.json beside the downloads: where each file came from, under which licence, and what it must hash to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftl.data.fetch.transport import FetchError
from ftl.data.fetch.zenodo import RemoteFile
from ftl.data.leftovers import SOURCE_FILE
from ftl.processes import CAN_LOCK, lock

_CITE = (
    "A. Borghesi, C. Di Santi, M. Molan, et al.: M100 ExaData: a data collection campaign on the CINECA's Marconi100 "
    "Tier-0 supercomputer. Scientific Data 10, 288 (2023), https://doi.org/10.1038/s41597-023-02174-3"
)


def read_source(folder: Path) -> dict[str, dict[str, Any]]:
    """What SOURCE.json says of each file; nothing where there is none.

    Raises:
        FetchError: If it cannot be read.
    """
    path = folder / SOURCE_FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{path}: cannot be read ({error}); remove it, and the files are checked anew") from error


def record_source(folder: Path, file: RemoteFile) -> None:
    """Note a verified file; several fetches may do so at once. A note that says the same already stays as it is."""
    with _alone_in(folder):
        files = read_source(folder)
        entry = {name: value for name, value in asdict(file).items() if name != "key"}
        if {**files.get(file.key, {}), **entry} == files.get(file.key):
            return  # data versioned with its SOURCE.json must not look changed because it was looked at
        files[file.key] = {**entry, "verified": datetime.now(UTC).isoformat(timespec="microseconds")}
        content = {"cite": _CITE, "files": {key: files[key] for key in sorted(files)}}
        half = folder / f"{SOURCE_FILE}.half"
        half.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(half, folder / SOURCE_FILE)


def is_verified(path: Path, file: RemoteFile, noted: dict[str, dict[str, Any]]) -> bool:
    """Was this file found to be right, and not written since? Asks SOURCE.json and the file's time, not its bytes."""
    entry = noted.get(file.key, {})
    if (entry.get("md5"), entry.get("size")) != (file.md5, file.size):
        return False
    try:
        verified = datetime.fromisoformat(entry["verified"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return False
    status = path.stat()
    return status.st_size == file.size and status.st_mtime <= verified


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock. Where folders cannot be locked, a note may get lost, and its file is checked again."""
    if not CAN_LOCK:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle)
        yield
    finally:
        os.close(handle)
