"""How scores become alarms: the `detection` section of params.yaml."""

import math
from dataclasses import dataclass
from typing import Any

from ftl.detection.scores import ANOMALY_SCORES, VARIANCE_FLOOR
from ftl.detection.thresholds import THRESHOLDS
from ftl.errors import ConfigError

LEAST_RISK = 1e-9  # no tail of a few dozen peaks tells more


@dataclass(frozen=True)
class ScoringSettings:
    """What a model's scores are: the part of the section that changes them, and not only the alarms raised on them."""

    score: str
    variance_floor: float
    variance_shrinkage: float = 0.0


@dataclass(frozen=True)
class DetectionSettings:
    """Which anomaly score, which threshold, and how scores are smoothed over time.

    Args:
        score: A key of ANOMALY_SCORES; what reconstructions are judged by (classifiers give their probability instead).
        threshold: `protocol` (what PROTOCOL_THRESHOLDS says) or a key of THRESHOLDS, then used for every paradigm.
        percentile: Percentile of the training scores, in (0, 100].
        fixed_threshold: The number that `fixed` and `fixed_on_scaled` use.
        conformal_alpha: Share of normal rows that `conformal` may flag, in (0, 1).
        pot_level: Percentile above which `pot` fits the tail, in (0, 100).
        pot_risk: Probability that a normal row exceeds the threshold of `pot`: at least 1e-9, and below what lies
            above pot_level.
        alarms_per_node_day: Alarm episodes per day on normal rows that `alarm_budget` keeps to; 0 allows none.
        summary_spread: Standard deviations above the mean of the fleet's normal scores, for `federated_summary` where
            no node has an anomaly; positive.
        trailing_days: How many days before each row `trailing` and `trailing_fleet` look at; positive.
        trailing_lag_hours: How many hours before the row these days end, so that a fault that has just begun does not
            raise its own threshold; 0: with the row before.
        smoothing_half_life: Half-life of the causal mean over scores, in telemetry windows; 0 switches it off.
        variance_floor: Added to a feature's residual variance, in squared scaled units; positive.
        variance_shrinkage: Rows that the fleet's residual variance counts for beside the node's own, in `nres` of
            reconstructions; 0 leaves the node's own.

    Raises:
        ConfigError: If a value is of the wrong kind, unknown or out of range; the message names the key.
    """

    score: str = "nres"
    threshold: str = "protocol"
    percentile: float = 98.0
    fixed_threshold: float = 0.5
    conformal_alpha: float = 0.02
    pot_level: float = 98.0
    pot_risk: float = 1e-3
    alarms_per_node_day: float = 0.5
    summary_spread: float = 3.0
    trailing_days: float = 2.0
    trailing_lag_hours: float = 0.0
    smoothing_half_life: float = 0.0
    variance_floor: float = VARIANCE_FLOOR
    variance_shrinkage: float = 0.0

    def __post_init__(self) -> None:
        _require_known("score", self.score, (*ANOMALY_SCORES,))
        _require_known("threshold", self.threshold, ("protocol", *THRESHOLDS))
        _require_number("percentile", self.percentile, 0.0 < _number(self.percentile) <= 100.0, "in (0, 100]")
        _require_number("fixed_threshold", self.fixed_threshold, math.isfinite(_number(self.fixed_threshold)), "finite")
        self._require_known_promises()
        half_life = _number(self.smoothing_half_life)
        _require_number(
            "smoothing_half_life",
            self.smoothing_half_life,
            0.0 <= half_life < math.inf,
            "a finite number of windows, 0 (off) or more",
        )
        days, floor = _number(self.trailing_days), _number(self.variance_floor)
        lag = _number(self.trailing_lag_hours)
        _require_number("trailing_lag_hours", self.trailing_lag_hours, 0.0 <= lag < math.inf, "0 or more, finite")
        _require_number("trailing_days", self.trailing_days, 0.0 < days < math.inf, "positive and finite")
        _require_number("variance_floor", self.variance_floor, 0.0 < floor < math.inf, "positive and finite")
        rows = _number(self.variance_shrinkage)
        _require_number("variance_shrinkage", self.variance_shrinkage, 0.0 <= rows < math.inf, "0 or more, finite")

    @property
    def scoring(self) -> ScoringSettings:
        return ScoringSettings(self.score, self.variance_floor, float(self.variance_shrinkage))

    def _require_known_promises(self) -> None:
        """Refuse what conformal, pot, alarm_budget and federated_summary cannot promise."""
        alpha, level, risk = _number(self.conformal_alpha), _number(self.pot_level), _number(self.pot_risk)
        _require_number("conformal_alpha", self.conformal_alpha, 0.0 < alpha < 1.0, "in (0, 1)")
        _require_number("pot_level", self.pot_level, 0.0 < level < 100.0, "in (0, 100)")
        beyond = (100.0 - level) / 100.0
        holds = LEAST_RISK <= risk < beyond
        between = f"at least {LEAST_RISK:g} and less than {beyond:.6g}, the share above detection.pot_level"
        _require_number("pot_risk", self.pot_risk, holds, between)
        budget, spread = _number(self.alarms_per_node_day), _number(self.summary_spread)
        _require_number("alarms_per_node_day", self.alarms_per_node_day, 0.0 <= budget < math.inf, "0 or more, finite")
        _require_number("summary_spread", self.summary_spread, 0.0 < spread < math.inf, "positive and finite")


def _number(value: Any) -> float:
    """The value as a float; NaN, which fails every range, where it is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _require_number(key: str, value: Any, holds: bool, must_be: str) -> None:
    if not holds:
        raise ConfigError(f"detection.{key}: must be {must_be}; got {value!r}")


def _require_known(key: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"detection.{key}: unknown {value!r}; known: {', '.join(known)}")
