"""FedRep (Collins et al., 2021, arXiv:2102.07078): as FedPer, but a client trains its decoder first, then the encoder.

The decoder is the head there, the encoder the body or representation.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftl.federation.methods.method import Method, encoder_only

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings


@dataclass(frozen=True)
class HeadFirst:
    """The first epochs of a round train the head alone, those that are left the body alone."""

    head_epochs: int

    def __call__(self, epoch: int, parameter: str) -> bool:
        return encoder_only(parameter) == (epoch >= self.head_epochs)


def fedrep(settings: "FederationSettings") -> Method:
    """``head_epochs`` of a round's ``n_local_epochs`` are the head's."""
    return Method(is_shared=encoder_only, is_trained=HeadFirst(settings.head_epochs))
