"""Rows of a drift study that nobody ran: re-basing helps node a, smoothing helps all and loses events."""

import itertools

import pandas as pd

from ftl.studies.drift.combination import ALL, CURVES, DETECTORS

NODES = {"a": 0.02, "b": 0.01, "c": -0.01, "d": 0.0}
FIRED = ("a",)


def drift_rows(dataset: str = "f") -> pd.DataFrame:
    rows = []
    for (node, own), detector in itertools.product(NODES.items(), DETECTORS):
        same = {
            "dataset": dataset, "protocol": "rigorous", "seed": 0, "fold": 0, "node": node, "detector": detector,
            "drift_share": 0.2 if node in FIRED else 0.02, "drifts": node in FIRED,
        }  # fmt: skip
        for combination in ALL:
            rows.append(same | _row(node, own, combination, 98.0) | {"swept": False})
        for combination in CURVES.values():
            for percentile in (90.0, 99.0):
                rows.append(same | _row(node, own, combination, percentile) | {"swept": True})
    return pd.DataFrame(rows)


def _row(node, own, combination, percentile) -> dict:
    rebased = combination.rebase == "all" or (combination.rebase == "drifting" and node in FIRED)
    helped = (0.1 if node in FIRED else -0.05) * rebased
    trailing = combination.threshold.startswith("trailing")
    false = (100 - percentile) * (0.4 if combination.smoothed else 1.0) * (0.5 if trailing else 1.0) + own
    recall = 0.9 - 0.1 * combination.smoothed - 0.1 * trailing - (percentile - 90) / 50
    quality = 0.7 + own + helped + 0.05 * combination.smoothed
    return {
        **vars(combination), "percentile": percentile, "auroc": quality, "auprc": quality - 0.3, "f1": quality - 0.4,
        "precision": 0.5, "recall": 0.5, "fpr": 0.1 - helped / 2, "event_recall": recall,
        "alarms_per_node_day": false + 1, "false_alarms_per_node_day": false, "n_test_rows": 100.0,
        "n_test_anomalies": 10.0,
    }  # fmt: skip
