"""What the participants of a fold give away: a global model, and statistics beside it; never a row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ftl.baselines.pca import PrincipalComponents, leading_components
from ftl.detection.scores import VARIANCE_FLOOR
from ftl.evaluation.cost import state_bytes
from ftl.federation.settings import FederationSettings
from ftl.models.state import StackedState, take
from ftl.sharing import (
    FleetScale,
    Moments,
    ThresholdReport,
    fleet_scale,
    fleet_threshold,
    median_variance,
    moments,
    quantile_report,
    residual_sums,
)
from ftl.sharing.sizes import NUMBER_BYTES
from ftl.studies.alarms import Alarming
from ftl.studies.federation import train_cohorts
from ftl.studies.layers import LayerProfile, layer_divergence, layer_profile, pooled_profile
from ftl.studies.stacks import Models, Recipe
from ftl.studies.telemetry import NodeTelemetry


@dataclass(frozen=True)
class Reference:
    """What is shared beside a model: how well it fits the participants.

    Attributes:
        variance: Residual variance of each feature, the median over participants, shape (F,).
        threshold: The percentile of a participant's scores, the median over participants.
        newcomer: The same of scores that know no variance but the cohort's, as those of a node without history.
        divergence: How far each participant's rows are from the model, see :func:`divergence_of`, shape (N,).
        n_bytes: What a participant sends for it, and what a target receives.
    """

    variance: np.ndarray
    threshold: float
    newcomer: float
    divergence: np.ndarray
    n_bytes: int

    def threshold_after(self, n_rows: int, pseudo_rows: float) -> float:
        """The cohort's threshold for a node that has seen so many rows: from a newcomer's to a participant's."""
        return (n_rows * self.threshold + pseudo_rows * self.newcomer) / (n_rows + pseudo_rows)


@dataclass(frozen=True)
class Shared:
    """All that a cohort's participants have shared.

    Attributes:
        scale: The fleet's scale; models read rows in it.
        state: The global model, a stack of one.
        own_state: A second one, whose participants each read rows in their own scale: weights without statistics.
        reference: Of the global model.
        components: The cohort's PCA, of pooled moments.
        components_of_others: By participant's position in the fleet, the PCA of all participants but it: what a node
            that was not among them would have received. Costs no message but the way back.
        components_reference: Of these PCAs, each on the participant that it does not know.
        layers: Activations of the encoder on the participants' rows, as sums.
        layer_divergence: Of each participant from all of them, shape (N, layers).
        seconds: CPU seconds of the federated fit.
        n_rounds: Of the federation; each of them sends the weights.
        scale_bytes, weight_bytes, moment_bytes, component_bytes, layer_bytes: What one participant sends of its
            quantiles, its weights (one round), its moments and its activations; and what a target receives of the PCA.
    """

    scale: FleetScale
    state: StackedState
    own_state: StackedState
    reference: Reference
    components: PrincipalComponents
    components_of_others: Mapping[int, PrincipalComponents]
    components_reference: Reference
    layers: LayerProfile
    layer_divergence: np.ndarray
    seconds: float
    n_rounds: int
    scale_bytes: int
    weight_bytes: int
    moment_bytes: int
    component_bytes: int
    layer_bytes: int


def share(
    participants: Sequence[NodeTelemetry],
    recipe: Recipe,
    federate: FederationSettings,
    steps_per_round: int,
    alarming: Alarming,
    start: StackedState,
    seed: int,
) -> Shared:
    """Let participants share: first a scale, then in one round their moments, then by rounds a global model.

    Args:
        participants: With their whole histories.
        start: The initial model, a stack of one.
    """
    reports = [quantile_report(_known(node)) for node in participants]
    scale = fleet_scale(reports)
    scaled = [node.scaled(node.history, scale) for node in participants]
    in_own = [node.scaled(node.history, own_scale(node.history, scale)) for node in participants]
    fit = train_cohorts(recipe, start, [scaled, in_own], federate, steps_per_round, seed)
    state, own_state = take(fit.states, [0]), take(fit.states, [1])
    models = Models(recipe, state, len(scale.low))
    of_nodes = [moments(rows.astype(np.float64)) for rows in scaled]
    components = pooled_components(of_nodes)
    others = components_without_each(of_nodes)
    profiles = [layer_profile(models, 0, rows) for rows in scaled]
    layers = pooled_profile(profiles)
    return Shared(
        scale=scale,
        state=state,
        own_state=own_state,
        reference=reference_of(participants, scaled, lambda x: models.residual(0, x), alarming),
        components=components,
        components_of_others={node.node: of for node, of in zip(participants, others, strict=True)},
        components_reference=reference_of_residuals(
            participants, [of.residual(x) for of, x in zip(others, scaled, strict=True)], alarming
        ),
        layers=layers,
        layer_divergence=np.stack([layer_divergence(profile, layers) for profile in profiles]),
        seconds=fit.seconds / 2,
        n_rounds=federate.n_rounds,
        scale_bytes=reports[0].n_bytes,
        weight_bytes=state_bytes(state),
        moment_bytes=of_nodes[0].n_bytes,
        component_bytes=NUMBER_BYTES * (components.mean.size + components.components.size),
        layer_bytes=layers.n_bytes,
    )


def pooled_components(of_nodes: Sequence[Moments]) -> PrincipalComponents:
    """The cohort's PCA from the sum of its participants' moments."""
    pooled = of_nodes[0]
    for one in of_nodes[1:]:
        pooled = pooled + one
    return PrincipalComponents(pooled.mean, leading_components(pooled.covariance))


def components_without_each(of_nodes: Sequence[Moments]) -> list[PrincipalComponents]:
    """For each participant the PCA of all others; of itself where there is no other."""
    if len(of_nodes) == 1:
        return [pooled_components(of_nodes)]
    total = sum(of_nodes[1:], of_nodes[0])
    return [pooled_components([total - own]) for own in of_nodes]


def reference_of(
    participants: Sequence[NodeTelemetry],
    scaled: Sequence[np.ndarray],
    residual_of: Callable[[np.ndarray], np.ndarray],
    alarming: Alarming,
) -> Reference:
    """What participants share of the residuals that one model leaves on their rows: medians over them."""
    return reference_of_residuals(participants, [residual_of(x) for x in scaled], alarming)


def reference_of_residuals(
    participants: Sequence[NodeTelemetry], residuals: Sequence[np.ndarray], alarming: Alarming
) -> Reference:
    """The same of residuals (T_k, F) that are there."""
    residuals = [unmuted(node, residual) for node, residual in zip(participants, residuals, strict=True)]
    sums = [residual_sums(residual, node.muted) for residual, node in zip(residuals, participants, strict=True)]
    variance = np.nan_to_num(median_variance(sums))
    thresholds: list[ThresholdReport] = []
    newcomers: list[ThresholdReport] = []
    divergence = []
    for node, residual in zip(participants, residuals, strict=True):
        own = alarming.calibrated_variance(residual, variance)
        for levels, known in ((thresholds, own), (newcomers, variance)):
            levels.append(
                ThresholdReport(len(residual), alarming.level(alarming.score(residual, known, node.history_time)))
            )
        divergence.append(divergence_of(residual, variance))
    n_bytes = sums[0].n_bytes + 3 * NUMBER_BYTES  # two thresholds and a divergence
    return Reference(variance, fleet_threshold(thresholds), fleet_threshold(newcomers), np.array(divergence), n_bytes)


def own_scale(history: np.ndarray, fleet: FleetScale) -> FleetScale:
    """The range of a node's known rows (T, F); a feature that is constant there is measured in the fleet's."""
    low, high = history.min(axis=0).astype(np.float64), history.max(axis=0).astype(np.float64)
    return FleetScale(low, np.where(high > low, high - low, fleet.span), fleet.clip_low, fleet.clip_high)


def divergence_of(residual: np.ndarray, variance: np.ndarray) -> float:
    """How much worse than on a usual participant a model fits these rows, (T, F).

    The mean over features of the mean squared residual over the cohort's residual variance: about 1 on a node like the
    others, many where its rows lie where no participant's do.
    """
    return float(np.mean(np.square(residual, dtype=np.float64).mean(axis=0) / (variance + VARIANCE_FLOOR)))


def strangeness_of(residual: np.ndarray, variance: np.ndarray, muted: np.ndarray) -> float:
    """The same of the feature in the middle: what half of a node's features exceed.

    Muted features (F,) are left out; NaN where all are. A single feature that has gone wild makes a node
    diverge, other units or another role make it strange.
    """
    told = ~muted
    if not told.any():
        return float("nan")
    ratios = np.square(residual[:, told], dtype=np.float64).mean(axis=0) / (variance[told] + VARIANCE_FLOOR)
    return float(np.median(ratios))


def unmuted(node: NodeTelemetry, residual: np.ndarray) -> np.ndarray:
    """Residuals (T, F) with 0 for the features of which the node tells nothing, in place."""
    residual[:, node.muted] = 0.0
    return residual


def _known(node: NodeTelemetry) -> np.ndarray:
    rows = node.history.astype(np.float64)
    rows[:, node.muted] = np.nan
    return rows
