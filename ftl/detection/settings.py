"""How scores become alarms: the `detection` section of params.yaml."""

import math
from dataclasses import dataclass
from typing import Any

from ftl.detection.scores import ANOMALY_SCORES, VARIANCE_FLOOR
from ftl.detection.thresholds import THRESHOLDS
from ftl.errors import ConfigError


@dataclass(frozen=True)
class DetectionSettings:
    """Which anomaly score, which threshold, and how scores are smoothed over time.

    Args:
        score: A key of ANOMALY_SCORES; what reconstructions are judged by (classifiers give their probability instead).
        threshold: `protocol` (what PROTOCOL_THRESHOLDS says) or a key of THRESHOLDS, then used for every paradigm.
        percentile: Percentile of the training scores, in (0, 100].
        fixed_threshold: The number that `fixed` and `fixed_on_scaled` use.
        smoothing_half_life: Half-life of the causal mean over scores, in telemetry windows; 0 switches it off.
        variance_floor: Added to a feature's residual variance, in squared scaled units; positive.

    Raises:
        ConfigError: If a value is of the wrong kind, unknown or out of range; the message names the key.
    """

    score: str = "nres"
    threshold: str = "protocol"
    percentile: float = 98.0
    fixed_threshold: float = 0.5
    smoothing_half_life: float = 0.0
    variance_floor: float = VARIANCE_FLOOR

    def __post_init__(self) -> None:
        _require_known("score", self.score, (*ANOMALY_SCORES,))
        _require_known("threshold", self.threshold, ("protocol", *THRESHOLDS))
        _require_number("percentile", self.percentile, 0.0 < _number(self.percentile) <= 100.0, "in (0, 100]")
        _require_number("fixed_threshold", self.fixed_threshold, math.isfinite(_number(self.fixed_threshold)), "finite")
        half_life = _number(self.smoothing_half_life)
        _require_number(
            "smoothing_half_life",
            self.smoothing_half_life,
            0.0 <= half_life < math.inf,
            "a finite number of windows, 0 (off) or more",
        )
        floor = _number(self.variance_floor)
        _require_number("variance_floor", self.variance_floor, 0.0 < floor < math.inf, "positive and finite")


def _number(value: Any) -> float:
    """The value as a float; NaN, which fails every range, where it is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _require_number(key: str, value: Any, holds: bool, must_be: str) -> None:
    if not holds:
        raise ConfigError(f"detection.{key}: must be {must_be}; got {value!r}")


def _require_known(key: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"detection.{key}: unknown {value!r}; known: {', '.join(known)}")
