"""What a study's row says of one model's alarms on one node."""

import numpy as np

from ftl.evaluation.confusion import confusion
from ftl.evaluation.events import alarms_per_node_day, event_recall
from ftl.evaluation.ranking import auroc, average_precision, rank
from ftl.studies.telemetry import NodeTelemetry

METRICS = (
    "f1",
    "precision",
    "recall",
    "fpr",
    "auroc",
    "auprc",
    "event_recall",
    "alarms_per_node_day",
    "n_test_rows",
    "n_test_anomalies",
)


def judge(
    node: NodeTelemetry, score: np.ndarray, threshold: float | np.ndarray, seconds_per_unit: float
) -> dict[str, float]:
    """Metrics of scores (T,) of a node's test rows; rows of unknown label are left out.

    Args:
        threshold: One, or one per row, (T,); a row is flagged if its score is greater.

    Returns:
        :data:`METRICS`, NaN where undefined: a node without test anomalies has only fpr and the alarm rate.
    """
    known = node.test_label >= 0
    label, of_known, time = node.test_label[known], score[known], node.test_time[known]
    flagged = (score > threshold)[known]
    counts, ranking = confusion(flagged, label), rank(of_known)
    return {
        "f1": counts.f1,
        "precision": counts.precision,
        "recall": counts.recall,
        "fpr": 1.0 - counts.tnr,
        "auroc": auroc(of_known, label, ranking),
        "auprc": average_precision(of_known, label, ranking),
        "event_recall": event_recall(flagged, label),
        "alarms_per_node_day": alarms_per_node_day(flagged, time, seconds_per_unit),
        "n_test_rows": float(counts.n_rows),
        "n_test_anomalies": float(counts.n_anomalies),
    }
