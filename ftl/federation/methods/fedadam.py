"""FedAdam (Reddi et al., 2021, arXiv:2003.00295): the server takes an Adam step along the clients' mean change."""

from typing import TYPE_CHECKING

from torch import Tensor

from ftl.federation.methods.adaptive_server import AdaptiveServer
from ftl.federation.methods.method import Method

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings


def moving_average(v: Tensor, squared: Tensor, beta2: float) -> Tensor:
    """v <- b2 v + (1 - b2) delta^2."""
    return beta2 * v + (1 - beta2) * squared


def fedadam(settings: "FederationSettings") -> Method:
    """Clients train as in FedAvg; what the server does is :class:`AdaptiveServer`."""
    return Method(server_step=AdaptiveServer.of(moving_average, settings))
