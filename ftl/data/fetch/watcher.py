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
