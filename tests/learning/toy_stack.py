"""A stack small enough to train in milliseconds, whose nodes run out of rows at different steps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ftl.learning.batches import BatchSettings, StackRows
from ftl.learning.fit import EpochReport, FitState, fit_fleet
from ftl.learning.objectives import Objective, reconstruction_loss
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.training import LocalTraining
from ftl.models.network import ModelSettings, NetworkKind, initial_state
from ftl.models.state import StackedState, join

N_FEATURES = 9
MODEL = ModelSettings(hidden=(12, 8, 4), latent=4)
BATCHES = BatchSettings(batch_size=5, max_steps_per_epoch=None)
N_ROWS = (23, 7, 40)
"""In batches of 5 these are 5, 2 and 8 steps an epoch, and the last batches hold 3, 2 and 5 rows."""


def toy_rows(
    n_rows: Sequence[int] = N_ROWS,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    weighted: bool = False,
) -> StackRows:
    """Rows of unlike nodes, scattered over one table; every fourth has label 1. ``weighted``: no two weigh the same."""
    random = np.random.default_rng(seed)
    place = random.permutation(sum(n_rows))
    x = np.empty((len(place), N_FEATURES))
    rows = np.split(place, np.cumsum(n_rows)[:-1])
    for mine in rows:
        hidden = random.normal(size=(len(mine), 3)) @ random.normal(size=(3, N_FEATURES))
        x[mine] = 1 / (1 + np.exp(-hidden))
    labels = [(np.arange(n) % 4 == 0).astype(np.float32) for n in n_rows]
    weights = [random.uniform(0.5, 2.0, n) if weighted else np.ones(n) for n in n_rows]
    return StackRows.of(
        torch.from_numpy(x).to(dtype), rows, labels, weights, seeds or [100 + k for k in range(len(n_rows))]
    )


def unlike_models(n_models: int, kind: NetworkKind = "autoencoder", dtype: torch.dtype = torch.float64) -> StackedState:
    """A stack of models, each initialised by a seed of its own."""
    models = [initial_state(kind, N_FEATURES, MODEL, seed) for seed in range(n_models)]
    return {name: value.to(dtype) for name, value in join(models).items()}


def fit(
    rows: StackRows,
    start: StackedState | FitState,
    n_epochs: int = 3,
    optimizer: OptimizerSettings | None = None,
    objective: Objective = reconstruction_loss,
    kind: NetworkKind = "autoencoder",
    model: ModelSettings = MODEL,
    batches: BatchSettings = BATCHES,
    training: type[LocalTraining] = LocalTraining,
    checkpoint: Path | None = None,
    report: EpochReport | None = None,
    arguments: Callable[[list[int]], dict[str, Any]] = lambda order: {},
) -> FitState:
    """``fit_fleet`` with the toy's settings; a checkpoint is written after every epoch."""

    def build(network, stack, order):
        settings = optimizer or OptimizerSettings(learning_rate=1e-2)
        return training(network, stack, objective, settings, batches, **arguments(order))

    begun = start if isinstance(start, FitState) else FitState(start)
    try:
        return fit_fleet(build, begun, rows, n_epochs, kind, model, batches, checkpoint, 0.0, report)
    finally:
        torch.set_flush_denormal(False)  # a fit flushes them in its whole process: here, in all tests that follow


def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of this test run on the CPU from now on; the test is skipped where they would have done so anyway."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here: the fit is compared between GPU and CPU where there is one")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


class Interruption(RuntimeError):
    """What ends a fit in the middle."""


def interrupt_after(epoch: int) -> EpochReport:
    """A report that ends the fit when so many epochs have been made."""

    def report(done: int, total: int) -> None:
        if done >= epoch:
            raise Interruption

    return report


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor], rtol: float = 1e-9, atol: float = 1e-12) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            value, other[name], rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}"
        )
