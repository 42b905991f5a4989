"""All metrics of one detector on one node: the part of a results row that follows from scores and labels."""

import numpy as np

from ftl.evaluation.confusion import confusion
from ftl.evaluation.events import alarms_per_node_day, detection_delay, event_recall
from ftl.evaluation.ranking import auroc, average_precision, rank, vus_pr


def node_metrics(
    score: np.ndarray,
    label: np.ndarray,
    threshold: float | np.ndarray,
    time: np.ndarray,
    seconds_per_unit: float | None,
) -> dict[str, float | int]:
    """Counts, threshold metrics, ranking metrics and event metrics of one node's test rows.

    Args:
        score: Anomaly score (T,) float64; larger is more anomalous. Infinite is allowed, NaN is not.
        label: (T,), 0 normal or 1 anomalous; rows of unknown label are removed, and counted, by the caller.
        threshold: A row is flagged if its score is greater; one number, or one per row, shape (T,).
        time: (T,) int64 in time order: epoch seconds, or step numbers.
        seconds_per_unit: 1 for epoch seconds, the window length for step numbers, None where it is unknown.

    Returns:
        tp, fp, tn, fn, precision, recall, tnr, f1, mcc, accuracy, auroc, auprc (average precision), vus_pr,
        event_recall, detection_delay (windows), alarms_per_node_day, n_test_rows, n_test_anomalies. NaN where
        undefined: without test anomalies only tnr, accuracy and the alarm rate are left.

    Raises:
        ValueError: If lengths differ, a label is neither 0 nor 1, or a score or the threshold is NaN.
    """
    score, label = np.asarray(score, dtype=np.float64), np.asarray(label)
    _check(score, label, threshold, time)
    flagged = score > threshold
    counts = confusion(flagged, label)
    ranking = rank(score)
    return {
        "tp": counts.tp,
        "fp": counts.fp,
        "tn": counts.tn,
        "fn": counts.fn,
        "precision": counts.precision,
        "recall": counts.recall,
        "tnr": counts.tnr,
        "f1": counts.f1,
        "mcc": counts.mcc,
        "accuracy": counts.accuracy,
        "auroc": auroc(score, label, ranking),
        "auprc": average_precision(score, label, ranking),
        "vus_pr": vus_pr(score, label, ranking),
        "event_recall": event_recall(flagged, label),
        "detection_delay": detection_delay(flagged, label),
        "alarms_per_node_day": alarms_per_node_day(flagged, time, seconds_per_unit),
        "n_test_rows": counts.n_rows,
        "n_test_anomalies": counts.n_anomalies,
    }


def _check(score: np.ndarray, label: np.ndarray, threshold: float | np.ndarray, time: np.ndarray) -> None:
    if not score.shape == label.shape == time.shape or score.ndim != 1:
        raise ValueError(
            f"score, label and time must be vectors of one length; got {score.shape}, {label.shape}, {time.shape}"
        )
    unknown = label[(label != 0) & (label != 1)]
    if len(unknown):
        raise ValueError(
            f"label must be 0 or 1; {len(unknown)} of {len(label)} rows are not, first {unknown[0].item()!r}: "
            "remove rows of unknown label before scoring, and count them"
        )
    n_nan = int(np.count_nonzero(np.isnan(score)))
    if n_nan:
        raise ValueError(f"score must not be NaN; {n_nan} of {len(score)} rows are: did training diverge?")
    if np.shape(threshold) not in ((), score.shape):
        raise ValueError(f"threshold must be one number or one per row; got {np.shape(threshold)} for {score.shape}")
    if np.isnan(threshold).any():
        raise ValueError("threshold must be a number; got NaN (+inf is the threshold that never flags)")
