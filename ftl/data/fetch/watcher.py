"""Who is told how a download goes."""

from typing import Protocol


class Watcher(Protocol):
    """Who is told of progress."""

    def begin(self, name: str, size: int, done: int) -> None:
        """A file of so many bytes begins, and so many of them are here already."""

    def advance(self, done: int) -> None:
        """So many of its bytes are here now."""

    def end(self) -> None:
        """No more of this file."""

    def say(self, text: str) -> None:
        """Something that a user should read."""


class Silent:
    """A watcher who does nothing."""

    def begin(self, name: str, size: int, done: int) -> None: ...
    def advance(self, done: int) -> None: ...
    def end(self) -> None: ...
    def say(self, text: str) -> None: ...


def gigabytes(n_bytes: int) -> str:
    """A size for a reader; 1 GB is 10^9 bytes, as Zenodo counts."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} bytes"
