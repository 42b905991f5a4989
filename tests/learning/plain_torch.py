"""The training that the engine must equal, and nothing of ours in it: nn.Linear, torch.optim, node after node.

Only the row order is shared, since the random order of a fit is part of what is to be equal.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ftl.learning.batches import StackRows, row_order
from ftl.models.state import StackedState

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(output, x, label, weight) of one batch -> the number to minimise."""


class PlainNetwork(nn.Module):
    """One model of a stack, as a chain of nn.Linear."""

    def __init__(self, state: StackedState, model: int, output: str = "sigmoid") -> None:
        super().__init__()
        last = nn.Sigmoid() if output == "sigmoid" else nn.Identity()
        self.encoder = nn.Sequential(*_chain(state, "encoder", model, nn.ReLU()))
        self.decoder = nn.Sequential(*_chain(state, "decoder", model, last))

    def forward(self, x: Tensor) -> Tensor:  # (B, F) -> (B, F), or (B, 1)
        return self.decoder(self.encoder(x))

    def stacked(self) -> StackedState:
        """The parameters under the engine's names, as a stack of one."""
        state = {}
        for part, chain in (("encoder", self.encoder), ("decoder", self.decoder)):
            linear = [layer for layer in chain if isinstance(layer, nn.Linear)]
            for number, layer in enumerate(linear):
                state[f"{part}.{number}.weight"] = layer.weight.detach().T[None].clone()
                state[f"{part}.{number}.bias"] = layer.bias.detach()[None, None].clone()
        return state


def _chain(state: StackedState, part: str, model: int, last: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    n_layers = sum(name.startswith(part) and name.endswith("weight") for name in state)
    for number in range(n_layers):
        weight, bias = state[f"{part}.{number}.weight"][model], state[f"{part}.{number}.bias"][model, 0]
        linear = nn.Linear(*weight.shape, dtype=weight.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias)
        layers += [linear, nn.ReLU() if number < n_layers - 1 else last]
    return layers


class KerasRMSprop:
    """Keras's RMSprop, written out: the small number stands under the root."""

    def __init__(self, params: Any, learning_rate: float, rho: float, epsilon: float) -> None:
        self.params = list(params)
        self.learning_rate, self.rho, self.epsilon = learning_rate, rho, epsilon
        self.velocity = [np.zeros(param.shape) for param in self.params]

    def zero_grad(self) -> None:
        for param in self.params:
            param.grad = None

    def step(self) -> None:
        for number, param in enumerate(self.params):
            gradient = param.grad.numpy()
            self.velocity[number] = self.rho * self.velocity[number] + (1 - self.rho) * gradient**2
            step = self.learning_rate * gradient / np.sqrt(self.velocity[number] + self.epsilon)
            param.data -= torch.from_numpy(step)


def mean_squared_error(output: Tensor, x: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    return nn.functional.mse_loss(output, x)


def weighted_cross_entropy(output: Tensor, x: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy(output[:, 0], label, weight=weight)


def train(
    network: nn.Module,
    optimizer: Any,
    rows: StackRows,
    model: int,
    epochs: range,
    batch_size: int,
    loss: Loss = mean_squared_error,
    max_steps: int | None = None,
) -> list[float]:
    """The usual loop over one node's rows; gives each epoch's mean loss over its steps."""
    mine = rows.entries(model)
    x, label, weight = rows.x[rows.rows[mine]], rows.label[mine], rows.weight[mine]
    means = []
    for epoch in epochs:
        order = torch.from_numpy(row_order(len(x), rows.seeds[model], epoch))
        losses = []
        for chosen in order.split(batch_size)[:max_steps]:
            optimizer.zero_grad()
            value = loss(network(x[chosen]), x[chosen], label[chosen], weight[chosen])
            value.backward()
            optimizer.step()
            losses.append(value.item())
        means.append(sum(losses) / len(losses))
    return means
