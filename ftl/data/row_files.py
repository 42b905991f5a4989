"""The fleet's long arrays, one .npy file each, written a few rows at a time by any process, in any order.

Writing by position keeps the rows out of memory, and a full disk is an error instead of a killed process, as it
would be for a memory-mapped file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ftl.data.fleet import ARRAYS


@dataclass(frozen=True)
class RowFiles:
    """The files ``<name>.npy`` of a folder."""

    folder: Path

    def create(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Make files of these shapes, holes to be written into; False where files of these shapes are there already."""
        if all(self._shape(name) == shape for name, shape in shapes.items()):
            return False
        for name, shape in shapes.items():
            path = self.folder / f"{name}.npy"
            with path.open("wb") as file:
                header = {"descr": np.dtype(ARRAYS[name]).str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                file.truncate(file.tell() + int(np.prod(shape, dtype=np.int64)) * np.dtype(ARRAYS[name]).itemsize)
        return True

    def write(self, name: str, first_row: int, rows: np.ndarray) -> None:
        """Put rows, in the array's own type, where they belong."""
        kind = np.dtype(ARRAYS[name])
        content = memoryview(np.ascontiguousarray(rows, kind).reshape(-1).view(np.uint8).data)
        row_bytes = kind.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
        with (self.folder / f"{name}.npy").open("r+b", buffering=0) as file:
            file.seek(_header_bytes(file) + first_row * row_bytes)
            while content:
                content = content[file.write(content) :]

    def _shape(self, name: str) -> tuple[int, ...] | None:
        try:
            shape: tuple[int, ...] = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).shape
        except (OSError, ValueError, EOFError):
            return None
        return shape


def _header_bytes(file: IO[bytes]) -> int:
    """Bytes before the first row: a magic word of 8, the length of the header in 2, and the header."""
    return 10 + int.from_bytes(file.read(10)[8:], "little")
