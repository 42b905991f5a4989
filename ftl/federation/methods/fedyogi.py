"""FedYogi (Reddi et al., 2021, arXiv:2003.00295): as FedAdam, with a second moment that shrinks slowly."""

from typing import TYPE_CHECKING

from torch import Tensor

from ftl.federation.methods.adaptive_server import AdaptiveServer
from ftl.federation.methods.method import Method

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings


def signed_step(v: Tensor, squared: Tensor, beta2: float) -> Tensor:
    """v <- v - (1 - b2) delta^2 sign(v - delta^2): it moves towards delta^2 by a share of delta^2, not of the gap."""
    return v - (1 - beta2) * squared * (v - squared).sign()


def fedyogi(settings: "FederationSettings") -> Method:
    """Clients train as in FedAvg; what the server does is :class:`AdaptiveServer`."""
    return Method(server_step=AdaptiveServer.of(signed_step, settings))
