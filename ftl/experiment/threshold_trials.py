"""Many rules of alarms on the same scores: what no rule changes is computed once per node, and a trial is cheap."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ftl.data.fleet import Fleet
from ftl.detection.calibration import CalibrationScores, FleetScores
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import NEEDS_FLEET, THRESHOLDS
from ftl.evaluation.confusion import confusion
from ftl.evaluation.events import alarm_episodes, alarms_per_node_day, event_recall
from ftl.experiment.alarms import calibrated, rule_name, seconds_per_unit
from ftl.experiment.scored import ScoredNode

ALARM_METRICS = ("f1", "recall", "fpr", "alarms_per_node_day", "event_recall")


@dataclass(frozen=True)
class TrialNode:
    """A model's smoothed scores on one node, ready for any threshold.

    Attributes:
        calibration: What a threshold may look at.
        scores, label: Of the test rows whose label is known, shape (T,), in time order.
        one_alarm: Alarms per node-day of a single episode; NaN where the length of a row is not known.
    """

    scored: ScoredNode
    calibration: CalibrationScores
    scores: np.ndarray
    label: np.ndarray
    one_alarm: float

    def metrics(self, threshold: float) -> dict[str, float]:
        """ALARM_METRICS under a threshold, as in the results table."""
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
        label = np.asarray(fleet.label[rows])
        known = label >= 0
        time = np.asarray(fleet.time[rows])[known]
        one_alarm = alarms_per_node_day(np.arange(len(time)) == 0, time, seconds)
        nodes.append(TrialNode(node, calibration, scores[known], label[known], one_alarm))
    return nodes


def trial(nodes: Iterable[TrialNode], detection: DetectionSettings, protocol: str) -> Iterator[tuple[TrialNode, float]]:
    """Each node and its threshold under these rules; smoothing is that of the nodes, whatever the rules say.

    Raises:
        UserError: If a rule cannot be used on these scores.
    """
    nodes = list(nodes)
    names = [rule_name(node.scored, protocol, detection) for node in nodes]
    sums: Mapping[tuple[Any, ...], FleetScores] = {}
    if NEEDS_FLEET & set(names):
        sums = _sums([node for node, name in zip(nodes, names, strict=True) if name in NEEDS_FLEET])
    for node, name in zip(nodes, names, strict=True):
        known = node.calibration
        calibration = replace(known, fleet=sums.get(node.scored.run)) if name in NEEDS_FLEET else known
        yield node, THRESHOLDS[name](calibration, detection)


def _sums(nodes: Iterable[TrialNode]) -> dict[tuple[Any, ...], FleetScores]:
    """By run, what its nodes send each other."""
    sums: dict[tuple[Any, ...], FleetScores] = {}
    for node in nodes:
        own, run = node.calibration.sums(), node.scored.run
        sums[run] = sums[run] + own if run in sums else own
    return sums
