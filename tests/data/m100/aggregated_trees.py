"""Small trees in the layout of the time-aggregated release (Zenodo record 7541722)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

START = pd.Timestamp("2020-03-09 12:00", tz="UTC")
STATISTICS = ("avg", "std", "min", "max")
METRICS = ("ambient", "p0_power", "total_power")


def node_frame(
    node: int,
    n_rows: int = 6,
    labels: Sequence[float | None] | None = None,
    metrics: Sequence[str] = METRICS,
    statistics: Sequence[str] = STATISTICS,
) -> pd.DataFrame:
    """A node's windows as the release has them; the values tell node, metric, statistic and row apart."""
    columns: dict[str, Any] = {"timestamp": START + pd.to_timedelta(15 * np.arange(n_rows), unit="min")}
    for number, metric in enumerate(metrics):
        for place, statistic in enumerate(statistics):
            columns[f"{metric}_{statistic}"] = 1000.0 * node + 100 * number + 10 * place + np.arange(n_rows) / 8
    columns["value"] = np.array(np.zeros(n_rows) if labels is None else labels, np.float64)
    return pd.DataFrame(columns)


def parquet_bytes(frame: pd.DataFrame, compression: str = "zstd") -> bytes:
    """The frame as a parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression=compression)
    return buffer.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes | pd.DataFrame], folder: str = "") -> Path:
    """A rack's tar with these members, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else parquet_bytes(content)
            header = tarfile.TarInfo(f"{folder}{name}")
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return path


def write_files(folder: Path, members: Mapping[str, bytes | pd.DataFrame]) -> Path:
    """The same members as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in members.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else parquet_bytes(content))
    return folder


def assert_same_tables(first: Any, second: Any) -> None:
    """Two node tables agree in every value."""
    assert (first.node_id, first.features, first.treatments) == (second.node_id, second.features, second.treatments)
    for name in ("time", "values", "label"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
