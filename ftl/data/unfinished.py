"""The folder in which a fleet is prepared: hidden beside its place, taken up again after a kill, gone when done."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from ftl.data.fleet import check_replaceable, move_into_place
from ftl.data.sizes import readable_size
from ftl.errors import ConfigError, TelemetryError, UserError, is_disk_full
from ftl.processes import lock

KEY_FILE, LOCK_FILE = "key", "lock"


@contextmanager
def unfinished(folder: Path, key: str) -> Iterator[Path]:
    """Give the folder in which to prepare; its subfolder ``fleet`` takes `folder`'s place when the block ends well.

    What an earlier, interrupted preparation of the same fleet left is in it; what one of another fleet, of other
    settings or by other code left is removed. So is all of it where the telemetry or a setting cannot be used.

    Args:
        folder: Where the fleet goes.
        key: What the fleet depends on.

    Raises:
        TelemetryError: If `folder` holds something else than a prepared fleet, which would be lost.
        UserError: If it cannot be made.
    """
    folder = Path(folder)
    check_place(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    key = f"{key} {_code_digest()}"
    with _alone(partial, folder):
        if _read(partial / KEY_FILE) != key:
            for path in partial.iterdir():
                if path.name != LOCK_FILE:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            (partial / KEY_FILE).write_text(key)
        try:
            (partial / "fleet").mkdir(exist_ok=True)
            (partial / "nodes").mkdir(exist_ok=True)
            yield partial
        except (TelemetryError, ConfigError):  # the same command would only fail again
            shutil.rmtree(partial, ignore_errors=True)
            raise
        move_into_place(partial / "fleet", folder)
        shutil.rmtree(partial, ignore_errors=True)


def check_place(folder: Path) -> None:
    """Refuse a folder into which no fleet can go, before hours of work; nothing is made.

    Raises:
        TelemetryError: If it holds something else than a prepared fleet, which would be lost.
        UserError: If it cannot be made where it is wanted.
    """
    try:
        check_replaceable(folder)
        above = next(path for path in folder.absolute().parents if path.exists())
    except OSError as error:
        raise _cannot_be_made(folder, error.strerror) from error
    if not above.is_dir():
        raise _cannot_be_made(folder, f"{above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise _cannot_be_made(folder, f"{above} cannot be written")


def check_room(folder: Path, needed: int, place: Path) -> None:
    """Refuse to fill the disk.

    Args:
        folder: Where the fleet goes, for the message.
        needed: Bytes that are yet to be written.
        place: Where they are written.

    Raises:
        UserError: With the bytes needed and free.
    """
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"{folder}: the fleet needs {readable_size(needed)} more on this disk ({needed:,} bytes), "
            f"{readable_size(free)} are free; free some space and run the same command again: what was read is kept"
        )


def _cannot_be_made(folder: Path, why: str | None) -> UserError:
    return UserError(f"{folder}: cannot be made: {why}; name another folder")


@contextmanager
def _alone(partial: Path, folder: Path) -> Iterator[None]:
    """One process at a time prepares a fleet: one whose parent was killed may still be at it."""
    try:
        held = _lock(partial)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise _cannot_be_made(folder, error.strerror) from error
    try:
        yield
    finally:
        held.close()


def _lock(partial: Path) -> IO[str]:
    """The open lock file of the folder, which is made where there is none; closing it lets go."""
    message = f"{partial}: another process is preparing this fleet; waiting for it"
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        held = (partial / LOCK_FILE).open("w")
        lock(held.fileno(), wait=lambda: print(message, flush=True))
        # Who held the lock before may have finished, and removed it with its folder.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(held.fileno()).st_ino == (partial / LOCK_FILE).stat().st_ino:
                return held
        held.close()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


@lru_cache
def _code_digest() -> str:
    """Digest of this package's source: what other code left half done is not taken up."""
    hashed = hashlib.blake2b(digest_size=16)
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        hashed.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return hashed.hexdigest()
