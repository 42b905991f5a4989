"""How fast a fleet trains, against one Lightning fit per node and the floor of the machine; run by ``make bench``."""

import statistics

import pytest
import torch
from rich.console import Console
from rich.table import Table

from ftl.learning.fit import prepare_process
from tests.benchmarks.engines import ENGINES, FEW_NODES, MEASURED, N_FEATURES, N_NODES, floor_seconds, make_work

REPETITIONS = 3
PLAIN, TORCHS, SAFE, ADAM = (next(name for name in ENGINES if name.split()[0] == key) for key in ("b", "c", "d", "e2"))


@pytest.mark.benchmark
@pytest.mark.parametrize(("batch_size", "n_steps"), [(10, 20), (64, 12)], ids=["batch 10", "batch 64"])
def test_engines_train_the_same_weights_at_these_speeds(batch_size, n_steps):
    prepare_process()
    work = make_work(batch_size, n_steps)
    seconds, ends = {name: [] for name in ENGINES}, {}
    for _ in range(REPETITIONS):  # interleaved: a slow minute of the machine hits all engines
        for name, engine in ENGINES.items():
            timing = engine(work)
            seconds[name] += timing.seconds
            ends[name] = timing.network
    Console(width=100).print(table(batch_size, {name: statistics.median(values) for name, values in seconds.items()}))

    plain, torchs, safe = (ends[name]["encoder.0.weight"][:FEW_NODES] for name in (PLAIN, TORCHS, SAFE))
    moved = (plain - work.start["encoder.0.weight"]).norm()
    assert (torchs - plain).norm() < 1e-4 * moved
    assert (safe - plain).norm() < 1e-4 * moved
    assert all(torch.isfinite(value).all() for value in ends[ADAM].values())


def table(batch_size: int, seconds: dict[str, float]) -> Table:
    """Engines line by line; ``seconds`` of a node-step."""
    a, bare, *_ = seconds.values()
    shown = Table(
        title=f"{N_NODES} nodes, batch {batch_size}, {N_FEATURES} features, float32, one thread",
        caption=f"CPU time, median of {REPETITIONS} interleaved repetitions of {MEASURED} epochs after one to warm up "
        f"(set-up of a fit left out). a, a2 and b are measured on {FEW_NODES} nodes: a node's step costs the same "
        "however many follow. a2 is without progress bar, logger and checkpoints. "
        f"Floor: {1e6 * floor_seconds(batch_size):.0f} us per node-step, where the model stays in cache.",
    )
    for heading in ("engine", "us per node-step", "rows/s", "times a", "times a2", "of the floor"):
        shown.add_column(heading, justify="left" if heading == "engine" else "right")
    for name, each in seconds.items():
        shown.add_row(
            name,
            f"{1e6 * each:,.0f}",
            f"{batch_size / each:,.0f}",
            f"{a / each:.1f}",
            f"{bare / each:.1f}",
            f"{100 * floor_seconds(batch_size) / each:.0f} %",
        )
    return shown
