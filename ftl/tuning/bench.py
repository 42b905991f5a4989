"""Stored scores in memory, from which any rule of alarms is judged in milliseconds: nothing is trained here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ftl.data.fleet import Fleet
from ftl.detection.calibration import CalibrationScores, FleetScores
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import NEEDS_FLEET, row_thresholds
from ftl.experiment.alarms import calibrated, rule_name, seconds_per_unit
from ftl.experiment.fleet_reports import FleetReports, heard, speaks
from ftl.experiment.scored import ScoredNode
from ftl.tuning.objectives import METRICS, RANKING_METRICS, NodeAlarms, NodeObjective, node_objective

HALF_LIVES_KEPT = 16


@dataclass(frozen=True)
class _Smoothed:
    """A model's scores on one node under one half-life: of all test rows, and which of them have a known label."""

    calibration: CalibrationScores
    all_scores: np.ndarray
    all_time: np.ndarray
    known: np.ndarray
    label: np.ndarray  # of the rows of known label, like score and time

    @property
    def score(self) -> np.ndarray:
        return self.all_scores[self.known]

    @property
    def time(self) -> np.ndarray:
        return self.all_time[self.known]


class ThresholdBench:
    """Scored nodes of one fleet, and what each rule of alarms makes of them.

    Args:
        fleet: The fleet whose TEST part was scored.
        scored: Models' scores on nodes, all of the arms that are asked for.
    """

    def __init__(self, fleet: Fleet, scored: Iterable[ScoredNode]) -> None:
        self.fleet = fleet
        self.scored = list(scored)
        self.seconds_per_unit = seconds_per_unit(fleet)
        self._smoothed: dict[float, list[_Smoothed | None]] = {}
        self._rankings: dict[tuple[int, float, str], float] = {}

    def extend(self, scored: Iterable[ScoredNode]) -> None:
        """Take in more scored nodes."""
        self.scored += scored

    def of(self, arm: str, role: str | None) -> list[int]:
        """Numbers of the scored nodes of an arm in a role."""
        return [number for number, one in enumerate(self.scored) if one.arm == arm and one.role == role]

    def node_values(
        self, numbers: Sequence[int], detection: DetectionSettings, objective: str, alarm_budget: float = 1.0
    ) -> dict[int, float]:
        """By node, the mean over draws and seeds of an objective (of ``delta_f1`` the minuend) or one of METRICS.

        Nodes where it is undefined (no anomaly to be found) are not in it.
        """
        metric = objective if objective in METRICS else None
        judge = None if metric else node_objective(objective, alarm_budget)
        reports = self._reports(numbers, detection)
        found: dict[int, list[float]] = {}
        for number in numbers:
            one = self.scored[number]
            value = self._value(number, detection, reports.heard_by(one), metric, judge)
            if not np.isnan(value):
                found.setdefault(one.node, []).append(value)
        return {node: float(np.mean(values)) for node, values in sorted(found.items())}

    def _value(
        self,
        number: int,
        detection: DetectionSettings,
        sums: FleetScores | None,
        metric: str | None,
        judge: NodeObjective | None,
    ) -> float:
        half_life = detection.smoothing_half_life
        key = (number, half_life, metric or "")
        if key in self._rankings:
            return self._rankings[key]
        alarms = self._alarms(number, detection, sums, ranks_alone=metric in RANKING_METRICS)
        value = judge(alarms) if judge is not None else alarms.metric(metric or "f1")
        if metric in RANKING_METRICS:
            self._rankings[key] = value
        return value

    def _alarms(
        self, number: int, detection: DetectionSettings, sums: FleetScores | None, ranks_alone: bool
    ) -> NodeAlarms:
        smoothed = self._of_half_life(number, detection.smoothing_half_life)
        threshold: float | np.ndarray = np.inf
        if not ranks_alone:
            calibration = smoothed.calibration
            if sums is not None:
                calibration = CalibrationScores(**{**vars(calibration), "fleet": sums})
            name = rule_name(self.scored[number], self.fleet.protocol, detection)
            threshold = row_thresholds(name, calibration, detection, smoothed.all_scores, smoothed.all_time)
            threshold = threshold if isinstance(threshold, float) else threshold[smoothed.known]
        return NodeAlarms(smoothed.score, smoothed.label, smoothed.time, threshold, self.seconds_per_unit)

    def _reports(self, numbers: Sequence[int], detection: DetectionSettings) -> FleetReports:
        """What nodes have sent each other; nothing where the rule does not ask for it."""
        reports = FleetReports(detection)
        if detection.threshold not in NEEDS_FLEET:
            return reports
        listened_to = heard(self.scored[number] for number in numbers)
        for number, one in enumerate(self.scored):
            if speaks(one, listened_to):
                reports.add(one, self._of_half_life(number, detection.smoothing_half_life).calibration)
        return reports

    def _of_half_life(self, number: int, half_life: float) -> _Smoothed:
        if half_life not in self._smoothed:
            if len(self._smoothed) >= HALF_LIVES_KEPT:
                del self._smoothed[next(iter(self._smoothed))]
            self._smoothed[half_life] = []
        kept = self._smoothed[half_life]
        kept += [None] * (len(self.scored) - len(kept))
        found = kept[number]
        if found is None:
            calibration, scores, rows = calibrated(self.fleet, self.scored[number], half_life)
            label = np.asarray(self.fleet.label[rows])
            known = label >= 0
            time = np.asarray(self.fleet.time[rows])
            found = kept[number] = _Smoothed(calibration, scores, time, known, label[known])
        return found
