"""The section `study_labels` of params.yaml."""

from dataclasses import dataclass

from ftl.errors import ConfigError


@dataclass(frozen=True)
class LabelStudySettings:
    """How labels are lent, heads made and combinations chosen.

    Attributes:
        seeds: Each cuts the fleet into folds anew.
        n_folds: Every node is a target once per seed.
        n_participants: Of a cohort, drawn at random from the nodes of the other folds.
        n_rounds, steps_per_round: Budget of the global model, of which zero_shot and latent_head are made.
        local_steps: Of every node's own model.
        validation_share: Of a participant's labelled rows, the last in time: heads of the rest are validated on them,
            and theirs on the rest, to choose the combination. Where the rows precede the test part, a participant's
            own model sees none of these last rows.
        shrinkage: Of a head's within-class correlations towards none: 0 not at all, 1 every feature by itself.
        smoothing_minutes: Half-life of the causal mean over scores; 0 switches it off.
        window_minutes: Length of a window of fleets that do not say it.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    n_folds: int = 3
    n_participants: int = 8
    n_rounds: int = 5
    steps_per_round: int = 100
    local_steps: int = 300
    validation_share: float = 0.5
    shrinkage: float = 0.5
    smoothing_minutes: float = 15.0
    window_minutes: float = 5.0

    def __post_init__(self) -> None:
        if not self.seeds or any(seed < 0 for seed in self.seeds) or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"study_labels.seeds must list different numbers >= 0; got {list(self.seeds)!r}")
        for key, least in (
            ("n_folds", 2), ("n_participants", 1), ("n_rounds", 1), ("steps_per_round", 1), ("local_steps", 1),
        ):  # fmt: skip
            if getattr(self, key) < least:
                raise ConfigError(f"study_labels.{key} must be >= {least}; got {getattr(self, key)!r}")
        if not 0 < self.validation_share < 1:
            raise ConfigError(
                "study_labels.validation_share must lie between 0 and 1, so that there are rows to learn from and rows "
                f"to choose on; got {self.validation_share!r}"
            )
        if not 0 < self.shrinkage <= 1:
            raise ConfigError(
                "study_labels.shrinkage must be in (0, 1]: without any, a few anomalies make a head that cannot be "
                f"computed; got {self.shrinkage!r}"
            )
        if not 0 <= self.smoothing_minutes < float("inf"):
            raise ConfigError(f"study_labels.smoothing_minutes must be 0 or more; got {self.smoothing_minutes!r}")
        if not 0 < self.window_minutes < float("inf"):
            raise ConfigError(f"study_labels.window_minutes must be positive; got {self.window_minutes!r}")
