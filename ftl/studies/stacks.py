"""Stacked fits of a study: so many gradient steps on so many rows, however few rows there are."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ftl.learning.batches import BatchSettings, StackRows
from ftl.learning.fit import FitState, fit_fleet, prepare_process
from ftl.learning.objectives import reconstruction_loss
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.training import LocalTraining
from ftl.models.network import ModelSettings, StackedNetwork, build_network
from ftl.models.state import StackedState, join, n_models, take

MAX_STACK = 64
"""Models trained in one stack; more gain nothing and take memory."""


@dataclass(frozen=True)
class Recipe:
    """What the fits of a study have in common."""

    model: ModelSettings
    optimizer: OptimizerSettings
    batch_size: int


@dataclass(frozen=True)
class Fit:
    """Trained models, stacked, and the CPU seconds that they took together."""

    state: StackedState
    seconds: float


def fit_models(
    recipe: Recipe,
    start: StackedState,
    rows: Sequence[np.ndarray],
    seeds: Sequence[int],
    n_steps: int,
    learning_rate: float | None = None,
    frozen: Sequence[int] = (),
) -> Fit:
    """Train K models on their own rows, `n_steps` steps each.

    Args:
        start: What they start from, K models.
        rows: Scaled rows of each, K arrays (n_k, F) float32. A model with fewer rows than its steps take sees each of
            them several times.
        seeds: Of each model's row order.
        learning_rate: Instead of the recipe's.
        frozen: Numbers of the encoder's layers that are left as they are, 0 being the first.
    """
    if not rows:
        return Fit(start, 0.0)
    optimizer = recipe.optimizer if learning_rate is None else replace(recipe.optimizer, learning_rate=learning_rate)
    batches = BatchSettings(recipe.batch_size, n_steps)
    fits = []
    for first in range(0, len(rows), MAX_STACK):
        some = slice(first, first + MAX_STACK)

        def build(network: StackedNetwork, stack: StackRows, order: list[int]) -> LocalTraining:
            for number, layer in enumerate(network.encoder.stacked()):
                layer.requires_grad_(number not in frozen)
            return LocalTraining(network, stack, reconstruction_loss, optimizer, batches)

        stack = stacked_rows(rows[some], seeds[some], recipe.batch_size * n_steps)
        begun = FitState(take(start, range(n_models(start))[some]))
        fits.append(fit_fleet(build, begun, stack, 1, "autoencoder", recipe.model, batches))
    return Fit(join([fit.network for fit in fits]), sum(fit.seconds for fit in fits))


def stacked_rows(rows: Sequence[np.ndarray], seeds: Sequence[int], at_least: int) -> StackRows:
    """Rows of K models as one table; a model with fewer than `at_least` rows goes through them again and again."""
    ends = np.cumsum([0, *(len(of) for of in rows)])
    numbers = [
        np.resize(np.arange(first, last), max(last - first, at_least)) for first, last in itertools.pairwise(ends)
    ]
    ones = [np.ones(len(of), np.float32) for of in numbers]
    table = torch.from_numpy(np.concatenate(rows))
    return StackRows.of(table, numbers, [np.zeros_like(one) for one in ones], ones, list(seeds))


class Models:
    """Stacked models that give residuals, model by model."""

    def __init__(self, recipe: Recipe, state: StackedState, n_features: int) -> None:
        prepare_process()
        self.network = build_network("autoencoder", n_models(state), n_features, recipe.model)
        self.network.load_state_dict(state)

    def residual(self, model: int, x: np.ndarray) -> np.ndarray:
        """What one model does not reproduce of scaled rows, (T, F) -> (T, F)."""
        output: np.ndarray = self.network.output_rows(model, torch.from_numpy(x)).numpy()
        return x - output
