"""Adaptive server steps on what the clients' mean moved by (Reddi et al., 2021, arXiv:2003.00295, algorithm 2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ftl.models.state import StackedState

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings

SecondMoment = Callable[[Tensor, Tensor, float], Tensor]
"""(v, squared pseudo-gradient, beta2) -> the new v."""


@dataclass(frozen=True)
class AdaptiveServer:
    """delta = mean - w;  m <- b1 m + (1 - b1) delta;  v <- rule(v, delta^2);  w <- w + lr m / (sqrt(v) + eps).

    As printed there, m begins at 0 and v at eps^2, neither is corrected for that, and ``eps`` (tau there) is large: it
    says from which change on a parameter's step is normalised.

    Note: the algorithm averages clients uniformly; here they weigh what ``federate.weighting`` says, as in that paper's
    experiments.
    """

    second_moment: SecondMoment
    learning_rate: float
    beta1: float
    beta2: float
    eps: float

    @classmethod
    def of(cls, second_moment: SecondMoment, settings: "FederationSettings") -> "AdaptiveServer":
        return cls(
            second_moment,
            settings.server_learning_rate,
            settings.server_beta1,
            settings.server_beta2,
            settings.server_eps,
        )

    def __call__(
        self, before: StackedState, mean: StackedState, memory: StackedState
    ) -> tuple[StackedState, StackedState]:
        after, kept = {}, {}
        for name, weight in before.items():
            delta = mean[name] - weight
            m = memory.get(f"m.{name}", torch.zeros_like(weight))
            v = memory.get(f"v.{name}", torch.full_like(weight, self.eps**2))
            m = self.beta1 * m + (1 - self.beta1) * delta
            v = self.second_moment(v, delta.square(), self.beta2)
            after[name] = weight + self.learning_rate * m / (v.sqrt() + self.eps)
            kept[f"m.{name}"], kept[f"v.{name}"] = m, v
        return after, kept
