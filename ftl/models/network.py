"""The paper's dense autoencoder and its classifier (section 4.3.2), as stacks.

Both are an encoder followed by a part that a node makes its own. In the autoencoder that part is the decoder; in the
supervised paradigm it is the classification head appended to the encoder (section 3.1). It is called ``decoder`` in
both, since it is what transfer fine-tunes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ftl.errors import ConfigError
from ftl.models.stacked import StackedLinear
from ftl.models.state import StackedState

NetworkKind = Literal["autoencoder", "classifier"]
ENCODER = "encoder."


@dataclass(frozen=True)
class ModelSettings:
    """Widths and the line between encoder and decoder.

    Note: section 4.3.2 lists Dense(20 -> 40) as the encoder's last, "latent" layer, while its narrowest code has 20
    units.
    ``latent: 20`` reads the narrowest code as the latent one and gives Dense(20 -> 40) to the decoder; ``latent: 40``
    follows the list. The network is the same; what moves is the line up to which it is frozen.
    """

    hidden: tuple[int, ...] = (100, 80, 60, 40, 20)
    latent: int = 20
    output: str = "sigmoid"

    def __post_init__(self) -> None:
        if len(self.hidden) < 2 or any(width < 1 for width in self.hidden):
            raise ConfigError(
                f"model.hidden must list at least two widths >= 1, from the input inwards; got {self.hidden!r}"
            )
        if self.latent not in (self.hidden[-1], self.hidden[-2]):
            raise ConfigError(
                f"model.latent must be {self.hidden[-1]} (the narrowest code) or {self.hidden[-2]} (the layer after "
                f"it); got {self.latent!r}"
            )
        if self.output not in OUTPUT_ACTIVATIONS:
            raise ConfigError(f"model.output: unknown {self.output!r}; known: {', '.join(OUTPUT_ACTIVATIONS)}")

    def encoder_widths(self, n_features: int) -> list[int]:
        inwards = [n_features, *self.hidden]
        return inwards if self.latent == self.hidden[-1] else [*inwards, self.hidden[-2]]

    def decoder_widths(self, n_features: int) -> list[int]:
        outwards = [*reversed(self.hidden), n_features]
        return outwards if self.latent == self.hidden[-1] else outwards[1:]


OUTPUT_ACTIVATIONS = {"sigmoid": torch.sigmoid, "linear": lambda x: x}


class _Layers(nn.ModuleList):
    """Stacked layers through the given widths."""

    def __init__(self, n_nodes: int, widths: Iterable[int]) -> None:
        super().__init__(StackedLinear(n_nodes, n_in, n_out) for n_in, n_out in pairwise(widths))

    def stacked(self) -> list[StackedLinear]:
        return [layer for layer in self if isinstance(layer, StackedLinear)]


class StackedNetwork(nn.Module):
    """K node models of one shape: ReLU layers, and an output activation after the last."""

    def __init__(self, n_nodes: int, encoder_widths: list[int], decoder_widths: list[int], output: str) -> None:
        super().__init__()
        self.encoder = _Layers(n_nodes, encoder_widths)
        self.decoder = _Layers(n_nodes, decoder_widths)
        self.output = output

    @property
    def n_nodes(self) -> int:
        return next(self.parameters()).shape[0]

    def encode(self, x: Tensor) -> Tensor:  # (K, B, F) -> (K, B, L)
        for layer in self.encoder.stacked():
            x = torch.relu(layer(x))
        return x

    def decode(self, code: Tensor) -> Tensor:  # (K, B, L) -> (K, B, F), or (K, B, 1) for the classifier
        *layers, last = self.decoder.stacked()
        for layer in layers:
            code = torch.relu(layer(code))
        return OUTPUT_ACTIVATIONS[self.output](last(code))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.no_grad()
    def encode_rows(self, model: int, x: Tensor) -> Tensor:  # (T, F) -> (T, L)
        """Codes of many rows by one model: plain products in place, half as fast again as a batch of one node."""
        for layer in self.encoder.stacked():
            x = torch.addmm(layer.bias[model], x, layer.weight[model]).relu_()
        return x

    @torch.no_grad()
    def output_rows(self, model: int, x: Tensor) -> Tensor:  # (T, F) -> (T, F), or (T, 1) for the classifier
        """What one model makes of many rows."""
        code = self.encode_rows(model, x)
        *layers, last = self.decoder.stacked()
        for layer in layers:
            code = torch.addmm(layer.bias[model], code, layer.weight[model]).relu_()
        return OUTPUT_ACTIVATIONS[self.output](torch.addmm(last.bias[model], code, last.weight[model]))


def build_network(kind: NetworkKind, n_nodes: int, n_features: int, settings: ModelSettings) -> StackedNetwork:
    """An empty stack (all parameters zero); load a state into it."""
    if kind == "classifier":
        return StackedNetwork(n_nodes, settings.encoder_widths(n_features), [settings.latent, 1], "sigmoid")
    return StackedNetwork(
        n_nodes, settings.encoder_widths(n_features), settings.decoder_widths(n_features), settings.output
    )


def initial_state(kind: NetworkKind, n_features: int, settings: ModelSettings, seed: int) -> StackedState:
    """One fresh model as a stack of one: Glorot-uniform weights and zero biases, as in the paper's software."""
    random = torch.Generator().manual_seed(seed % 2**63)
    state = build_network(kind, 1, n_features, settings).state_dict()
    for name, value in state.items():
        if name.endswith("weight"):
            bound = (6.0 / (value.shape[1] + value.shape[2])) ** 0.5
            value.uniform_(-bound, bound, generator=random)
    return state
