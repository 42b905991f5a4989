"""The sections `study_policies` and `study_methods` of params.yaml."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from ftl.errors import ConfigError
from ftl.federation.methods import METHODS
from ftl.federation.selection import DRAWN_POLICIES, SELECTION_POLICIES

TOP_N_BY_TEST_F1 = "top_n_by_test_f1"
"""The paper's own rule: top_n by F1 on the test part. No policy, since it looks at what it is judged by."""
REFERENCE_METHOD = "fedavg"


@dataclass(frozen=True)
class ComparisonSettings:
    """What both studies have in common.

    Attributes:
        seeds: Each cuts the fleet into folds anew.
        n_folds: Every node is a target once per seed.
        hours: Lengths of a target's history at which it uses the model that it receives as it is.
        n_rounds, steps_per_round: Budget of every participant, in rounds and gradient steps.
        fine_tune_steps: Gradient steps of a target, with its whole history.
        pseudo_rows: Weight of the cohort's residual variance beside a node's own rows.
        smoothing_minutes: Half-life of the causal mean over scores; 0 switches it off.
        window_minutes: Length of a window of fleets that do not say it.
    """

    section: ClassVar[str] = "comparison"

    seeds: tuple[int, ...] = (0, 1, 2)
    n_folds: int = 3
    hours: tuple[float, ...] = (24,)
    n_rounds: int = 5
    steps_per_round: int = 100
    fine_tune_steps: int = 100
    pseudo_rows: float = 300.0
    smoothing_minutes: float = 15.0
    window_minutes: float = 5.0

    def __post_init__(self) -> None:
        if not self.seeds or any(seed < 0 for seed in self.seeds) or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"{self.section}.seeds must list different numbers >= 0; got {list(self.seeds)!r}")
        if not self.hours or any(not 0 < hours < inf for hours in self.hours) or len(set(self.hours)) < len(self.hours):
            raise ConfigError(f"{self.section}.hours must list different positive numbers; got {list(self.hours)!r}")
        self._at_least("n_folds", 2)
        for key in ("n_rounds", "steps_per_round", "fine_tune_steps"):
            self._at_least(key, 1)
        for key in ("pseudo_rows", "window_minutes"):
            if not 0 < getattr(self, key) < inf:
                raise ConfigError(f"{self.section}.{key} must be positive and finite; got {getattr(self, key)!r}")
        self._from_zero("smoothing_minutes")

    def _at_least(self, key: str, least: int) -> None:
        if getattr(self, key) < least:
            raise ConfigError(f"{self.section}.{key} must be >= {least}; got {getattr(self, key)!r}")

    def _from_zero(self, key: str) -> None:
        if not 0 <= getattr(self, key) < inf:
            raise ConfigError(f"{self.section}.{key} must be 0 or more; got {getattr(self, key)!r}")

    def _words(self, key: str, known: tuple[str, ...]) -> None:
        given = getattr(self, key)
        for word in given:
            if word not in known:
                raise ConfigError(f"{self.section}.{key}: unknown {word!r}; known: {', '.join(known)}")
        if not given or len(set(given)) < len(given):
            raise ConfigError(f"{self.section}.{key} must list different ones of: {', '.join(known)}")


@dataclass(frozen=True)
class PolicyStudySettings(ComparisonSettings):
    """How selection policies are compared; what single policies are set to stands in the section `select`.

    Attributes:
        policies: Words of `select.policies` but random_n, which is always there, and top_n_by_test_f1.
        n_participants: Of a cohort; null: half of the candidates.
        n_draws: Random cohorts per fold, the yardstick.
        local_steps: Of the candidates' local models, by which they are ranked.
    """

    section: ClassVar[str] = "study_policies"

    policies: tuple[str, ...] = (
        "top_n", "label_free", "hybrid_maxmin", "facility_location", "clustered", "all", TOP_N_BY_TEST_F1,
    )  # fmt: skip
    n_participants: int | None = None
    n_draws: int = 10
    local_steps: int = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [policy for policy in SELECTION_POLICIES if policy not in DRAWN_POLICIES]
        self._words("policies", (*known, TOP_N_BY_TEST_F1))
        self._at_least("n_draws", 2)
        self._at_least("local_steps", 1)
        if self.n_participants is not None:
            self._at_least("n_participants", 1)


@dataclass(frozen=True)
class MethodStudySettings(ComparisonSettings):
    """How federated methods are compared; what single methods are set to stands in the section `federate`.

    Attributes:
        methods: Words of `federate.method`; each is held against fedavg, which is always there.
        n_participants: Of every cohort, drawn at random; where fewer candidates are left, all of them take part.
        n_local_epochs: That a round's steps are cut into; fedrep trains the decoder in the first ones.
        ditto_proximal: How strongly ditto's fine-tuned models are held near the one received (`transfer.proximal`).
    """

    section: ClassVar[str] = "study_methods"

    methods: tuple[str, ...] = tuple(METHODS)
    n_participants: int = 8
    n_local_epochs: int = 2
    ditto_proximal: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._words("methods", tuple(METHODS))
        self._at_least("n_participants", 1)
        self._at_least("n_local_epochs", 1)
        self._from_zero("ditto_proximal")
        if self.steps_per_round % self.n_local_epochs:
            raise ConfigError(
                f"study_methods.n_local_epochs must divide steps_per_round, {self.steps_per_round}, so that all "
                f"methods make equally many steps; got {self.n_local_epochs}"
            )

    @property
    def compared(self) -> tuple[str, ...]:
        """The reference first."""
        return (REFERENCE_METHOD, *(method for method in self.methods if method != REFERENCE_METHOD))
