"""A full disk is recognised in whatever a library makes of it."""

import errno

import pytest

from ftl.errors import disk_full_message, is_disk_full


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "results.parquet"),
        OSError("100000 requested and 12784 written"),  # numpy
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors
        RuntimeError("database or disk is full"),  # sqlite
    ],
    ids=["errno", "numpy", "safetensors", "sqlite"],
)
def test_a_full_disk_is_seen(error):
    assert is_disk_full(error)


def test_other_errors_are_not_a_full_disk():
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied", "results.parquet"))
    assert not is_disk_full(ValueError("n_rows must be at least 1; got 0"))


def test_the_message_names_the_file_where_it_is_known():
    assert "results.parquet" in disk_full_message(OSError(errno.ENOSPC, "No space left on device", "results.parquet"))
    assert "while writing" in disk_full_message(OSError("100000 requested and 12784 written"))
