"""The section `tune` of params.yaml, less its space."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ftl.config import section
from ftl.errors import ConfigError
from ftl.experiment.tuning_split import LABELS_FROM
from ftl.learning.paradigms import PARADIGMS
from ftl.tuning.objectives import COSTS, OBJECTIVES

ARMS = ("transfer", "full_fine_tune", "zero_shot")
PRUNINGS = ("rounds", "nodes")


@dataclass(frozen=True)
class TuneSettings:
    """A study.

    Attributes:
        enabled: Whether the pipeline's stage does anything.
        n_trials: Trials in all; a study that is taken up again goes on to as many.
        objective: A key of OBJECTIVES, the mean over judged nodes; larger is better.
        cost: ``none``, or a key of COSTS, which is then minimised beside the objective.
        paradigm: The one paradigm whose models are tuned.
        arm: What a target does with the global model; may be part of the space (``tune.arm``).
        n_seeds: How many of the ``seeds`` a trial is averaged over.
        batch_size: Trials that are proposed before any of them is judged; what is found depends on it, and not on the
            number of workers.
        n_workers: Processes that judge trials.
        pruning: Where a trial may be given up: between ``rounds``, between ``nodes``. Of studies with a cost none is.
        labels_from: Rows that judge trials: ``validation``, ``lent`` or ``auto``
            (:func:`ftl.experiment.tuning_split.split_for_tuning`).
        validation_fraction: Share of the rows before the test part that judge trials.
        alarm_budget: Alarms per node and day that the objective f1_at_budget allows.
        seed: Of the proposals and of the order of nodes.
    """

    enabled: bool = False
    n_trials: int = 40
    objective: str = "f1"
    cost: str = "none"
    paradigm: str = "unsupervised"
    arm: str = "transfer"
    n_seeds: int = 1
    batch_size: int = 4
    n_workers: int = 1
    pruning: tuple[str, ...] = PRUNINGS
    labels_from: str = "auto"
    validation_fraction: float = 0.3
    alarm_budget: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for key, known in (
            ("objective", tuple(OBJECTIVES)),
            ("cost", ("none", *COSTS)),
            ("paradigm", tuple(PARADIGMS)),
            ("arm", ARMS),
            ("labels_from", LABELS_FROM),
        ):
            if getattr(self, key) not in known:
                raise ConfigError(f"tune.{key}: unknown {getattr(self, key)!r}; known: {', '.join(known)}")
        for name in self.pruning:
            if name not in PRUNINGS:
                raise ConfigError(f"tune.pruning: unknown {name!r}; known: {', '.join(PRUNINGS)}")
        for key in ("n_trials", "n_seeds", "batch_size", "n_workers"):
            if getattr(self, key) < 1:
                raise ConfigError(f"tune.{key} must be >= 1; got {getattr(self, key)!r}")
        if self.seed < 0:
            raise ConfigError(f"tune.seed must be >= 0; got {self.seed!r}")
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"tune.validation_fraction must be in (0, 1); got {self.validation_fraction!r}")
        if not self.alarm_budget > 0:
            raise ConfigError(f"tune.alarm_budget must be positive; got {self.alarm_budget!r}")

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the values of a trial."""
        return (self.objective,) if self.cost == "none" else (self.objective, self.cost)


DEFAULT_SPACE = "threshold"
DEFAULTS: dict[str, Any] = {**asdict(TuneSettings()), "pruning": list(PRUNINGS), "space": DEFAULT_SPACE}
"""The section as a profile has it that says nothing about it."""


def with_tune_section(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, with the section `tune` where they lack it."""
    return {**params, "tune": params.get("tune", DEFAULTS)}


def tune_settings(params: Mapping[str, Any]) -> TuneSettings:
    """The section `tune` of the parameters, less its space."""
    given = params.get("tune", DEFAULTS)
    if not isinstance(given, Mapping):
        raise ConfigError(f"tune must be a section; got {given!r}")
    return section({"tune": {name: value for name, value in given.items() if name != "space"}}, "tune", TuneSettings)
