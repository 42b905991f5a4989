"""Ditto (Li et al., 2021, arXiv:2012.04221): a global model, and personal models held near it.

Node k's personal model minimises F_k(v) + lambda/2 |v - w*|^2 (equation Ditto there), where w* solves the global
problem; how the global one is solved does not depend on the personal ones. So there are two parts here. The federation
finds w* by FedAvg. The personal models are fine-tuned from it with the proximal term, which is ``transfer.proximal``
(lambda): 0 is plain fine-tuning, a large one stays at the global model.

Note: the paper's algorithm takes personal steps in every round, towards the w_t of that round, and its nodes are the
participants. Here they follow the last round, since the nodes that receive a personal model are targets, which took
part in none.
"""

from typing import TYPE_CHECKING

from ftl.federation.methods.method import Method

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings


def ditto(settings: "FederationSettings") -> Method:
    """The global part, which is FedAvg."""
    return Method()
