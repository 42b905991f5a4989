"""Which rows a stack of models sees, in which order, and the light loader that hands them out."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ftl.errors import ConfigError
from ftl.randomness import derive_seed


@dataclass(frozen=True)
class BatchSettings:
    """How an epoch is cut (paper, Table 1: batch size 10).

    ``max_steps_per_epoch`` caps an epoch at that many batches of a fresh random order; ``None`` takes all rows, as the
    paper does.
    """

    batch_size: int = 64
    max_steps_per_epoch: int | None = 100

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"training.batch_size must be >= 1; got {self.batch_size!r}")
        if self.max_steps_per_epoch is not None and self.max_steps_per_epoch < 1:
            raise ConfigError(f"training.max_steps_per_epoch must be >= 1 or null; got {self.max_steps_per_epoch!r}")

    def n_steps(self, n_rows: int) -> int:
        """Steps of an epoch over so many rows."""
        steps = math.ceil(n_rows / self.batch_size)
        return steps if self.max_steps_per_epoch is None else min(steps, self.max_steps_per_epoch)


@dataclass(frozen=True)
class StackRows:
    """The training rows of K models over one shared table of telemetry, which is never copied per model.

    Attributes:
        x: Scaled telemetry of the fleet, shape (R, F), float32 (float64 in tests).
        rows: Row numbers of each model one after the other, shape (N,).
        label: Label of each of them, shape (N,), in {0, 1}.
        weight: Weight of each of them in the loss, shape (N,).
        start: Model k owns entries start[k]:start[k + 1]; shape (K + 1,).
        seeds: Seed of each model's row order, K of them.
        codes: Encoder output of each entry, shape (N, L), where the encoder is frozen; else None.
    """

    x: Tensor
    rows: Tensor
    label: Tensor
    weight: Tensor
    start: tuple[int, ...]
    seeds: tuple[int, ...]
    codes: Tensor | None = None

    @classmethod
    def of(
        cls,
        x: Tensor,
        rows: Sequence[np.ndarray],
        labels: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        seeds: Sequence[int],
    ) -> "StackRows":
        start = (0, *np.cumsum([len(part) for part in rows]).tolist())
        return cls(
            x,
            torch.from_numpy(np.concatenate(rows).astype(np.int64)),
            torch.from_numpy(np.concatenate(labels)).to(x.dtype),
            torch.from_numpy(np.concatenate(weights)).to(x.dtype),
            start,
            tuple(seeds),
        )

    @property
    def n_models(self) -> int:
        return len(self.seeds)

    def n_rows(self) -> list[int]:
        """n_k of each model."""
        return [last - first for first, last in zip(self.start[:-1], self.start[1:], strict=True)]

    def entries(self, model: int) -> slice:
        return slice(self.start[model], self.start[model + 1])

    def reordered(self, models: Sequence[int]) -> "StackRows":
        """The same rows with the models in another order (or some of them left out)."""
        index = torch.cat([torch.arange(self.start[m], self.start[m + 1]) for m in models])
        start = (0, *np.cumsum([self.start[m + 1] - self.start[m] for m in models]).tolist())
        codes = None if self.codes is None else self.codes[index]
        seeds = tuple(self.seeds[m] for m in models)
        return StackRows(self.x, self.rows[index], self.label[index], self.weight[index], start, seeds, codes)

    def to(self, device: torch.device) -> "StackRows":
        x, rows, label, weight = (value.to(device) for value in (self.x, self.rows, self.label, self.weight))
        codes = None if self.codes is None else self.codes.to(device)
        return StackRows(x, rows, label, weight, self.start, self.seeds, codes)


class EpochLoader:
    """Batches of an epoch for a stack whose models are sorted by number of steps, longest first.

    Yields ``(entry, valid)``: positions in ``StackRows.rows``, shape (A, B), and the share of each row in its node's
    mean, shape (A, B), zero for padding. A <= K counts the models that still have rows. The order is a function of
    model seed and epoch, never of iterator
    state: Lightning calls ``iter`` once more than there are epochs.
    """

    def __init__(self, rows: StackRows, batches: BatchSettings, epoch: Callable[[], int]) -> None:
        self.rows, self.batches, self.epoch = rows, batches, epoch
        self.steps = [batches.n_steps(n) for n in rows.n_rows()]
        if self.steps != sorted(self.steps, reverse=True):
            raise ValueError("models of a stack must be sorted by number of steps, longest first")

    def __len__(self) -> int:
        return self.steps[0]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, size = self.epoch(), self.batches.batch_size
        orders = [self._order(model, epoch) for model in range(self.rows.n_models)]
        dtype, device = self.rows.x.dtype, self.rows.rows.device
        for step in range(len(self)):
            n_active = sum(1 for steps in self.steps if steps > step)
            entry = np.zeros((n_active, size), np.int64)
            share = np.zeros((n_active, size))
            for model in range(n_active):
                chosen = orders[model][step * size : (step + 1) * size]
                entry[model, : len(chosen)] = chosen
                entry[model, len(chosen) :] = chosen[0]
                share[model, : len(chosen)] = 1.0 / len(chosen)
            yield torch.from_numpy(entry).to(device), torch.from_numpy(share).to(device=device, dtype=dtype)

    def _order(self, model: int, epoch: int) -> np.ndarray:
        first, last = self.rows.start[model], self.rows.start[model + 1]
        return (
            first
            + row_order(last - first, self.rows.seeds[model], epoch)[: self.steps[model] * self.batches.batch_size]
        )


def row_order(n_rows: int, seed: int, epoch: int) -> np.ndarray:
    """A model's random order of its rows in one epoch."""
    return np.random.default_rng(derive_seed(seed, "row order", epoch)).permutation(n_rows)
