"""Artifacts of a run as files on this machine."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ftl.tracking.record import Content


def write_artifacts(artifacts: Mapping[str, Content], folder: Path) -> None:
    """Texts and copies of files below the folder, under their paths."""
    for path, content in artifacts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_text(content, encoding="utf-8")


def local_folder(uri: str) -> Path | None:
    """The folder behind an artifact location on this machine; None for every other location."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    return Path(uri) if parts.scheme == "" else None
