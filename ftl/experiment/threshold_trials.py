"""Many rules of alarms on the same scores: what no rule changes is computed once per node, and a trial is cheap."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ftl.data.fleet import Fleet
from ftl.detection.calibration import CalibrationScores
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import NEEDS_FLEET, row_thresholds
from ftl.evaluation.confusion import confusion
from ftl.evaluation.events import alarm_episodes, alarms_per_node_day, event_recall
from ftl.experiment.alarms import calibrated, rule_name, seconds_per_unit
from ftl.experiment.fleet_reports import FleetReports
from ftl.experiment.scored import ScoredNode

ALARM_METRICS = ("f1", "recall", "fpr", "alarms_per_node_day", "event_recall")


@dataclass(frozen=True)
class TrialNode:
    """A model's smoothed scores on one node, ready for any threshold.

    Attributes:
        calibration: What a threshold may look at.
        all_scores, all_time: Of all test rows, in time order: those of unknown label have a say in what is usual.
        known: Those whose label is known, bool; T of them.
        label: Of these, shape (T,).
        one_alarm: Alarms per node-day of a single episode; NaN where the length of a row is not known.
    """

    scored: ScoredNode
    calibration: CalibrationScores
    all_scores: np.ndarray
    all_time: np.ndarray
    known: np.ndarray
    label: np.ndarray
    one_alarm: float

    @property
    def scores(self) -> np.ndarray:
        """Of the rows of known label, shape (T,), in time order."""
        return self.all_scores[self.known]

    def metrics(self, threshold: float | np.ndarray) -> dict[str, float]:
        """ALARM_METRICS under one threshold, or those of the rows of known label (T,), as in the results table."""
        flagged = self.scores > threshold
        counts = confusion(flagged, self.label)
        return {
            "f1": counts.f1,
            "recall": counts.recall,
            "fpr": 1 - counts.tnr,
            "alarms_per_node_day": alarm_episodes(flagged) * self.one_alarm,
            "event_recall": event_recall(flagged, self.label),
        }


def trial_nodes(fleet: Fleet, scored: Iterable[ScoredNode], half_life: float) -> list[TrialNode]:
    """Scored nodes made ready for trials of thresholds under one smoothing."""
    seconds = seconds_per_unit(fleet)
    nodes = []
    for node in scored:
        calibration, scores, rows = calibrated(fleet, node, half_life)
        label, time = np.asarray(fleet.label[rows]), np.asarray(fleet.time[rows])
        known = label >= 0
        one_alarm = alarms_per_node_day(np.arange(known.sum()) == 0, time[known], seconds)
        nodes.append(TrialNode(node, calibration, scores, time, known, label[known], one_alarm))
    return nodes


def trial(
    nodes: Iterable[TrialNode], detection: DetectionSettings, protocol: str, speakers: Iterable[TrialNode] = ()
) -> Iterator[tuple[TrialNode, float | np.ndarray]]:
    """Each node and its threshold under these rules, or those of its rows of known label (T,).

    Smoothing is that of the nodes, whatever the rules say.

    Args:
        speakers: Other nodes, not tried themselves, whose numbers are heard where a rule looks over the fleet.

    Raises:
        UserError: If a rule cannot be used on these scores.
    """
    nodes = list(nodes)
    names = [rule_name(node.scored, protocol, detection) for node in nodes]
    reports = FleetReports(detection)
    if NEEDS_FLEET & set(names):
        for node in (*nodes, *speakers):
            if rule_name(node.scored, protocol, detection) in NEEDS_FLEET:
                reports.add(node.scored, node.calibration)
    for node, name in zip(nodes, names, strict=True):
        sent = reports.heard_by(node.scored) if name in NEEDS_FLEET else None
        calibration = replace(node.calibration, fleet=sent)
        threshold = row_thresholds(name, calibration, detection, node.all_scores, node.all_time)
        yield node, threshold if isinstance(threshold, float) else threshold[node.known]
