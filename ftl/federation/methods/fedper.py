"""FedPer (Arivazhagan et al., 2019, arXiv:1912.00818): a common encoder, a decoder of each client's own."""

from typing import TYPE_CHECKING

from ftl.federation.methods.method import Method, encoder_only

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings


def fedper(settings: "FederationSettings") -> Method:
    """Clients train all of their model; only the encoder (the base layers there) is sent and averaged."""
    return Method(is_shared=encoder_only)
