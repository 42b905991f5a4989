"""Settings of a federation: who takes part, for how long, and what the server does."""

from dataclasses import dataclass

from ftl.errors import ConfigError
from ftl.federation.aggregation import AGGREGATORS
from ftl.federation.selection import DRAWN_POLICIES, SELECTION_POLICIES

RANKINGS = ("protocol", "validation_f1", "validation_loss", "test_f1")


@dataclass(frozen=True)
class SelectionSettings:
    """Which cohorts are formed (paper, section 4.3.1: N in {3, 5, 10, 20, 25, 50}, top-N and random-N).

    Note: the paper ranks nodes by F1 on the held-out test part, which looks at test labels. ``rank_by: protocol`` does
    so under the protocol ``paper`` alone; ``rigorous`` ranks on a validation slice of the train part. The number of
    random draws is not given there.
    """

    policies: tuple[str, ...] = ("top_n", "random_n")
    n_participants: tuple[int, ...] = (3, 5, 10)
    n_draws: int = 2
    rank_by: str = "protocol"

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
    """How a cohort trains (paper, section 4.3.3: 1000 rounds of one local epoch, weighted by local rows)."""

    n_rounds: int = 5
    n_local_epochs: int = 1
    client_state: str = "fresh"
    aggregator: str = "fedavg"
    weighting: str = "rows"

    def __post_init__(self) -> None:
        for key in ("n_rounds", "n_local_epochs"):
            if getattr(self, key) < 1:
                raise ConfigError(f"federate.{key} must be >= 1; got {getattr(self, key)!r}")
        for key, known in (
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
