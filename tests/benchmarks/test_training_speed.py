"""How fast a fleet trains, against one Lightning fit per node and against the floor of the machine; run by ``make bench``."""

import statistics

import pytest
import torch
from rich.console import Console
from rich.table import Table

from ftl.learning.fit import prepare_process
from tests.benchmarks.engines import ENGINES, FEW_NODES, MEASURED, N_FEATURES, N_NODES, floor_seconds, make_work

REPETITIONS = 3


@pytest.mark.benchmark
@pytest.mark.parametrize(("batch_size", "n_steps"), [(10, 20), (64, 6)], ids=["batch 10", "batch 64"])
def test_engines_train_the_same_weights_at_these_speeds(batch_size, n_steps):
    prepare_process()
    work = make_work(batch_size, n_steps)
    seconds, ends = {name: [] for name in ENGINES}, {}
    for _ in range(REPETITIONS):  # interleaved: a slow minute of the machine hits all engines
        for name, engine in ENGINES.items():
            timing = engine(work)
            seconds[name] += timing.seconds
            ends[name] = timing.network
    Console(width=110).print(table(batch_size, {name: statistics.median(values) for name, values in seconds.items()}))

    plain, torchs, safe = (ends[name]["encoder.0.weight"][:FEW_NODES] for name in list(ENGINES)[1:4])
    moved = (plain - work.start["encoder.0.weight"]).norm()
    assert (torchs - plain).norm() < 1e-4 * moved
    assert (safe - plain).norm() < 1e-4 * moved
    assert torch.isfinite(ends["e2 stacked, Adam, safe"]["encoder.0.weight"]).all()


def table(batch_size: int, seconds: dict[str, float]) -> Table:
    """Engines line by line; ``seconds`` of a node-step."""
    first = next(iter(seconds.values()))
    shown = Table(
        title=f"{N_NODES} nodes, batch {batch_size}, {N_FEATURES} features, float32, one thread",
        caption=f"CPU time, median of {REPETITIONS} interleaved repetitions of {MEASURED} epochs after one to warm up. "
        f"a and b are measured on {FEW_NODES} nodes and hold for any number, as nodes follow one another. "
        f"Floor: {1e6 * floor_seconds(batch_size):.0f} us per node-step (model in cache, reference machine).",
    )
    for heading in ("engine", "us per node-step", "rows/s", "times a", "of the floor"):
        shown.add_column(heading, justify="left" if heading == "engine" else "right")
    for name, each in seconds.items():
        shown.add_row(
            name,
            f"{1e6 * each:,.0f}",
            f"{batch_size / each:,.0f}",
            f"{first / each:.1f}",
            f"{100 * floor_seconds(batch_size) / each:.0f} %",
        )
    return shown
