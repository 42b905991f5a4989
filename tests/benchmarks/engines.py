"""The same training by several engines, timed by epoch: CPU seconds of one thread.

The first epoch of every engine is left out: it pays for set-up, first allocations and the optimizer's state.
"""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ftl.learning.batches import BatchSettings, StackRows, row_order
from ftl.learning.fit import FitState, fit_fleet
from ftl.learning.objectives import reconstruction_loss
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.training import LocalTraining
from ftl.models.network import ModelSettings, initial_state
from ftl.models.state import StackedState, repeat

N_NODES, N_FEATURES = 50, 462
FEW_NODES = 2
"""Nodes that engines train which take them one by one: a node's step costs the same however many follow."""
LONG = 100
LEARNING_RATE = 1e-4
WARM_UP, MEASURED = 1, 2
"""Epochs."""
FLOP_PER_ROW, PEAK_FLOPS, OPTIMIZER_PASS = 654_000, 131e9, 28e-6
"""Of the paper's autoencoder with 462 features, measured on one core of the reference machine."""


def floor_seconds(batch_size: int) -> float:
    """Least time of a node-step whose model stays in cache: its multiplications at peak, one pass of the optimizer."""
    return FLOP_PER_ROW * batch_size / PEAK_FLOPS + OPTIMIZER_PASS


@dataclass(frozen=True)
class Work:
    """What every engine trains: equal initial models, as many rows for each node.

    An epoch of Lightning node by node has ``LONG`` steps, so that what is done once an epoch weighs little, as it does
    in a long fit; that of the other engines has ``n_steps``, which makes the stacks look no cheaper than they are.
    """

    batch_size: int
    n_steps: int
    rows: StackRows
    start: StackedState  # of one model

    def x(self, node: int) -> Tensor:  # (T, F)
        return self.rows.x[self.rows.rows[self.rows.entries(node)]]


@dataclass(frozen=True)
class Timing:
    """CPU seconds of a node-step in each measured epoch, and the weights that came out (of the nodes trained)."""

    seconds: list[float]
    network: StackedState | None = None


Engine = Callable[[Work], Timing]


def make_work(batch_size: int, n_steps: int) -> Work:
    """Low-rank telemetry in [0, 1] with noise, unlike from node to node; three features in ten constant, as in d1."""
    random = np.random.default_rng(0)
    n_rows = batch_size * LONG
    telemetry = []
    for _ in range(N_NODES):
        signals = random.normal(size=(n_rows, 8)) @ random.normal(size=(8, N_FEATURES))
        x = 1 / (1 + np.exp(-signals - 0.3 * random.normal(size=signals.shape)))
        x[:, random.permutation(N_FEATURES)[: 3 * N_FEATURES // 10]] = 0
        telemetry.append(x.astype(np.float32))
    rows = [np.arange(node * n_rows, (node + 1) * n_rows) for node in range(N_NODES)]
    labels, weights = [np.zeros(n_rows)] * N_NODES, [np.ones(n_rows)] * N_NODES
    x = torch.from_numpy(np.concatenate(telemetry))
    start = initial_state("autoencoder", N_FEATURES, ModelSettings(), 0)
    return Work(batch_size, n_steps, StackRows.of(x, rows, labels, weights, range(N_NODES)), start)


class PlainAutoencoder(L.LightningModule):
    """What one writes for one node: a chain of layers, ``self.log``, torch's RMSprop."""

    def __init__(self, start: StackedState) -> None:
        super().__init__()
        weights = [value[0] for name, value in start.items() if name.endswith("weight")]
        layers: list[nn.Module] = []
        for weight in weights:
            linear = nn.Linear(*weight.shape)
            with torch.no_grad():
                linear.weight.copy_(weight.T)
                linear.bias.zero_()
            layers += [linear, nn.ReLU()]
        self.chain = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = nn.functional.mse_loss(self.chain(batch[0]), batch[0])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(self.parameters(), lr=LEARNING_RATE)


class EpochClock(L.Callback):
    """CPU time at the end of each epoch."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.ends.append(time.process_time())


def lightning_per_node(bare: bool, work: Work) -> Timing:
    """One ordinary Lightning fit after the other; ``bare``: without progress bar, logger and checkpoints."""
    extras = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False} if bare else {}
    seconds = []
    for node in range(FEW_NODES):
        clock = EpochClock()
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            trainer = L.Trainer(
                max_epochs=WARM_UP + MEASURED,
                accelerator="cpu",
                devices=1,
                callbacks=[clock],
                default_root_dir=folder,
                enable_model_summary=False,
                **extras,
            )
            loader = DataLoader(TensorDataset(work.x(node)), work.batch_size, shuffle=True)
            trainer.fit(PlainAutoencoder(work.start), loader)
        seconds += _per_step(clock.ends, LONG)
    return Timing(seconds)


def torch_per_node(work: Work) -> Timing:
    """One plain torch loop after the other, in the row order of the stacked fit."""
    seconds, weights = [], []
    for node in range(FEW_NODES):
        network, x = PlainAutoencoder(work.start).chain, work.x(node)
        optimizer = torch.optim.RMSprop(network.parameters(), lr=LEARNING_RATE)
        ends = []
        for epoch in range(WARM_UP + MEASURED):
            order = torch.from_numpy(row_order(len(x), work.rows.seeds[node], epoch))
            for chosen in order.split(work.batch_size)[: work.n_steps]:
                batch = x[chosen]
                optimizer.zero_grad()
                nn.functional.mse_loss(network(batch), batch).backward()
                optimizer.step()
            ends.append(time.process_time())
        seconds += _per_step(ends, work.n_steps)
        weights.append(network[0].weight.detach().T)
    return Timing(seconds, {"encoder.0.weight": torch.stack(weights)})


def stacked(name: str, backend: str, work: Work) -> Timing:
    """One Lightning fit of the whole stack: the engine of this repository."""
    settings, batches = (
        OptimizerSettings(name, LEARNING_RATE, backend=backend),
        BatchSettings(work.batch_size, work.n_steps),
    )
    ends: list[float] = []

    def build(network, rows, order):
        return LocalTraining(network, rows, reconstruction_loss, settings, batches)

    end = fit_fleet(
        build,
        FitState(repeat(work.start, N_NODES)),
        work.rows,
        WARM_UP + MEASURED,
        "autoencoder",
        ModelSettings(),
        batches,
        report=lambda done, total: ends.append(time.process_time()),
    )
    return Timing([each / N_NODES for each in _per_step(ends, work.n_steps)], end.network)


def _per_step(ends: list[float], n_steps: int) -> list[float]:
    return [float(seconds) / n_steps for seconds in np.diff(ends)[WARM_UP - 1 :]]


ENGINES: dict[str, Engine] = {
    "a   Lightning, node by node": partial(lightning_per_node, False),
    "a2  the same, bare": partial(lightning_per_node, True),
    "b   plain torch, node by node": torch_per_node,
    "c   stacked, RMSprop, torch": partial(stacked, "rmsprop", "torch"),
    "d   stacked, RMSprop, safe": partial(stacked, "rmsprop", "safe"),
    "e   stacked, Adam, torch": partial(stacked, "adam", "torch"),
    "e2  stacked, Adam, safe": partial(stacked, "adam", "safe"),
}
