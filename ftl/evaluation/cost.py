"""What an arm moves over the network.

Bytes follow from what the arms do and from sizes; nothing is measured. Headers of messages, compression and the number
of rows that FedAvg weights by (8 bytes) are not counted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NUMBER_BYTES = 8
"""A float64 or an int64: how a node's place in the ranking, moments and quantiles are sent."""


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
    """

    state: int
    n_rounds: int
    n_features: int
    n_rows: int
    n_components: int | None = None


def state_bytes(state: Mapping[str, Any]) -> int:
    """Bytes of one model of a stacked state, whose arrays or tensors count models along dim 0."""
    return sum(int(value.nbytes) // len(value) for value in state.values())


def participant_traffic(state: int, n_rounds: int) -> Traffic:
    """A participant of FedAvg: it receives the initial model and what every round ends with, and sends every round."""
    return Traffic(sent=n_rounds * state, received=(n_rounds + 1) * state)


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

RANKED_POLICIES = frozenset({"top_n"})


def _of_cohort(role: str | None, sizes: Sizes) -> Traffic:
    return participant_traffic(sizes.state, sizes.n_rounds) if role == "participant" else target_traffic(sizes.state)


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
        policy: Where it ranks the nodes, the node has sent one number more.
    """
    traffic = ARM_TRAFFIC[arm](role, sizes) if arm in ARM_TRAFFIC else None
    return traffic + RANKING_TRAFFIC if traffic is not None and policy in RANKED_POLICIES else traffic
