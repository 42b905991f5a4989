"""Settings of a federation: who takes part, for how long, and what the server does."""

import math
from dataclasses import dataclass, replace

from ftl.errors import ConfigError
from ftl.federation.aggregation import AGGREGATORS
from ftl.federation.methods import METHODS
from ftl.federation.selection import (
    DRAWN_POLICIES,
    SELECTION_POLICIES,
    SIMILARITY_POLICIES,
    UNSIZED_POLICIES,
    Clustered,
    FacilityLocation,
    HybridMaxMin,
    SelectionPolicy,
)

RANKINGS = ("protocol", "validation_f1", "validation_loss", "test_f1")
SIMILARITIES = ("statistics", "weights")


@dataclass(frozen=True)
class SelectionSettings:
    """Which cohorts are formed (paper, section 4.3.1: N in {3, 5, 10, 20, 25, 50}, top-N and random-N).

    Note: the paper ranks nodes by F1 on the held-out test part, which looks at test labels. ``rank_by: protocol`` does
    so under the protocol ``paper`` alone; ``rigorous`` ranks on a validation slice of the train part. The number of
    random draws is not given there.

    ``similarity`` is what nodes are compared by: ``statistics`` (quantiles of their training rows) or ``weights`` (what
    local training changed in their encoder). The settings after it are those of single policies: ``n_quality_seeds`` of
    hybrid_maxmin; ``quality_bonus``, ``max_per_rack`` and ``cost_budget`` (training rows of all participants together)
    of facility_location; ``n_clusters`` of clustered.
    """

    policies: tuple[str, ...] = ("top_n", "random_n")
    n_participants: tuple[int, ...] = (3, 5, 10)
    n_draws: int = 2
    rank_by: str = "protocol"
    similarity: str = "statistics"
    n_quality_seeds: int = 1
    quality_bonus: float = 1.0
    max_per_rack: int | None = None
    cost_budget: float | None = None
    n_clusters: int = 2

    def __post_init__(self) -> None:
        for policy in self.policies:
            if policy not in SELECTION_POLICIES:
                raise ConfigError(f"select.policies: unknown {policy!r}; known: {', '.join(SELECTION_POLICIES)}")
        if not self.policies:
            raise ConfigError(f"select.policies must name at least one of: {', '.join(SELECTION_POLICIES)}")
        if not self.n_participants or any(n < 1 for n in self.n_participants):
            raise ConfigError(f"select.n_participants must list numbers >= 1; got {list(self.n_participants)!r}")
        if len(set(self.n_participants)) < len(self.n_participants):
            raise ConfigError(f"select.n_participants lists a number twice: {list(self.n_participants)!r}")
        if self.n_draws < 1:
            raise ConfigError(f"select.n_draws must be >= 1; got {self.n_draws!r}")
        if self.rank_by not in RANKINGS:
            raise ConfigError(f"select.rank_by: unknown {self.rank_by!r}; known: {', '.join(RANKINGS)}")
        self._check_settings_of_policies()

    def _check_settings_of_policies(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise ConfigError(f"select.similarity: unknown {self.similarity!r}; known: {', '.join(SIMILARITIES)}")
        for key in ("n_quality_seeds", "n_clusters", "max_per_rack"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"select.{key} must be >= 1; got {value!r}")
        if not 0 <= self.quality_bonus < math.inf:
            raise ConfigError(f"select.quality_bonus must be a finite number >= 0; got {self.quality_bonus!r}")
        if self.cost_budget is not None and not self.cost_budget > 0:
            raise ConfigError(f"select.cost_budget must be > 0 (training rows), or null; got {self.cost_budget!r}")

    def policy(self, name: str) -> SelectionPolicy:
        """The policy of this name, with its settings."""
        policy = SELECTION_POLICIES[name]
        if isinstance(policy, HybridMaxMin):
            return replace(policy, n_quality_seeds=self.n_quality_seeds)
        if isinstance(policy, FacilityLocation):
            return replace(
                policy,
                quality_bonus=self.quality_bonus,
                max_per_rack=self.max_per_rack,
                cost_budget=self.cost_budget,
            )
        return replace(policy, n_clusters=self.n_clusters) if isinstance(policy, Clustered) else policy

    @property
    def compares_nodes(self) -> bool:
        """Does a policy need to know how alike nodes are?"""
        return not SIMILARITY_POLICIES.isdisjoint(self.policies)

    def sizes(self, policy: str) -> tuple[int, ...]:
        """The numbers of participants that a policy is asked for; one of no account where it takes all nodes."""
        return self.n_participants[:1] if policy in UNSIZED_POLICIES else self.n_participants

    def ranking_of(self, protocol: str) -> str:
        """What nodes are ranked by: the paper's protocol looks at test labels, ours at the validation slice."""
        if self.rank_by != "protocol":
            return self.rank_by
        return "test_f1" if protocol == "paper" else "validation_f1"

    def draws(self, policy: str) -> range:
        """How often a policy chooses: once where it has no choice."""
        return range(self.n_draws if policy in DRAWN_POLICIES else 1)


@dataclass(frozen=True)
class FederationSettings:
    """How a cohort trains (paper, section 4.3.3: FedAvg, 1000 rounds of one local epoch, weighted by local rows).

    ``proximal`` is FedProx's mu; the ``server_*`` are of FedAdam and FedYogi; ``head_epochs`` of a round's local epochs
    train FedRep's decoder. A method takes no notice of the others' settings.
    """

    n_rounds: int = 5
    n_local_epochs: int = 1
    client_state: str = "fresh"
    aggregator: str = "fedavg"
    weighting: str = "rows"
    method: str = "fedavg"
    proximal: float = 0.01
    server_learning_rate: float = 0.01
    server_beta1: float = 0.9
    server_beta2: float = 0.99
    server_eps: float = 1e-3
    head_epochs: int = 1

    def __post_init__(self) -> None:
        for key in ("n_rounds", "n_local_epochs", "head_epochs"):
            if getattr(self, key) < 1:
                raise ConfigError(f"federate.{key} must be >= 1; got {getattr(self, key)!r}")
        for key in ("server_learning_rate", "server_eps"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"federate.{key} must be > 0; got {getattr(self, key)!r}")
        for key in ("server_beta1", "server_beta2"):
            if not 0 <= getattr(self, key) < 1:
                raise ConfigError(f"federate.{key} must be in [0, 1); got {getattr(self, key)!r}")
        if not 0 <= self.proximal < math.inf:
            raise ConfigError(f"federate.proximal must be a finite number >= 0; got {self.proximal!r}")
        if self.method == "fedrep" and self.head_epochs >= self.n_local_epochs:
            raise ConfigError(
                "federate.head_epochs must be below federate.n_local_epochs, so that an epoch of every round trains "
                f"the encoder under method fedrep; got {self.head_epochs} of {self.n_local_epochs}; set for example "
                f"federate.n_local_epochs={self.head_epochs + 1}"
            )
        for key, known in (
            ("method", tuple(METHODS)),
            ("client_state", ("fresh", "kept")),
            ("aggregator", tuple(AGGREGATORS)),
            ("weighting", ("rows", "uniform")),
        ):
            if getattr(self, key) not in known:
                raise ConfigError(f"federate.{key}: unknown {getattr(self, key)!r}; known: {', '.join(known)}")

    @property
    def n_epochs(self) -> int:
        """Local epochs that a participant makes in all."""
        return self.n_rounds * self.n_local_epochs
