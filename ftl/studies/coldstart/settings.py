"""The section `coldstart` of params.yaml."""

from dataclasses import dataclass

from ftl.errors import ConfigError

REBASES = ("none", "fleet", "all")


@dataclass(frozen=True)
class ColdStartSettings:
    """How a node's first hours are replayed.

    Attributes:
        enabled: Whether the stage of the pipeline runs; `ftl coldstart` always does.
        hours: Lengths of a target's history; the whole of it is always added.
        seeds: Each cuts the fleet into folds anew.
        n_folds: Every node is a target once per seed.
        n_participants: Of a cohort, drawn at random from the nodes of the other folds.
        n_rounds, steps_per_round: Budget of a cohort.
        local_steps: Of a local model.
        fine_tune_steps: Of a target that fine-tunes what it received.
        few_steps, few_steps_learning_rate: Of the gentlest fine-tuning.
        pseudo_rows: Weight of the fleet's residual variance beside a node's own rows.
        smoothing_minutes: Half-life of the causal mean over scores; 0 switches it off.
        rebase: Rows less their trailing median: `none`, `fleet` (where at least half of the participants drift, by
            their own label-free tests) or `all`.
        rebase_hours: Length of that window.
        drift_share: Of a participant's later rows above the percentile of its earlier ones, from which on it drifts.
        window_minutes: Length of a window of fleets that do not say it.
        max_fpr, share_of_full: A history is long enough to be usable where the false-positive rate is at most max_fpr
            and F1 at least share_of_full of what the local model has with the full history.
        max_targets: Of a fold, drawn at random where it has more; null takes all.
    """

    enabled: bool = False
    hours: tuple[float, ...] = (2, 4, 8, 24, 72, 168)
    seeds: tuple[int, ...] = (0, 1, 2)
    n_folds: int = 3
    n_participants: int = 8
    n_rounds: int = 5
    steps_per_round: int = 100
    local_steps: int = 300
    fine_tune_steps: int = 100
    few_steps: int = 10
    few_steps_learning_rate: float = 1e-4
    pseudo_rows: float = 300.0
    smoothing_minutes: float = 15.0
    rebase: str = "fleet"
    rebase_hours: float = 24.0
    drift_share: float = 0.06
    window_minutes: float = 5.0
    max_fpr: float = 0.06
    share_of_full: float = 0.9
    max_targets: int | None = None

    def __post_init__(self) -> None:
        if (
            not self.hours
            or any(not 0 < hours < float("inf") for hours in self.hours)
            or len(set(self.hours)) < len(self.hours)
        ):
            raise ConfigError(f"coldstart.hours must list different positive numbers; got {list(self.hours)!r}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError(f"coldstart.seeds must list different numbers >= 0; got {list(self.seeds)!r}")
        if self.rebase not in REBASES:
            raise ConfigError(f"coldstart.rebase: unknown {self.rebase!r}; known: {', '.join(REBASES)}")
        for key, least in (
            ("n_folds", 2), ("n_participants", 1), ("n_rounds", 1), ("steps_per_round", 1), ("local_steps", 1),
            ("fine_tune_steps", 1), ("few_steps", 1),
        ):  # fmt: skip
            if getattr(self, key) < least:
                raise ConfigError(f"coldstart.{key} must be >= {least}; got {getattr(self, key)!r}")
        for key in ("few_steps_learning_rate", "pseudo_rows", "rebase_hours", "window_minutes"):
            if not 0 < getattr(self, key) < float("inf"):
                raise ConfigError(f"coldstart.{key} must be positive and finite; got {getattr(self, key)!r}")
        for key in ("max_fpr", "share_of_full", "drift_share"):
            if not 0 < getattr(self, key) <= 1:
                raise ConfigError(f"coldstart.{key} must be in (0, 1]; got {getattr(self, key)!r}")
        if not 0 <= self.smoothing_minutes < float("inf"):
            raise ConfigError(f"coldstart.smoothing_minutes must be 0 or more; got {self.smoothing_minutes!r}")
        if self.max_targets is not None and self.max_targets < 1:
            raise ConfigError(f"coldstart.max_targets must be >= 1 or null; got {self.max_targets!r}")
