"""The end of a round: what clients send becomes the model that each cohort goes on from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ftl.federation.aggregation import Aggregator
from ftl.federation.methods import Method
from ftl.models.state import StackedState, join, split_off, take, weighted_mean

FEDAVG = Method()


def end_round(
    clients: StackedState,
    began: StackedState,
    memory: StackedState,
    cohorts: Sequence[Tensor],
    weights: Tensor,
    aggregator: Aggregator = weighted_mean,
    method: Method = FEDAVG,
) -> tuple[StackedState, StackedState, list[int]]:
    """One round's end: the shared parameters of every cohort's clients are replaced by what its server makes of them.

    A client whose state is not finite sends nothing this round and is counted; it goes on from the global model like
    the others, and from its private parameters as they were when the round began.

    Args:
        clients: K client states of all cohorts, stacked.
        began: The same when the round began.
        memory: What each cohort's server remembers, stacked in the order of the cohorts; empty before the first round.
        cohorts: Positions of each cohort's clients, disjoint.
        weights: n_k, shape (K,).

    Returns:
        The new stack, the servers' new memory, and the number of clients left out, cohort by cohort.

    Raises:
        FloatingPointError: If no client of a cohort sent a finite state: training has diverged.
    """
    new = {name: value.clone() for name, value in clients.items()}
    memories, excluded = [], []
    for number, cohort in enumerate(cohorts):
        finite = finite_models(take(clients, cohort))
        if not finite.any():
            raise FloatingPointError(
                f"no client of a cohort of {len(cohort)} has finite weights: training diverged; "
                "lower optimizer.learning_rate"
            )
        sound, lost = cohort[finite], cohort[~finite]
        sent, private = split_off(clients, method.is_shared)
        mean = aggregator(take(sent, sound), weights[sound])
        before = take({name: began[name] for name in sent}, cohort[:1])
        model, remembered = method.server_step(before, mean, take(memory, [number]))
        for name, value in model.items():
            new[name][cohort] = value
        for name in private:
            new[name][lost] = began[name][lost]
        memories.append(remembered)
        excluded.append(len(lost))
    return new, join(memories), excluded


def global_models(
    clients: StackedState,
    cohorts: Sequence[Sequence[int]],
    weights: Tensor,
    aggregator: Aggregator = weighted_mean,
    method: Method = FEDAVG,
) -> StackedState:
    """What each cohort hands to a target after its last round, one model per cohort.

    Shared parameters are the same in all clients of a cohort and are taken as they are. Where a method has private
    ones, the target receives their mean over the cohort's clients, which send them for it once.

    Args:
        clients: K client states after a round's end.
        cohorts: Positions of each cohort's clients.
        weights: n_k, shape (K,).
    """
    shared, private = split_off(clients, method.is_shared)
    received = take(shared, [cohort[0] for cohort in cohorts])
    if private:
        received |= join([aggregator(take(private, cohort), weights[torch.as_tensor(cohort)]) for cohort in cohorts])
    return {name: received[name] for name in clients}


def shared_bytes(method: Method, state: StackedState) -> int:
    """Bytes that a client sends at the end of a round, and receives: one model's shared parameters.

    Args:
        state: Any stack of the model.
    """
    shared, _ = split_off(state, method.is_shared)
    return sum(value.nbytes // len(value) for value in shared.values())


def finite_models(states: StackedState) -> Tensor:
    """Which models have finite parameters throughout, shape (K,)."""
    checks = [torch.isfinite(value).flatten(1).all(dim=1) for value in states.values()]
    return torch.stack(checks).all(dim=0).cpu()
