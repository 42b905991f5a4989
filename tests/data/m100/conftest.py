"""A source over a small tree, with its cache beside the tree."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ftl.data.m100.raw import M100RawSource

OpenRaw = Callable[..., M100RawSource]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "exadata"
    path.mkdir()
    return path


@pytest.fixture
def raw(tree: Path, tmp_path: Path) -> OpenRaw:
    """Opens the tree, or another path; keyword arguments are settings of the source."""

    def open_source(path: Path = tree, **settings: object) -> M100RawSource:
        return M100RawSource(path, **{"cache": tmp_path / "cache", **settings})

    return open_source
