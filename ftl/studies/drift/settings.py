"""The section `study_drift` of params.yaml."""

from dataclasses import dataclass

from ftl.errors import ConfigError


@dataclass(frozen=True)
class DriftStudySettings:
    """What is switched on and off, and what the detectors are.

    Percentile and trailing days of the thresholds are those of the section `detection`.

    Attributes:
        seeds: Each cuts the fleet into folds anew.
        n_folds: Every node is a target once per seed.
        n_participants: Of a cohort, drawn at random from the nodes of the other folds.
        n_rounds, steps_per_round: Budget of a cohort.
        local_steps: Of a local autoencoder.
        pseudo_rows: Weight of the fleet's residual variance beside a node's own rows, for shared detectors.
        smoothing_minutes: Half-life of the causal mean over scores, where it is switched on.
        rebase_hours: Length of the window whose median re-basing takes off.
        drift_share: Of a node's later rows above the percentile of its earlier ones, from which on it drifts.
        window_minutes: Length of a window of fleets that do not say it.
        curve_percentiles: Percentiles at which event recall is held against false alarms.
    """

    seeds: tuple[int, ...] = (0,)
    n_folds: int = 3
    n_participants: int = 8
    n_rounds: int = 5
    steps_per_round: int = 100
    local_steps: int = 300
    pseudo_rows: float = 300.0
    smoothing_minutes: float = 15.0
    rebase_hours: float = 24.0
    drift_share: float = 0.06
    window_minutes: float = 5.0
    curve_percentiles: tuple[float, ...] = (
        80,
        85,
        90,
        93,
        95,
        96,
        97,
        98,
        98.5,
        99,
        99.3,
        99.5,
        99.7,
        99.8,
        99.9,
        99.95,
    )

    def __post_init__(self) -> None:
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"study_drift.seeds must list different numbers >= 0; got {list(self.seeds)!r}")
        for key, least in (
            ("n_folds", 2), ("n_participants", 1), ("n_rounds", 1), ("steps_per_round", 1), ("local_steps", 1),
        ):  # fmt: skip
            if getattr(self, key) < least:
                raise ConfigError(f"study_drift.{key} must be >= {least}; got {getattr(self, key)!r}")
        for key in ("pseudo_rows", "smoothing_minutes", "rebase_hours", "window_minutes"):
            if not 0 < getattr(self, key) < float("inf"):
                raise ConfigError(f"study_drift.{key} must be positive and finite; got {getattr(self, key)!r}")
        if not 0 < self.drift_share <= 1:
            raise ConfigError(f"study_drift.drift_share must be in (0, 1]; got {self.drift_share!r}")
        levels = self.curve_percentiles
        if (
            not 0 < len(levels) <= MOST_POINTS
            or len(set(levels)) < len(levels)
            or any(not 0 < level < 100 for level in levels)
        ):
            raise ConfigError(
                f"study_drift.curve_percentiles must list 1 to {MOST_POINTS} different numbers in (0, 100); got "
                f"{list(levels)!r}"
            )


MOST_POINTS = 50
