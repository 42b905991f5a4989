"""What an arm moves over the network.

Bytes follow from what the arms do and from sizes; nothing is measured. Headers of messages, compression and the number
of rows that FedAvg weights by (8 bytes) are not counted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ftl.sharing.sizes import NUMBER_BYTES


@dataclass(frozen=True)
class Traffic:
    """Bytes that one node sends and receives for one model."""

    sent: int
    received: int

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.sent + other.sent, self.received + other.received)


NOTHING = Traffic(0, 0)


@dataclass(frozen=True)
class Sizes:
    """What the traffic of an arm depends on.

    Attributes:
        state: Bytes of one model (:func:`state_bytes`).
        n_rounds: Rounds of the federation.
        n_features: F.
        n_rows: Rows that the node would hand to a central pool.
        n_components: Of federated PCA, which receives them; None where that is not known.
        description: Bytes by which a node describes itself, where a policy compares nodes.
        private: Bytes of those of its parameters that a participant keeps to itself in the rounds (`federate.method`).
    """

    state: int
    n_rounds: int
    n_features: int
    n_rows: int
    n_components: int | None = None
    description: int = 0
    private: int = 0


def state_bytes(state: Mapping[str, Any]) -> int:
    """Bytes of one model of a stacked state, whose arrays or tensors count models along dim 0."""
    return sum(int(value.nbytes) // len(value) for value in state.values())


def participant_traffic(state: int, n_rounds: int, private: int = 0) -> Traffic:
    """A participant: it receives the initial model and what every round ends with, and sends every round.

    What is private takes no part in the rounds; it is sent once, after the last, for the mean that targets receive.
    """
    rounds = n_rounds * (state - private)
    return Traffic(sent=rounds + private, received=rounds + state)


def target_traffic(state: int) -> Traffic:
    """A target receives the model once; so does a node that gets the model of a single source."""
    return Traffic(sent=0, received=state)


def centralised_traffic(state: int, n_rows: int, n_features: int) -> Traffic:
    """A node that hands its raw rows (float32) to a central pool and receives the model trained there."""
    return Traffic(sent=4 * n_rows * n_features, received=state)


def federated_pca_traffic(n_features: int, n_components: int) -> Traffic:
    """Federated PCA: two quantiles of each feature, then number, sum and cross-products of the rows; all float64.

    What comes back is the fleet's low and span, then mean, components and residual variances.
    """
    sent = 2 * n_features + (1 + n_features + n_features**2)
    received = 2 * n_features + n_features * (2 + n_components)
    return Traffic(NUMBER_BYTES * sent, NUMBER_BYTES * received)


RANKING_TRAFFIC = Traffic(sent=NUMBER_BYTES, received=0)
"""Every node of the fleet reports one number to be ranked by."""

RANKED_POLICIES = frozenset({"top_n", "label_free", "hybrid_maxmin", "facility_location", "clustered"})
COMPARING_POLICIES = frozenset({"hybrid_maxmin", "facility_location", "clustered"})
"""Policies that need to know how alike nodes are: every node of the fleet describes itself."""


@dataclass(frozen=True)
class SharedStatistics:
    """Which statistics nodes share beside weights, for one model.

    Attributes:
        scale: They agree on the fleet's scale (`prepare.scaler: fleet_quantile`).
        variance: Residual variances are shrunk to the fleet's (`detection.variance_shrinkage`).
        threshold: The rule that sets the threshold, a key of THRESHOLDS.
    """

    scale: bool = False
    variance: bool = False
    threshold: str | None = None


def scale_traffic(n_features: int) -> Traffic:
    """A node sends number of rows, two quantiles and the range of each feature; low and span come back."""
    return Traffic(sent=NUMBER_BYTES * (1 + 4 * n_features), received=NUMBER_BYTES * 2 * n_features)


def variance_traffic(n_features: int, tells: bool) -> Traffic:
    """A node that tells its own sends number of rows, sums and sums of squares of residuals; the median comes back."""
    return Traffic(NUMBER_BYTES * (1 + 2 * n_features) if tells else 0, NUMBER_BYTES * n_features)


THRESHOLD_TRAFFIC: dict[str, Traffic] = {
    "federated_summary": Traffic(6 * NUMBER_BYTES, NUMBER_BYTES),
    "fleet_percentile": Traffic(NUMBER_BYTES, NUMBER_BYTES),
    "trailing_fleet": Traffic(NUMBER_BYTES, NUMBER_BYTES),
}
"""Rules of thresholds that need the fleet: what a node sends, and the one number that comes back."""

_PARTICIPANTS_TELL = frozenset({"fleet_percentile", "trailing_fleet"})
"""Those of them to which targets of a cohort send nothing."""

_TELL_VARIANCE = frozenset({"untrained", "local", "local_long", "centralised"})
_SHRUNK = _TELL_VARIANCE | {"zero_shot", "transfer", "full_fine_tune", "single_source"}


def statistics_traffic(arm: str, role: str | None, n_features: int, shared: SharedStatistics) -> Traffic:
    """What a node moves for one model of an arm beside :func:`arm_traffic`, by the statistics that are switched on.

    Residual variances are told by all nodes under their own model or the pool's, of a cohort by its participants alone,
    of a single source by that source; classical baselines neither tell nor use them.
    """
    moved = THRESHOLD_TRAFFIC.get(shared.threshold or "", NOTHING)
    if shared.threshold in _PARTICIPANTS_TELL and role == "target":
        moved = Traffic(0, moved.received)
    if shared.scale:
        moved += scale_traffic(n_features)
    if shared.variance and (arm in _SHRUNK or role is not None):
        moved += variance_traffic(n_features, tells=arm in _TELL_VARIANCE or role == "participant")
    return moved


def _of_cohort(role: str | None, sizes: Sizes) -> Traffic:
    if role == "participant":
        return participant_traffic(sizes.state, sizes.n_rounds, sizes.private)
    return target_traffic(sizes.state)


def _alone(role: str | None, sizes: Sizes) -> Traffic:
    return NOTHING


def _federated_pca(role: str | None, sizes: Sizes) -> Traffic | None:
    return None if sizes.n_components is None else federated_pca_traffic(sizes.n_features, sizes.n_components)


ARM_TRAFFIC: dict[str, Callable[[str | None, Sizes], Traffic | None]] = {
    **dict.fromkeys(("untrained", "local", "local_long"), _alone),
    **dict.fromkeys(("random", "pca", "centroid_mahalanobis", "isolation_forest", "ecod"), _alone),
    **dict.fromkeys(("zero_shot", "transfer", "full_fine_tune"), _of_cohort),
    "single_source": lambda role, sizes: target_traffic(sizes.state),
    "centralised": lambda role, sizes: centralised_traffic(sizes.state, sizes.n_rows, sizes.n_features),
    "federated_pca": _federated_pca,
}


def arm_traffic(arm: str, role: str | None, policy: str | None, sizes: Sizes) -> Traffic | None:
    """What one node moves for one model of an arm; None where that is not known (an arm that is not in ARM_TRAFFIC).

    Args:
        role: ``participant`` or ``target`` of the cohort; None without one.
        policy: Where it ranks the nodes, the node has sent one number more; where it compares them, its description.
    """
    if arm not in ARM_TRAFFIC:
        return None
    traffic = ARM_TRAFFIC[arm](role, sizes)
    if traffic is not None and policy in RANKED_POLICIES:
        traffic += RANKING_TRAFFIC
    if traffic is not None and policy in COMPARING_POLICIES:
        traffic += Traffic(sizes.description, 0)
    return traffic
