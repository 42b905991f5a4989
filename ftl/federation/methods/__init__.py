"""Federated methods by the names that ``federate.method`` takes; docs/federated-methods.md compares them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ftl.federation.methods.ditto import ditto
from ftl.federation.methods.fedadam import fedadam
from ftl.federation.methods.fedper import fedper
from ftl.federation.methods.fedprox import fedprox
from ftl.federation.methods.fedrep import fedrep
from ftl.federation.methods.fedyogi import fedyogi
from ftl.federation.methods.method import Method

if TYPE_CHECKING:
    from ftl.federation.settings import FederationSettings

__all__ = ["METHODS", "Method", "method_of"]

METHODS: dict[str, "Callable[[FederationSettings], Method]"] = {
    "fedavg": lambda settings: Method(),
    "fedprox": fedprox,
    "fedadam": fedadam,
    "fedyogi": fedyogi,
    "fedper": fedper,
    "fedrep": fedrep,
    "ditto": ditto,
}


def method_of(settings: "FederationSettings") -> Method:
    """The method that the settings name."""
    return METHODS[settings.method](settings)
