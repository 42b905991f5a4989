"""What a target does with a model that it receives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.federation.methods.method import encoder_only
from ftl.learning.batches import BatchSettings, StackRows
from ftl.learning.fit import FitState, fit_fleet
from ftl.learning.objectives import reconstruction_loss
from ftl.learning.training import FineTuning, LocalTraining
from ftl.models.network import StackedNetwork
from ftl.models.state import StackedState, n_models, repeat, split_off, take
from ftl.studies.stacks import Recipe, stacked_rows


@dataclass(frozen=True)
class Arm:
    """One way of using a received model.

    Attributes:
        name: As the results have it.
        n_steps: Gradient steps on the target's rows; 0 leaves the model as it is.
        fresh_decoder: The received decoder is thrown away, a new one is trained and the encoder is frozen: the personal
            part of FedPer and FedRep.
        proximal: Strength of the pull towards the received model: the personal part of Ditto.
    """

    name: str
    n_steps: int = 0
    fresh_decoder: bool = False
    proximal: float = 0.0


def adapt(
    recipe: Recipe,
    arm: Arm,
    received: StackedState,
    start: StackedState,
    rows: Sequence[np.ndarray],
    seeds: Sequence[int],
) -> StackedState:
    """What becomes of K received models on their targets.

    Args:
        start: A fresh model, a stack of one.
        rows: Scaled rows of each target, K arrays (n_k, F) float32.
        seeds: Of each target's row order.
    """
    if not arm.n_steps:
        return received
    begun = with_fresh_decoders(received, start) if arm.fresh_decoder else received
    batches = BatchSettings(recipe.batch_size, arm.n_steps)

    def build(network: StackedNetwork, stack: StackRows, order: list[int]) -> LocalTraining:
        return FineTuning(
            network, stack, reconstruction_loss, recipe.optimizer, batches,
            frozen_encoder=arm.fresh_decoder,
            proximal=arm.proximal,
            received=take(begun, order) if arm.proximal else None,
        )  # fmt: skip

    stack = stacked_rows(rows, seeds, recipe.batch_size * arm.n_steps)
    return fit_fleet(build, FitState(begun), stack, 1, "autoencoder", recipe.model, batches).network


def with_fresh_decoders(received: StackedState, start: StackedState) -> StackedState:
    """The encoders of a stack, each with the decoder of `start`."""
    encoders, _ = split_off(received, encoder_only)
    _, decoder = split_off(repeat(start, n_models(received)), encoder_only)
    parts = encoders | decoder
    return {name: parts[name] for name in received}
