"""What a study maximises, and what it may minimise beside it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ftl.evaluation.confusion import confusion
from ftl.evaluation.events import alarms_per_node_day
from ftl.evaluation.ranking import auroc, average_precision

METRICS = ("f1", "precision", "recall", "mcc", "auroc", "auprc", "alarms_per_node_day")
RANKING_METRICS = {"auroc": auroc, "auprc": average_precision}
OBJECTIVES = ("f1", "delta_f1", "auprc", "auroc", "mcc", "f1_at_budget")
"""Means over nodes: of the arm's metric, or (``delta_f1``) of its difference to the node's local model.

``f1_at_budget`` is F1, counted as 0 on a node that raises more alarms per day than `tune.alarm_budget`.
"""
COSTS = ("bytes", "seconds", "energy_wh")
"""``bytes``: what a federation's clients send and receive and its targets receive; exact. ``seconds``, ``energy_wh``:
CPU seconds and energy of training and scoring, measured, so that two runs of one study differ by what a meter says."""


@dataclass(frozen=True)
class NodeAlarms:
    """One model's scores and threshold on one node's judged rows of known label.

    Attributes:
        score: Smoothed scores, shape (T,).
        label: 0 or 1, shape (T,).
        time: Shape (T,).
        threshold: One number, or one per row, shape (T,).
        seconds_per_unit: Seconds of one unit of time, None where unknown.
    """

    score: np.ndarray
    label: np.ndarray
    time: np.ndarray
    threshold: float | np.ndarray
    seconds_per_unit: float | None

    def metric(self, name: str) -> float:
        """One of METRICS; NaN where undefined, as :func:`ftl.evaluation.node_metrics.node_metrics` has it."""
        if name in RANKING_METRICS:
            return RANKING_METRICS[name](self.score, self.label)
        flagged = self.score > self.threshold
        if name == "alarms_per_node_day":
            return alarms_per_node_day(flagged, self.time, self.seconds_per_unit)
        return float(getattr(confusion(flagged, self.label), name))


NodeObjective = Callable[[NodeAlarms], float]


def node_objective(objective: str, alarm_budget: float) -> NodeObjective:
    """The objective of one model on one node; of ``delta_f1`` the minuend."""
    if objective != "f1_at_budget":
        metric = "f1" if objective == "delta_f1" else objective
        return lambda alarms: alarms.metric(metric)

    def f1_at_budget(alarms: NodeAlarms) -> float:
        f1 = alarms.metric("f1")
        return f1 if np.isnan(f1) or alarms.metric("alarms_per_node_day") <= alarm_budget else 0.0

    return f1_at_budget
