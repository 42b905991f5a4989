"""A federation on any stack of rows: what to hand to ``fit_fleet``, and what targets receive of its result."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ftl.federation.aggregation import AGGREGATORS
from ftl.federation.methods import method_of
from ftl.federation.rounds import end_round, global_models
from ftl.federation.settings import FederationSettings
from ftl.learning.batches import BatchSettings, StackRows
from ftl.learning.fit import Builder, FitState
from ftl.learning.objectives import Objective
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.training import FederatedTraining, LocalTraining
from ftl.models.network import StackedNetwork
from ftl.models.state import StackedState

Cohorts = Sequence[Sequence[int]]
"""Positions of each cohort's clients among the models of the rows, in the caller's order; disjoint."""


def client_weights(n_rows: Sequence[int], federate: FederationSettings) -> Tensor:
    """n_k of each client as ``federate.weighting`` says, shape (K,)."""
    weights = torch.tensor(n_rows, dtype=torch.float64)
    return torch.ones_like(weights) if federate.weighting == "uniform" else weights


def federated_builder(
    objective: Objective,
    optimizer: OptimizerSettings,
    batches: BatchSettings,
    cohorts: Cohorts,
    weights: Tensor,
    federate: FederationSettings,
) -> Builder:
    """What ``fit_fleet`` builds to train cohorts in one stack by ``federate.method``, for ``federate.n_epochs`` epochs.

    The fit's result holds each client's final model: the shared parameters are the same in all clients of a cohort (in
    fedper and fedrep those of the encoder, each decoder being its client's own). :func:`global_states` makes of it what
    targets receive.

    Args:
        cohorts: Of the rows that go to ``fit_fleet``.
        weights: n_k of each of their models (:func:`client_weights`).
    """
    method = method_of(federate)

    def build(network: StackedNetwork, stack: StackRows, order: list[int]) -> LocalTraining:
        at = {model: position for position, model in enumerate(order)}
        return FederatedTraining(
            network, stack, objective, optimizer, batches,
            cohorts=[[at[model] for model in cohort] for cohort in cohorts],
            weights=weights[order],
            end_round=partial(end_round, aggregator=AGGREGATORS[federate.aggregator], method=method),
            n_local_epochs=federate.n_local_epochs,
            client_state=federate.client_state,
            proximal=method.proximal,
            is_trained=method.is_trained,
        )  # fmt: skip

    return build


def global_states(result: FitState, cohorts: Cohorts, weights: Tensor, federate: FederationSettings) -> StackedState:
    """What each cohort hands to its targets, one model per cohort: see :func:`ftl.federation.rounds.global_models`."""
    aggregator = AGGREGATORS[federate.aggregator]
    return global_models(result.network, cohorts, weights, aggregator, method_of(federate))
