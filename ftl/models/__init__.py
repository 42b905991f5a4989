"""Stacked node models: K networks of one shape, kept and moved as one stack."""

from ftl.models.network import ModelSettings, StackedNetwork, build_network, initial_state
from ftl.models.stacked import StackedLinear
from ftl.models.state import StackedState, join, n_models, repeat, split_off, take, weighted_mean

__all__ = [
    "ModelSettings",
    "StackedLinear",
    "StackedNetwork",
    "StackedState",
    "build_network",
    "initial_state",
    "join",
    "n_models",
    "repeat",
    "split_off",
    "take",
    "weighted_mean",
]
