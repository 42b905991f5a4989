"""Cohorts of a study train their global models, several cohorts in one stack."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.experiment.federation_fit import client_weights, federated_builder, global_states
from ftl.federation.settings import FederationSettings
from ftl.learning.batches import BatchSettings
from ftl.learning.fit import FitState, fit_fleet
from ftl.learning.objectives import reconstruction_loss
from ftl.models.state import StackedState, join, repeat
from ftl.randomness import derive_seed
from ftl.studies.stacks import MAX_STACK, Recipe, stacked_rows


@dataclass(frozen=True)
class Trained:
    """Global models, one per cohort, stacked, and the CPU seconds that all of them took."""

    states: StackedState
    seconds: float


def train_cohorts(
    recipe: Recipe,
    start: StackedState,
    cohorts: Sequence[Sequence[np.ndarray]],
    federate: FederationSettings,
    steps_per_epoch: int,
    seed: int,
) -> Trained:
    """Train each cohort's global model by ``federate.method``; what a target receives of it comes back.

    Args:
        start: The model that every cohort begins with, a stack of one.
        cohorts: Scaled rows of each cohort's participants, (T_k, F) each.
        steps_per_epoch: Gradient steps of a participant in a local epoch, whatever its rows.
    """
    states, seconds = [], 0.0
    for group in _stacks(cohorts):
        rows = [of for cohort in group for of in cohort]
        ends = np.cumsum([0, *(len(cohort) for cohort in group)])
        places = [list(range(first, last)) for first, last in itertools.pairwise(ends)]
        weights = client_weights([len(of) for of in rows], federate)
        batches = BatchSettings(recipe.batch_size, steps_per_epoch)
        build = federated_builder(reconstruction_loss, recipe.optimizer, batches, places, weights, federate)
        seeds = [derive_seed(seed, "client", number) for cohort in group for number in range(len(cohort))]
        stack = stacked_rows(rows, seeds, recipe.batch_size * steps_per_epoch)
        begun = FitState(repeat(start, len(rows)))
        fit = fit_fleet(build, begun, stack, federate.n_epochs, "autoencoder", recipe.model, batches)
        states.append(global_states(fit, places, weights, federate))
        seconds += fit.seconds
    return Trained(join(states), seconds)


def _stacks(cohorts: Sequence[Sequence[np.ndarray]]) -> list[list[Sequence[np.ndarray]]]:
    """Cohorts that train in one stack: as many as fit."""
    groups: list[list[Sequence[np.ndarray]]] = [[]]
    for cohort in cohorts:
        if groups[-1] and sum(map(len, groups[-1])) + len(cohort) > MAX_STACK:
            groups.append([])
        groups[-1].append(cohort)
    return groups
