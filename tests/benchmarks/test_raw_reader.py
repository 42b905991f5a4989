"""How fast a month of the raw release becomes windows, beside pandas on the same bytes; run by ``make bench``."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console
from rich.table import Table

from ftl.data.m100.layout import find_layout
from ftl.data.m100.metric import window_metric
from ftl.data.m100.rows import Grid
from tests.data.m100.exadata import month_start, samples, write_metric

N_NODES, DAYS, STEP = 980, 5, 20
FEW_NODES, FEWEST_NODES = 98, 5
"""Nodes of the slower and of the slowest measurements: the time per sample is the same however many follow."""
REPETITIONS = 3
STATISTICS = ("avg", "std", "min", "max")
WANTED = 3e6
"""Samples per second and core."""
PANDAS, ONE_LINE = "pandas, resample node by node", "pandas, groupby().resample().agg()"
RELEASED = "node after node, as released"


def orders(time: np.ndarray, node: np.ndarray) -> dict[str, np.ndarray]:
    """Rows in orders that no sane collector writes; ``time`` and ``node`` are sorted by node, then time."""
    rng, rows = np.random.default_rng(1), np.arange(len(time))
    return {
        "by time": np.argsort(time, kind="stable"),
        "one sample in 50 twice": np.sort(np.concatenate([rows, rows[::50]])),
        "unordered within a node": np.lexsort((rng.random(len(time)), node)),
        "unordered": rng.permutation(rows),
    }


def by_pandas(path: Path) -> pd.DataFrame:
    """Resample node by node, as the publishers of the aggregated release do."""
    table = pd.read_parquet(path)
    frames = {}
    for node, rows in table.groupby("node", observed=True):
        bins = rows.set_index("timestamp")["value"].resample("15min", origin="start_day")
        by_name = {"avg": bins.mean(), "std": bins.std(ddof=0), "min": bins.min(), "max": bins.max()}
        frames[int(str(node))] = pd.DataFrame({name: by_name[name] for name in STATISTICS})
    return pd.concat(frames)


def by_pandas_in_one_line(path: Path, n_nodes: int) -> pd.DataFrame:
    """The same for the first nodes, as pandas' manual has it."""
    table = pd.read_parquet(path)
    table = table[table["node"].isin([str(node) for node in range(n_nodes)])]
    return table.groupby("node", observed=True).resample("15min", on="timestamp")["value"].agg(["mean", "std"])


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()  # of all threads
    work()
    return time.process_time() - start


@pytest.mark.benchmark
def test_a_metric_of_980_nodes_becomes_windows_at_this_speed(tmp_path):
    pa.set_cpu_count(1)
    start = month_start("21-03")
    grid = Grid(tuple(range(N_NODES)), start * 1000, 900_000, 31 * 96)
    content = samples(range(N_NODES), start, DAYS * 86_400, STEP, np.random.default_rng(0))
    few = [column[: len(content[0]) * FEW_NODES // N_NODES] for column in content]
    plain = write_metric(tmp_path / "plain", "21-03", "p0_power", *few)
    write_metric(tmp_path / "all", "21-03", RELEASED, *content)
    n_samples = {RELEASED: len(content[0])}
    for name, rows in orders(*few[:2]).items():
        write_metric(tmp_path / "all", "21-03", name, *(column[rows] for column in few))
        n_samples[name] = len(rows)
    metrics = find_layout(tmp_path / "all").months["21-03"]["ipmi"]

    few_grid = replace(grid, nodes=grid.nodes[:FEW_NODES])

    def ours(name: str) -> np.ndarray:
        return window_metric(metrics[name], grid if name == RELEASED else few_grid, STATISTICS).block.values

    rates: dict[str, list[float]] = {name: [] for name in (PANDAS, ONE_LINE, *n_samples)}
    for _ in range(REPETITIONS):  # interleaved: a slow minute of the machine hits all
        rates[PANDAS].append(len(few[0]) / cpu_seconds(lambda: by_pandas(plain)))
        seconds = cpu_seconds(lambda: by_pandas_in_one_line(plain, FEWEST_NODES))
        rates[ONE_LINE].append(len(few[0]) * FEWEST_NODES / FEW_NODES / seconds)
        for name, n in n_samples.items():
            rates[name].append(n / cpu_seconds(lambda name=name: ours(name)))
    median = {name: statistics.median(values) for name, values in rates.items()}
    Console(width=100).print(table(median, len(content[0])))
    print(f"peak memory of a fresh process: {peak_memory(tmp_path / 'all', tmp_path / 'cache'):.0f} MB")

    wanted = by_pandas(plain).to_numpy()
    np.testing.assert_allclose(ours(RELEASED)[:FEW_NODES].reshape(-1, len(STATISTICS)), wanted, rtol=1e-5, atol=1e-5)
    assert median[RELEASED] > WANTED


PEAK = """
import re, sys
from ftl.data.m100.raw import M100RawSource

M100RawSource(sys.argv[1], cache=sys.argv[2]).materialise()
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""


def peak_memory(root: Path, cache: Path) -> float:
    """Megabytes at most, of a process that makes a source and reduces the metrics in all orders."""
    done = subprocess.run([sys.executable, "-c", PEAK, root, cache], capture_output=True, text=True, check=True)
    return float(done.stdout)


def table(median: dict[str, float], n_samples: int) -> Table:
    """Samples per second line by line."""
    shown = Table(
        title=f"parquet to 15-minute windows: {n_samples / 1e6:.1f} million samples of a metric, {N_NODES} nodes",
        caption=f"{', '.join(STATISTICS)}; CPU time of one core, median of {REPETITIONS} interleaved repetitions. "
        f"pandas by node and the unusual orders are measured on {FEW_NODES} nodes, pandas in one line (avg, std) on "
        f"{FEWEST_NODES}.",
    )
    for heading in ("how", "million samples/s", "times pandas by node"):
        shown.add_column(heading, justify="left" if heading == "how" else "right")
    for name, rate in median.items():
        shown.add_row(name, f"{rate / 1e6:.1f}", f"{rate / median[PANDAS]:.1f}")
    return shown
