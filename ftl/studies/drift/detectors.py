"""The detectors of one fold, fitted on rows as they are or on re-based rows, and the scores that they give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.baselines.pca import PrincipalComponents, leading_components
from ftl.federation.settings import FederationSettings
from ftl.models.state import StackedState, repeat
from ftl.randomness import derive_seed
from ftl.studies.alarms import Alarming, Scored
from ftl.studies.cohort import Reference, Shared, own_scale, share, unmuted
from ftl.studies.stacks import Models, Recipe, fit_models
from ftl.studies.telemetry import NodeTelemetry

SHARED = ("federated_pca", "zero_shot")
"""Those of :data:`ftl.studies.drift.combination.DETECTORS` that read rows in the cohort's scale."""


@dataclass(frozen=True)
class Fitted:
    """The detectors of one fold.

    Attributes:
        nodes: The participants, then the targets; every one of them has all detectors.
        shared: What the participants share.
        local: Autoencoders, stacked in the order of the nodes.
        of_cohort: The cohort's autoencoder, a stack of one.
        components: PCA of each node.
    """

    nodes: Sequence[NodeTelemetry]
    shared: Shared
    local: Models
    of_cohort: Models
    components: Sequence[PrincipalComponents]

    def residuals(self, detector: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        """What a detector leaves over of a node's history (T, F) and of its test rows (T', F)."""
        node = self.nodes[number]
        scale = self.shared.scale if detector in SHARED else own_scale(node.history, self.shared.scale)
        makers = {
            "pca": self.components[number].residual,
            "local": lambda x: self.local.residual(number, x),
            "federated_pca": self.shared.components.residual,
            "zero_shot": lambda x: self.of_cohort.residual(0, x),
        }
        history, test = node.scaled(node.history, scale), node.scaled(node.test, scale)
        return unmuted(node, makers[detector](history)), unmuted(node, makers[detector](test))

    def reference(self, detector: str) -> Reference | None:
        """What the participants share beside a detector; None where they share nothing."""
        of = {"federated_pca": self.shared.components_reference, "zero_shot": self.shared.reference}
        return of.get(detector)

    def scores(self, detector: str, number: int, alarmings: Sequence[Alarming]) -> list[Scored]:
        """`nres` of a node's history and of its test rows, once per way of smoothing."""
        node = self.nodes[number]
        known, judged = self.residuals(detector, number)
        reference, found = self.reference(detector), []
        for alarming in alarmings:
            variance = (
                alarming.own_variance(known)
                if reference is None
                else alarming.calibrated_variance(known, reference.variance)
            )
            of_known = alarming.score(known, variance, node.history_time)
            found.append(Scored(of_known, alarming.score(judged, variance, node.test_time)))
        return found


def fit_detectors(
    participants: Sequence[NodeTelemetry],
    targets: Sequence[NodeTelemetry],
    recipe: Recipe,
    federate: FederationSettings,
    steps_per_round: int,
    local_steps: int,
    alarming: Alarming,
    start: StackedState,
    seed: int,
) -> Fitted:
    """Fit all detectors on histories alone; no row of a test part is read.

    Args:
        start: The initial autoencoder, a stack of one; the cohort's and all local ones begin with it.
    """
    nodes = [*participants, *targets]
    shared = share(participants, recipe, federate, steps_per_round, alarming, start, seed)
    rows = [node.scaled(node.history, own_scale(node.history, shared.scale)) for node in nodes]
    seeds = [derive_seed(seed, "local", node.node) for node in nodes]
    fit = fit_models(recipe, repeat(start, len(nodes)), rows, seeds, local_steps)
    n_features = rows[0].shape[1]
    return Fitted(
        nodes=nodes,
        shared=shared,
        local=Models(recipe, fit.state, n_features),
        of_cohort=Models(recipe, shared.state, n_features),
        components=[_own_components(of) for of in rows],
    )


def _own_components(rows: np.ndarray) -> PrincipalComponents:
    """PCA of a node's own rows, (T, F)."""
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    return PrincipalComponents(mean, leading_components(centred.T @ centred / len(centred)))
