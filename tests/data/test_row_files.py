from pathlib import Path

import numpy as np
import pytest

from ftl.data.fleet import ARRAYS
from ftl.data.row_files import RowFiles

SHAPES = {"x": (7, 3), "label": (7,), "time": (7,), "lent": (7,)}


@pytest.mark.parametrize("name", SHAPES)
def test_rows_written_in_any_order_read_as_one_array(tmp_path: Path, name: str) -> None:
    whole = np.arange(np.prod(SHAPES[name])).reshape(SHAPES[name]) % 5
    files = RowFiles(tmp_path)
    assert files.create(SHAPES)
    for first, last in [(4, 7), (0, 1), (1, 4), (4, 4)]:
        files.write(name, first, whole[first:last])
    read = np.load(tmp_path / f"{name}.npy", allow_pickle=False)
    np.testing.assert_array_equal(read, whole.astype(ARRAYS[name]), strict=True)
    assert np.load(tmp_path / f"{name}.npy", mmap_mode="r").flags["ALIGNED"]


def test_columns_in_another_memory_order_are_written_as_rows(tmp_path: Path) -> None:
    files = RowFiles(tmp_path)
    files.create({"x": (2, 3)})
    files.write("x", 0, np.asfortranarray([[1.0, 2, 3], [4, 5, 6]]))
    assert np.load(tmp_path / "x.npy").tolist() == [[1, 2, 3], [4, 5, 6]]


def test_files_of_the_same_shapes_are_gone_on_with(tmp_path: Path) -> None:
    files = RowFiles(tmp_path)
    files.create(SHAPES)
    files.write("label", 0, np.ones(7))
    assert not files.create(SHAPES)
    assert np.load(tmp_path / "label.npy").all()
    assert files.create(SHAPES | {"label": (8,)})
    assert not np.load(tmp_path / "label.npy").any()


def test_nothing_is_written_before_it_is_written(tmp_path: Path) -> None:
    """A fleet's files take their room as its nodes come, while what was kept of the nodes gives room back."""
    RowFiles(tmp_path).create({"x": (1_000_000, 100)})
    status = (tmp_path / "x.npy").stat()
    assert status.st_size > 400e6
    assert status.st_blocks * 512 < 1e6
