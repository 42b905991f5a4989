"""Which layers of a global encoder a target needs to change: those that its rows drive to where no participant is.

Participants share sums of every encoder layer's activations (two numbers per unit, one count); a target compares the
activations of its own rows with them. The paper leaves adaptive unfreezing to future work (its section on fine-tuning
freezes the whole encoder); the measure and the rule are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ftl.sharing import ResidualSums, residual_sums
from ftl.studies.stacks import Models

LEAST_VARIANCE = 1e-6
"""Of a unit's activation, in squared units of the activation: silent units are not divided by zero."""


@dataclass(frozen=True)
class LayerProfile:
    """What one node says of its activations in every encoder layer; sums of n rows, of widths L_1 .. L_m."""

    layers: tuple[ResidualSums, ...]

    def __add__(self, other: "LayerProfile") -> "LayerProfile":
        return LayerProfile(tuple(a + b for a, b in zip(self.layers, other.layers, strict=True)))

    @property
    def n_bytes(self) -> int:
        return sum(layer.n_bytes for layer in self.layers)


def layer_profile(models: Models, model: int, x: np.ndarray) -> LayerProfile:
    """Activations of a model's encoder layers on scaled rows (T, F), as sums."""
    sums = []
    activation = torch.from_numpy(x)
    with torch.no_grad():
        for layer in models.network.encoder.stacked():
            activation = torch.addmm(layer.bias[model], activation, layer.weight[model]).relu_()
            sums.append(residual_sums(activation.numpy()))
    return LayerProfile(tuple(sums))


def layer_divergence(own: LayerProfile, cohort: LayerProfile) -> np.ndarray:
    """Per encoder layer, how far a node's mean activation is from the cohort's, in the cohort's standard deviations.

    The mean over units of the squared distance of means over the cohort's variance, (m,); 0 for a node like the rest.
    """
    return np.array([_distance(a, b) for a, b in zip(own.layers, cohort.layers, strict=True)])


def layers_to_freeze(divergence: np.ndarray, of_participants: np.ndarray, limit: float) -> tuple[int, ...]:
    """Layers left as they are: those on which the node diverges no more than `limit` times a usual participant.

    Args:
        divergence: Of the node, (m,).
        of_participants: Of each participant against the whole cohort, (N, m).
    """
    usual = np.maximum(np.median(of_participants, axis=0), LEAST_VARIANCE)
    return tuple(int(layer) for layer in np.flatnonzero(divergence <= limit * usual))


def _distance(own: ResidualSums, cohort: ResidualSums) -> float:
    difference = own.total / own.n_rows - cohort.total / cohort.n_rows
    spread = _spread(cohort)
    return float(np.mean(np.square(difference) / (spread + LEAST_VARIANCE)))


def _spread(sums: ResidualSums) -> np.ndarray:
    return np.asarray(sums.variance)


def pooled_profile(profiles: Sequence[LayerProfile]) -> LayerProfile:
    """The cohort's profile: the sum of its participants'."""
    total = profiles[0]
    for profile in profiles[1:]:
        total = total + profile
    return total
