"""The proximal term that holds models near others: FedProx during rounds, Ditto afterwards."""

import torch
from torch import nn

from ftl.models.state import StackedState


@torch.no_grad()
def pull(network: nn.Module, anchor: StackedState, strength: float, n_active: int | None = None) -> None:
    """Add the gradient of strength/2 |w - anchor|^2 to that of each parameter that has one, node by node.

    Args:
        network: A stack of K models, after the backward pass.
        anchor: As many models.
        n_active: Only so many, the first of the stack, make a step; None: all.
    """
    for name, param in network.named_parameters():
        if param.grad is not None:
            away = param[:n_active] - anchor[name][:n_active]
            param.grad[:n_active].add_(away, alpha=strength)
