"""What preparing a fleet costs as it grows: seconds, disk, and the memory of each process; run by ``make bench``.

By hand, for any size: ``python -m tests.benchmarks.test_prepare N_NODES N_WINDOWS FOLDER [SETTING=VALUE ...]``; the
folder is filled and emptied again.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from rich.console import Console
from rich.table import Table

from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.randomness import generator

N_FEATURES = 352
"""A Marconi100 node's in the aggregated release: 88 metrics, 4 statistics each."""
N_WINDOWS = 8665
"""A tenth of its 86 650 windows of 15 minutes."""
LIMIT = 2e9


@dataclass(frozen=True)
class RepeatedNode:
    """Any number of nodes of real shape: 16 of 24 cores of each socket, gaps, outages that go with anomalies."""

    n_nodes: int
    n_windows: int
    name: str = "repeated"
    origin: str = "simulated"
    time_unit: str = "seconds"

    def node_ids(self) -> list[str]:
        return [str(node) for node in range(self.n_nodes)]

    def rack_of(self, node_id: str) -> str:
        return f"rack-{int(node_id) // 20}"

    def window_seconds(self) -> float:
        return 900.0

    def fingerprint(self) -> str:
        return f"{self.n_nodes} x {self.n_windows}"

    def read_node(self, node_id: str) -> NodeTable:
        random = generator(0, "benchmark", node_id)
        values = random.standard_normal((self.n_windows, N_FEATURES), np.float32)
        label = np.zeros(self.n_windows, np.int8)
        for first in random.integers(0, self.n_windows, self.n_windows // 1000 + 1):
            label[first : first + 15] = 1
            values[first : first + 12] = np.nan  # the node disappears
        for first in random.integers(0, self.n_windows, self.n_windows // 100):
            values[first : first + random.integers(1, 9), random.integers(0, N_FEATURES, 4)] = np.nan
        time_of = 1_583_712_000 + 900 * np.arange(self.n_windows)
        return NodeTable(node_id, time_of, values, self._features(random), label, None, {})

    def _features(self, random: np.random.Generator) -> tuple[str, ...]:
        cores = [f"p{s}_core{n}_temp" for s in (0, 1) for n in sorted(random.choice(24, 16, replace=False))]
        metrics = cores + [f"metric{number}" for number in range(N_FEATURES // 4 - len(cores))]
        return tuple(f"{metric}_{statistic}" for metric in metrics for statistic in ("avg", "std", "min", "max"))


class MemoryWatch(threading.Thread):
    """Peak memory of this process, of each of its children, and of all together (shared pages counted once)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[int, int] = {}
        self.together = 0
        self.over = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.over.wait(0.1):
            together = 0
            for process in [me, *me.children()]:
                try:
                    info = process.memory_full_info()
                except psutil.Error:
                    continue
                together += info.pss
                self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), info.rss)
            self.together = max(self.together, together)


def measure(n_nodes: int, n_windows: int, folder: Path, **settings: Any) -> dict[str, Any]:
    """Prepare a fleet in this process and its children; what it took."""
    watch = MemoryWatch()
    watch.start()
    began, rounds = time.monotonic(), {}

    def note(done: int, total: int, what: str) -> None:
        rounds[what] = time.monotonic() - began

    source = RepeatedNode(n_nodes, n_windows)
    fleet = prepare_fleet(source, PrepareSettings(**settings), "rigorous", folder / "fleet", note)
    seconds = time.monotonic() - began
    watch.over.set()
    me, used = os.getpid(), os.times()
    result = {
        "nodes": n_nodes,
        "windows": n_windows,
        "shape": list(fleet.x.shape),
        "seconds": seconds,
        "cpu_seconds": used.user + used.system + used.children_user + used.children_system,
        "ends": rounds,
        "parent": watch.peaks[me],
        "children": sorted(peak for pid, peak in watch.peaks.items() if pid != me),
        "together": watch.together,
        "written": sum(path.stat().st_size for path in (folder / "fleet").iterdir()),
    }
    shutil.rmtree(folder / "fleet")
    return result


def in_a_process_of_its_own(n_nodes: int, folder: Path, *settings: str) -> dict[str, Any]:
    """What earlier measurements left in memory does not count."""
    words = [str(n_nodes), str(N_WINDOWS), str(folder), *settings]
    command = [sys.executable, "-m", "tests.benchmarks.test_prepare", *words]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.benchmark
@pytest.mark.parametrize("settings", [(), ("alignment=slots", "missing=forward_fill")], ids=["default", "slots"])
def test_memory_does_not_grow_with_the_fleet(tmp_path: Path, settings: tuple[str, ...]) -> None:
    costs = [in_a_process_of_its_own(n_nodes, tmp_path, *settings) for n_nodes in (10, 20, 40, 80)]
    Console(width=120).print(table(costs, " ".join(settings) or "default settings"))
    for cost in costs:
        assert max(cost["parent"], *cost["children"], cost["together"]) < LIMIT
    assert costs[-1]["together"] < 1.25 * costs[1]["together"]
    assert costs[-1]["cpu_seconds"] < 1.5 * 4 * costs[1]["cpu_seconds"]


def table(costs: list[dict[str, Any]], title: str) -> Table:
    """One line per fleet."""
    shown = Table(title=f"{N_WINDOWS} windows x {N_FEATURES} features per node; {title}")
    for heading in ("nodes", "seconds", "CPU s per node", "MB parent", "MB each child", "MB together", "GB written"):
        shown.add_column(heading, justify="right")
    for cost in costs:
        shown.add_row(
            str(cost["nodes"]),
            f"{cost['seconds']:.1f}",
            f"{cost['cpu_seconds'] / cost['nodes']:.2f}",
            f"{cost['parent'] / 1e6:.0f}",
            ", ".join(f"{peak / 1e6:.0f}" for peak in cost["children"]),
            f"{cost['together'] / 1e6:.0f}",
            f"{cost['written'] / 1e9:.2f}",
        )
    return shown


if __name__ == "__main__":
    chosen = dict(word.split("=") for word in sys.argv[4:])
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), **chosen)))
