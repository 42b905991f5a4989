"""State is data: taking, joining, repeating and averaging stacked models.

A stacked state maps parameter names to tensors whose dim 0 counts models. Nothing here knows of modules, rounds or
files.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

StackedState = dict[str, Tensor]


def n_models(state: StackedState) -> int:
    """How many models the stack holds."""
    return next(iter(state.values())).shape[0]


def take(state: StackedState, models: Tensor | Sequence[int]) -> StackedState:
    """The chosen models, in the order given; a copy."""
    index = torch.as_tensor(models, dtype=torch.long)
    return {name: value.index_select(0, index.to(value.device)) for name, value in state.items()}


def join(states: Sequence[StackedState]) -> StackedState:
    """Several stacks as one."""
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


def put(whole: StackedState, part: StackedState, first: int) -> None:
    """Write a stack into a larger one, in place, its models from number `first` on."""
    for name, value in part.items():
        whole[name][first : first + value.shape[0]] = value


def repeat(state: StackedState, times: int) -> StackedState:
    """A stack of one as a stack of ``times`` equal models; a copy."""
    if n_models(state) != 1:
        raise ValueError(f"repeat takes a stack of one model; got {n_models(state)}")
    return {name: value.repeat(times, *[1] * (value.dim() - 1)) for name, value in state.items()}


def split_off(state: StackedState, belongs: Callable[[str], bool]) -> tuple[StackedState, StackedState]:
    """The parameters whose name belongs, and the others (encoder and decoder, say)."""
    inside = {name: value for name, value in state.items() if belongs(name)}
    outside = {name: value for name, value in state.items() if name not in inside}
    return inside, outside


def weighted_mean(states: StackedState, weights: Tensor) -> StackedState:
    """FedAvg (paper, section 3.2): sum_k (n_k / n) w_k, as a stack of one.

    Args:
        states: N client states, stacked.
        weights: n_k, shape (N,), not negative, not all zero.
    """
    if weights.shape != (n_models(states),):
        raise ValueError(f"one weight per client: expected shape ({n_models(states)},), got {tuple(weights.shape)}")
    share = weights.double() / weights.double().sum()
    return {name: torch.tensordot(share.to(value), value, dims=([0], [0]))[None] for name, value in states.items()}
