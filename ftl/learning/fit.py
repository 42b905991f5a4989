"""One ordinary ``lightning.Trainer`` fit for a whole stack; interrupted after an epoch, it goes on to the same bits."""

import ctypes
import gc
import logging
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ftl.learning.batches import BatchSettings, StackRows
from ftl.learning.training import FederatedTraining, FineTuning, LocalTraining
from ftl.models.network import ModelSettings, NetworkKind, StackedNetwork, build_network
from ftl.models.state import StackedState

EpochReport = Callable[[int, int], None]
"""(epochs made, epochs in all): where a progress bar hooks in."""

Builder = Callable[[StackedNetwork, StackRows, list[int]], LocalTraining]
"""(network, rows, order) -> module; order[i] is the caller's number of the model at position i of the stack."""


@dataclass
class FitState:
    """How far a fit is. Dim 0 of every tensor counts models, but for ``losses``, ``excluded`` and ``memory``.

    Attributes:
        network: Stacked parameters.
        optimizer: Moments and step counts by flat name; empty where none are kept.
        epoch: Epochs made.
        losses: Mean loss of each epoch and model, shape (epochs, K).
        excluded: Clients left out of each round's aggregate, shape (rounds, cohorts); federated fits only.
        seconds: CPU seconds spent in training, summed over interrupted attempts that were saved.
        anchor: In the middle of a federated round, the stacked parameters that it began with; else empty.
        memory: What the server of each cohort remembers, dim 0 = cohort; empty where it keeps nothing.
    """

    network: StackedState
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = 0
    losses: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    excluded: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.long))
    seconds: float = 0.0
    anchor: StackedState = field(default_factory=dict)
    memory: StackedState = field(default_factory=dict)


def prepare_process() -> None:
    """Settings of every process that trains: one OpenMP thread (two are slower), no denormals, a quiet Lightning."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    # Allocated and freed at once: from then on glibc keeps up to twice as much for itself. Otherwise a step's gradients
    # go back to the kernel, and the next step spends 5 % of its time on getting them again, page by page.
    torch.empty(31 * 2**20, dtype=torch.uint8)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*non-writable.*")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def fit_fleet(
    build: Builder,
    start: FitState,
    rows: StackRows,
    n_epochs: int,
    kind: NetworkKind,
    model: ModelSettings,
    batches: BatchSettings,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 10.0,
    report: EpochReport | None = None,
) -> FitState:
    """Train a stack until ``n_epochs`` epochs have been made, counting those of ``start``.

    Models are sorted by length for training and come back in the caller's order.

    Args:
        checkpoint: Where the fit's state is kept while it runs. If the file is there, the fit goes on from it; the
            caller removes it.
        checkpoint_seconds: How often it is written, at the end of an epoch.
    """
    prepare_process()
    if checkpoint is not None and checkpoint.exists():
        start = read_fit_state(checkpoint) or start
    if start.epoch >= n_epochs:
        return start
    steps = [batches.n_steps(n) for n in rows.n_rows()]
    order = sorted(range(rows.n_models), key=lambda model: -steps[model])
    inverse = torch.argsort(torch.tensor(order))
    stack = rows.reordered(order)

    network = build_network(kind, rows.n_models, rows.x.shape[1], model).to(rows.x.dtype)
    network.load_state_dict(_ordered(start.network, torch.tensor(order)))
    module = build(network, stack, order)
    module.first_epoch = start.epoch
    module.optimizer_state = _ordered(start.optimizer, torch.tensor(order))
    federated = module if isinstance(module, FederatedTraining) else None
    if federated is not None:
        federated.anchor, federated.memory = _ordered(start.anchor, torch.tensor(order)), start.memory
    if isinstance(module, FineTuning) and module.frozen_encoder:
        module.rows = module.loader.rows = with_codes(stack, network)

    began = time.process_time()

    def state_now() -> FitState:
        losses = torch.stack(module.losses).index_select(1, inverse) if module.losses else torch.zeros(0, rows.n_models)
        optimizer = {name: value.cpu() for name, value in module.fleet_optimizer.take_state().items()}
        excluded = start.excluded if federated is None else torch.tensor(federated.excluded, dtype=torch.long)
        return FitState(
            _ordered(_on_host(network.state_dict()), inverse),
            _ordered(optimizer, inverse),
            start.epoch + len(module.losses),
            torch.cat([start.losses, losses]) if start.losses.numel() else losses,
            torch.cat([start.excluded, excluded])
            if start.excluded.numel() and excluded is not start.excluded
            else excluded,
            start.seconds + time.process_time() - began,
            {} if federated is None else _ordered(_on_host(federated.anchor), inverse),
            {} if federated is None else _on_host(federated.memory),
        )

    callbacks: list[Callback] = []
    if report is not None:
        callbacks.append(_Report(report, start.epoch, n_epochs))
    if checkpoint is not None:
        callbacks.append(_Checkpoint(checkpoint, checkpoint_seconds, state_now))
    trainer = L.Trainer(
        max_epochs=n_epochs - start.epoch,
        accelerator="auto",
        devices=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    try:
        trainer.fit(module)
    except SystemExit as ended:  # what Lightning makes of an interrupt; the caller shall see one
        raise KeyboardInterrupt from ended
    return state_now()


def give_memory_back() -> None:
    """After a fit: its trainer and module hold each other, and the C library keeps what they let go."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def with_codes(rows: StackRows, network: StackedNetwork) -> StackRows:
    """The rows with the frozen encoder's output of each: it is a constant, so it is computed once."""
    codes = [network.encode_rows(k, rows.x.index_select(0, rows.rows[rows.entries(k)])) for k in range(rows.n_models)]
    return StackRows(rows.x, rows.rows, rows.label, rows.weight, rows.start, rows.seeds, torch.cat(codes))


def write_fit_state(path: Path, state: FitState) -> None:
    """Write a fit's state as safetensors, whole or not at all."""
    tensors = {f"{part}.{name}": value.contiguous() for part in _PARTS for name, value in getattr(state, part).items()}
    tensors |= {"losses": state.losses.contiguous(), "excluded": state.excluded.contiguous()}
    tensors["epoch"] = torch.tensor(state.epoch)
    tensors["seconds"] = torch.tensor(state.seconds, dtype=torch.float64)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    save_file(tensors, half)
    os.replace(half, path)


def read_fit_state(path: Path) -> FitState | None:
    """The state in the file, or None where the file is not whole."""
    try:
        tensors = load_file(path)
        parts = {
            part: {
                name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")
            }
            for part in _PARTS
        }
        return FitState(
            epoch=int(tensors["epoch"]),
            losses=tensors["losses"],
            excluded=tensors["excluded"],
            seconds=float(tensors["seconds"]),
            **parts,
        )
    except (SafetensorError, OSError, KeyError):
        return None


_PARTS = ("network", "optimizer", "anchor", "memory")
"""Those of a fit's state that are themselves tensors by name."""


def _on_host(state: StackedState) -> StackedState:
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _ordered(state: dict[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    return {name: value.index_select(0, order) if value.dim() else value for name, value in state.items()}


class _Report(Callback):
    def __init__(self, report: EpochReport, first_epoch: int, n_epochs: int) -> None:
        self.report, self.first_epoch, self.n_epochs = report, first_epoch, n_epochs

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.report(self.first_epoch + trainer.current_epoch + 1, self.n_epochs)


class _Checkpoint(Callback):
    """Writes the fit's state at the end of an epoch, at most every few seconds.

    Lightning calls a callback's hook before the module's own, where a federated round is averaged; so the state is
    taken at the start of the next epoch, when the round is complete.
    """

    def __init__(self, path: Path, seconds: float, state: Callable[[], FitState]) -> None:
        self.path, self.seconds, self.state = path, seconds, state
        self.written = time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.current_epoch > 0 and time.monotonic() - self.written >= self.seconds:
            write_fit_state(self.path, self.state())
            self.written = time.monotonic()
