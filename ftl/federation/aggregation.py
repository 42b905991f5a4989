"""How client states become one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ftl.models.state import StackedState, take, weighted_mean

Aggregator = Callable[[StackedState, Tensor], StackedState]
"""(N client states stacked, weights (N,)) -> the global state, a stack of one."""


def aggregate_cohorts(
    clients: StackedState, cohorts: Sequence[Tensor], weights: Tensor, aggregator: Aggregator
) -> tuple[StackedState, list[int]]:
    """One round's end: every cohort's clients are replaced by their aggregate.

    A client whose state is not finite is left out of this round's aggregate and counted; it goes on from the aggregate
    like the others.

    Args:
        clients: K client states of all cohorts, stacked.
        cohorts: Positions of each cohort's clients, disjoint.
        weights: n_k, shape (K,).

    Returns:
        The new stack, and the number of clients left out, cohort by cohort.

    Raises:
        FloatingPointError: If no client of a cohort sent a finite state: training has diverged.
    """
    new = {name: value.clone() for name, value in clients.items()}
    excluded = []
    for cohort in cohorts:
        states, share = take(clients, cohort), weights[cohort]
        finite = finite_models(states)
        if not finite.any():
            raise FloatingPointError(
                f"no client of a cohort of {len(cohort)} has finite weights: training diverged; "
                "lower optimizer.learning_rate"
            )
        if not finite.all():
            states, share = take(states, finite.nonzero()[:, 0]), share[finite.to(share.device)]
        excluded.append(int((~finite).sum()))
        for name, value in aggregator(states, share).items():
            new[name][cohort] = value
    return new, excluded


def finite_models(states: StackedState) -> Tensor:
    """Which models have finite parameters throughout, shape (K,)."""
    checks = [torch.isfinite(value).flatten(1).all(dim=1) for value in states.values()]
    return torch.stack(checks).all(dim=0).cpu()


AGGREGATORS: dict[str, Aggregator] = {"fedavg": weighted_mean}
