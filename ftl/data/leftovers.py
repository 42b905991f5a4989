"""What lies beside the tables of a folder: files of a fetch are known, all others are named to the user."""

from __future__ import annotations

from collections.abc import Iterable

SOURCE_FILE = "SOURCE.json"  # where the files beside it came from; written by `ftl data fetch`
PART_SUFFIX = ".part"  # of a file that is still on its way


def is_unfinished_download(name: str) -> bool:
    """Whether a file of this name is the part of one that was not fetched to its end."""
    return name.endswith(PART_SUFFIX)


def sort_leftovers(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Of files that are no tables, those that do not belong there and those that are unfinished downloads."""
    unread = [name for name in names if name not in (SOURCE_FILE, f"{SOURCE_FILE}.half")]
    parts = [name for name in unread if is_unfinished_download(name)]
    return [name for name in unread if name not in parts], parts
