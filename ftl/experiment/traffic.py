"""How many bytes each node of a fleet moves for each of its models."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ftl.config import section
from ftl.data.fleet import Fleet
from ftl.evaluation.cost import Sizes, Traffic, arm_traffic, state_bytes
from ftl.experiment.scored import ScoredNode
from ftl.experiment.settings import TrainingSettings, training_settings
from ftl.federation.settings import FederationSettings
from ftl.learning.paradigms import PARADIGMS
from ftl.models.network import ModelSettings, NetworkKind, build_network


def model_bytes(kind: NetworkKind, n_features: int, model: ModelSettings) -> int:
    """Bytes of one model's parameters (float32)."""
    return state_bytes(build_network(kind, 1, n_features, model).state_dict())


class FleetTraffic:
    """Bytes by model and node of one fleet, from the parameters alone: nothing needs to be trained again for them.

    Args:
        n_components: Of federated PCA, where known; without it, that baseline's bytes are not.
    """

    def __init__(self, fleet: Fleet, params: Mapping[str, Any], n_components: int | None = None) -> None:
        self.fleet, self.n_components = fleet, n_components
        self.training: TrainingSettings = training_settings(params)
        self.n_rounds = section(params, "federate", FederationSettings).n_rounds
        self._state = lru_cache(lambda kind: model_bytes(kind, len(fleet.features), self.training.model))
        self._rows = lru_cache(self._count_rows)

    def __call__(self, model: ScoredNode) -> Traffic | None:
        """Of one model on one node; None where it is not known."""
        n_rows = self._rows(model.paradigm, model.seed, model.node) if model.arm == "centralised" else 0
        state = self._state(PARADIGMS[model.paradigm].network)
        sizes = Sizes(state, self.n_rounds, len(self.fleet.features), n_rows, self.n_components)
        return arm_traffic(model.arm, model.role, model.policy, sizes)

    def _count_rows(self, paradigm: str, seed: int, node: int) -> int:
        return len(PARADIGMS[paradigm].train_rows(self.fleet, node, self.training.supervision, seed).rows)
