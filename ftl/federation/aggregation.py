"""How client states become one."""

from collections.abc import Callable

from torch import Tensor

from ftl.models.state import StackedState, weighted_mean

Aggregator = Callable[[StackedState, Tensor], StackedState]
"""(N client states stacked, weights (N,)) -> the global state, a stack of one."""

AGGREGATORS: dict[str, Aggregator] = {"fedavg": weighted_mean}
