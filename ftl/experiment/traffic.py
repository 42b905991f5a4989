"""How many bytes each node of a fleet moves for each of its models."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ftl.config import section
from ftl.data.fleet import Fleet
from ftl.detection.settings import DetectionSettings
from ftl.evaluation.cost import (
    COMPARING_POLICIES,
    SharedStatistics,
    Sizes,
    Traffic,
    arm_traffic,
    state_bytes,
    statistics_traffic,
)
from ftl.experiment.alarms import rule_name
from ftl.experiment.scored import ScoredNode
from ftl.experiment.settings import TrainingSettings, training_settings
from ftl.federation.descriptions import DESCRIBED_BY
from ftl.federation.methods import method_of
from ftl.federation.rounds import shared_bytes
from ftl.federation.settings import FederationSettings, SelectionSettings
from ftl.learning.paradigms import PARADIGMS
from ftl.models.network import ENCODER, ModelSettings, NetworkKind, build_network
from ftl.sharing.sizes import NUMBER_BYTES


def model_bytes(kind: NetworkKind, n_features: int, model: ModelSettings, part: str = "") -> int:
    """Bytes of one model's parameters (float32); of those whose name begins with ``part``."""
    state = build_network(kind, 1, n_features, model).state_dict()
    return state_bytes({name: value for name, value in state.items() if name.startswith(part)})


class FleetTraffic:
    """Bytes by model and node of one fleet, from the parameters alone: nothing needs to be trained again for them.

    Args:
        n_components: Of federated PCA, where known; without it, that baseline's bytes are not.
    """

    def __init__(self, fleet: Fleet, params: Mapping[str, Any], n_components: int | None = None) -> None:
        self.fleet, self.params, self.n_components = fleet, params, n_components
        self.training: TrainingSettings = training_settings(params)
        self.detection = section(params, "detection", DetectionSettings)
        self.federate = section(params, "federate", FederationSettings)
        self._state = lru_cache(lambda kind: model_bytes(kind, len(fleet.features), self.training.model))
        self._encoder = lru_cache(lambda kind: model_bytes(kind, len(fleet.features), self.training.model, ENCODER))
        self._private = lru_cache(self._private_bytes)
        self._rows = lru_cache(self._count_rows)

    def __call__(self, model: ScoredNode) -> Traffic | None:
        """Of one model on one node; None where it is not known."""
        n_rows = self._rows(model.paradigm, model.seed, model.node) if model.arm == "centralised" else 0
        state = self._state(PARADIGMS[model.paradigm].network)
        n_features = len(self.fleet.features)
        description = self._description(model) if model.policy in COMPARING_POLICIES else 0
        private = self._private(PARADIGMS[model.paradigm].network)
        sizes = Sizes(state, self.federate.n_rounds, n_features, n_rows, self.n_components, description, private)
        weights = arm_traffic(model.arm, model.role, model.policy, sizes)
        if weights is None:
            return None
        return weights + statistics_traffic(model.arm, model.role, n_features, self._shared(model))

    def _shared(self, model: ScoredNode) -> SharedStatistics:
        """Which statistics this model's nodes share."""
        divides = PARADIGMS[model.paradigm].network == "autoencoder" and self.detection.score == "nres"
        return SharedStatistics(
            scale=self.fleet.report.get("settings", {}).get("scaler") == "fleet_quantile",
            variance=divides and self.detection.variance_shrinkage > 0,
            threshold=rule_name(model, self.fleet.protocol, self.detection),
        )

    def _description(self, model: ScoredNode) -> int:
        """Bytes by which a node describes itself, where nodes are compared: statistics, or its encoder."""
        if section(self.params, "select", SelectionSettings).similarity == "statistics":
            return NUMBER_BYTES * DESCRIBED_BY * len(self.fleet.features)
        return self._encoder(PARADIGMS[model.paradigm].network)

    def _private_bytes(self, kind: NetworkKind) -> int:
        """Bytes of what a participant does not send in the rounds."""
        state = build_network(kind, 1, len(self.fleet.features), self.training.model).state_dict()
        return state_bytes(state) - shared_bytes(method_of(self.federate), state)

    def _count_rows(self, paradigm: str, seed: int, node: int) -> int:
        return len(PARADIGMS[paradigm].train_rows(self.fleet, node, self.training.supervision, seed).rows)
