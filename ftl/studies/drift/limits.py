"""The threshold of every row of a node, by each rule and at any percentile."""

from dataclasses import dataclass, replace

import numpy as np

from ftl.detection.calibration import CalibrationScores, FleetScores, ScoreSums
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import NEEDS_FLEET, THRESHOLDS, TRAILING, row_thresholds
from ftl.detection.trailing import Trailing
from ftl.studies.alarms import Scored
from ftl.studies.telemetry import NodeTelemetry

MOST = 0.8
"""Share of a window's rows that are there even where some are missing."""


@dataclass(frozen=True)
class Limits:
    """How thresholds are set.

    Attributes:
        detection: Percentile, trailing days and lag.
        seconds_per_unit: Of the fleet's time.
        window: Length of a window in units of time.
    """

    detection: DetectionSettings
    seconds_per_unit: float
    window: float

    def check(self) -> None:
        """Refuse trailing days that hold too few rows for the percentile, before anything is trained.

        Raises:
            UserError: If they do.
        """
        self._trailing(self.detection.percentile).check_spacing(self.window)

    def of(self, rule: str, node: NodeTelemetry, scored: Scored, fleet: tuple[float, ...]) -> float | np.ndarray:
        """The threshold of a node's test rows under a rule, as an experiment sets it: one, or one per row (T',).

        Args:
            fleet: Percentiles that participants have sent, of their own scores.
        """
        return row_thresholds(
            rule, self._calibration(rule, node, scored, fleet), self.detection, scored.judged, node.test_time
        )

    def at(
        self, percentile: float, rule: str, node: NodeTelemetry, scored: Scored, fleet: tuple[float, ...]
    ) -> float | np.ndarray:
        """The same at another percentile: the floor follows it all the way, the trailing percentile as far as the
        trailing days can tell it."""
        settings = replace(self.detection, percentile=percentile)
        floor = THRESHOLDS[rule](self._calibration(rule, node, scored, fleet), settings)
        if rule not in TRAILING:
            return floor
        follows = max(min(percentile, self._highest()), min(percentile, self.detection.percentile))
        found: float | np.ndarray = floor
        for level in {follows, min(percentile, self.detection.percentile)}:  # the lower one where rows are missing
            trailing = self._trailing(level)
            found = np.fmax(
                found, trailing.thresholds(floor, scored.judged, node.test_time, scored.known, node.history_time)
            )
        return found

    def _highest(self) -> float:
        """The highest percentile that most rows of the trailing days can tell from the largest score."""
        rows = MOST * self._trailing(self.detection.percentile).window / self.window
        return 100.0 - 100.0 / max(rows, 2.0)

    def _trailing(self, percentile: float) -> Trailing:
        days, lag = self.detection.trailing_days, self.detection.trailing_lag_hours
        return Trailing.of_days(days, percentile, self.seconds_per_unit, lag)

    def _calibration(
        self, rule: str, node: NodeTelemetry, scored: Scored, fleet: tuple[float, ...]
    ) -> CalibrationScores:
        sent = FleetScores(ScoreSums.of(scored.known), ScoreSums(0, float("nan"), 0.0), fleet)
        return CalibrationScores(
            score=scored.known,
            held_out=np.zeros(len(scored.known), bool),
            time=node.history_time,
            seconds_per_unit=self.seconds_per_unit,
            fleet=sent if rule in NEEDS_FLEET else None,
        )
