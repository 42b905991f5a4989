"""Small months in the exact layout of the M100 ExaData release, for tests and benchmarks.

    year_month=21-03/plugin=ipmi_pub/metric=p0_power/a_0.parquet    zstd; all nodes, roughly one node after the other
    21-03.tar                                                       the same paths as members

The columns and their types are those of the release: ``timestamp`` in UTC milliseconds cut to the second, ``value``,
``node`` a dictionary of integers written as text; Nagios has ``description``, ``nagiosdrained`` and more.
"""

import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAY = 86_400
TEXT = pa.dictionary(pa.int16(), pa.string())
TIME = pa.timestamp("ms", tz="UTC")
STATE = "batchs::client::state"


def month_start(month: str) -> int:
    """Epoch seconds of the first day of a month such as 21-03."""
    return int(np.datetime64(f"20{month}-01", "s").astype(np.int64))


def metric_folder(root: Path, month: str, metric: str, plugin: str = "ipmi_pub") -> Path:
    return root / f"year_month={month}" / f"plugin={plugin}" / f"metric={metric}"


def text(values: Sequence[object] | np.ndarray) -> pa.DictionaryArray:
    """A column of text as the release stores it, dictionary<string, int16>."""
    return pa.array([None if value is None else str(value) for value in values]).dictionary_encode().cast(TEXT)


def node_column(nodes: np.ndarray) -> pa.DictionaryArray:
    """Integer node ids as a dictionary column; quicker than :func:`text` for many rows."""
    known, codes = np.unique(nodes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16)), pa.array(known.astype(str)))


def write_metric(
    root: Path,
    month: str,
    metric: str,
    time: np.ndarray,
    node: np.ndarray,
    value: np.ndarray | pa.Array,
    plugin: str = "ipmi_pub",
    file: str = "a_0.parquet",
    row_group_size: int = 1 << 20,
) -> Path:
    """Write one metric of one month.

    Args:
        root: Folder that takes ``year_month=*``.
        month: Such as 21-03.
        metric: The metric's name.
        time: Epoch seconds, shape (N,).
        node: Node ids, int, shape (N,).
        value: Samples as they shall stand in the file, shape (N,).
        plugin: As in the path.
        file: Name of the part.
        row_group_size: Rows per row group.
    """
    stamp = pa.array(np.asarray(time, np.int64) * 1000).cast(TIME)
    table = pa.table({"timestamp": stamp, "value": value, "node": node_column(np.asarray(node))})
    path = metric_folder(root, month, metric, plugin) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", row_group_size=row_group_size)
    return path


def samples(
    nodes: Sequence[int],
    start: int,
    seconds: int,
    step: int,
    rng: np.random.Generator,
    base: float = 60.0,
    quantum: float = 2.0,
    jitter: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of one metric: node after node, in time order, quantised; a slow swing, noise, and a level per node.

    Args:
        nodes: Node ids.
        start: Epoch seconds of the first sample.
        seconds: Length of the period.
        step: Seconds from sample to sample.
        rng: Where everything random comes from.
        base: Mean value.
        quantum: Smallest step of the sensor.
        jitter: Largest shift of a sample, seconds; must be less than half of ``step``.

    Returns:
        time (epoch seconds), node and value (int32), each of shape (N,).
    """
    ticks = start + np.arange(0, seconds, step)
    time = np.tile(ticks, len(nodes)) + rng.integers(-jitter, jitter + 1, len(nodes) * len(ticks))
    time = np.maximum(time, start)
    swing = 0.3 * np.sin(ticks / 7000.0)
    level = rng.normal(1, 0.1, len(nodes))
    value = base * (level[:, None] + swing) + base * 0.05 * rng.standard_normal((len(nodes), len(ticks)), np.float32)
    value = (np.round(value / quantum) * quantum).astype(np.int32).ravel()
    return time, np.repeat(np.asarray(nodes), len(ticks)), value


def write_states(
    root: Path,
    month: str,
    time: Sequence[int],
    node: Sequence[int],
    state: Sequence[int],
    description: Sequence[str] | str = STATE,
    drained: Sequence[str | None] | str = "0",
    file: str = "a_0.parquet",
) -> Path:
    """Write Nagios reports (plugin nagios_pub, metric state): epoch seconds, node, state, service, drained or not."""
    n_rows = len(time)
    descriptions = [description] * n_rows if isinstance(description, str) else description
    drains = [drained] * n_rows if isinstance(drained, str) else drained
    table = pa.table(
        {
            "timestamp": pa.array(np.asarray(time, np.int64) * 1000).cast(TIME),
            "value": pa.array(np.asarray(state, np.int32)),
            "description": text(descriptions),
            "host_group": text(["compute"] * n_rows),
            "nagiosdrained": pa.array(drains, pa.string()),
            "node": text(node),
            "state_type": pa.array(["1"] * n_rows, pa.string()),
        }
    )
    path = metric_folder(root, month, "state", "nagios_pub") / file
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")
    return path


def write_month(
    root: Path,
    month: str,
    metrics: Sequence[str] = ("p0_power", "total_power", "ambient"),
    nodes: Sequence[int] = range(20),
    days: float = 1,
    step: int = 20,
    seed: int = 0,
    first_day: int = 0,
    anomalous_share: float = 0.02,
) -> Path:
    """Write a month of ipmi metrics with Nagios states: what ``m100_raw`` needs for a fleet.

    Args:
        root: Folder that takes ``year_month=*``.
        month: Such as 21-03.
        metrics: Names of ipmi metrics.
        nodes: Node ids; 980 nodes, 5 days and 20 s make 21 million samples per metric.
        days: Length of the period.
        step: Seconds from sample to sample.
        seed: Equal seeds give equal files.
        first_day: Days from the start of the month to the first sample.
        anomalous_share: Share of the Nagios reports that are critical, in spells of about 3 hours.

    Returns:
        The root.
    """
    rng = np.random.default_rng(seed)
    start, seconds = month_start(month) + first_day * DAY, round(days * DAY)
    for number, metric in enumerate(metrics):
        write_metric(root, month, metric, *samples(nodes, start, seconds, step, rng, base=60.0 + 20 * number))
    ticks = start + np.arange(0, seconds, 900)
    spells = rng.random((len(nodes), len(ticks) // 12 + 1)) < anomalous_share
    state = np.where(np.repeat(spells, 12, axis=1)[:, : len(ticks)], 2, 0).ravel()
    write_states(root, month, np.tile(ticks, len(nodes)), np.repeat(np.asarray(nodes), len(ticks)), state)
    return root


def pack_month(root: Path, month: str, folder: Path | None = None) -> Path:
    """Pack ``year_month=<month>`` into ``<month>.tar`` (in ``folder``, else in ``root``) as the release does."""
    path = (folder or root) / f"{month}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        archive.add(root / f"year_month={month}", f"year_month={month}")
    return path
