"""Sizes of files, for a reader."""


def readable_size(n_bytes: int) -> str:
    """A number of bytes in the unit that suits it; 1 GB is 10^9 bytes, as Zenodo counts."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} bytes"
