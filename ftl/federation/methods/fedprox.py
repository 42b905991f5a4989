"""FedProx (Li et al., 2020, arXiv:1812.06127): clients are held near the model that the round began with."""

from typing import TYPE_CHECKING

from ftl.federation.methods.method import Method

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings


def fedprox(settings: "FederationSettings") -> Method:
    """Client k minimises F_k(w) + mu/2 |w - w_t|^2 (equation 2 there); ``proximal`` is mu, and 0 is FedAvg.

    The term goes through the clients' optimizer like the rest of their loss. An adaptive one (Adam, RMSprop) moves each
    parameter by about its learning rate a step, so a very large mu keeps clients within a few such steps of w_t, and
    not exactly there.
    """
    return Method(proximal=settings.proximal)
