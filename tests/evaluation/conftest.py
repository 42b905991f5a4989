"""A results row from four counts: enough to write small tables whose numbers can be checked by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from ftl.evaluation.confusion import Confusion

ResultRow = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def result_row() -> ResultRow:
    def make(arm: str, node: str, counts: tuple[int, int, int, int], seed: int = 0, **others: Any) -> dict[str, Any]:
        """counts = (tp, fp, tn, fn); everything else that a row needs has a default and can be given by name."""
        c = Confusion(*counts)
        has_anomalies = c.n_anomalies > 0
        row = {"dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised", "policy": None}
        row |= {"n_participants": None, "draw": None, "seed": seed, "arm": arm, "node": node, "threshold": 0.5}
        row |= {name: getattr(c, name) for name in ("tp", "fp", "tn", "fn", "precision", "recall", "tnr", "f1")}
        row |= {"mcc": c.mcc, "accuracy": c.accuracy, "n_test_rows": c.n_rows, "n_test_anomalies": c.n_anomalies}
        for name in ("auroc", "auprc", "vus_pr", "event_recall", "detection_delay"):
            row[name] = 0.5 if has_anomalies else float("nan")
        return row | {"alarms_per_node_day": 1.0} | others

    return make


@pytest.fixture(scope="session")
def cohort() -> Callable[..., dict[str, Any]]:
    def make(role: str, policy: str = "top_n", n_participants: int = 1, draw: int | None = 0) -> dict[str, Any]:
        return {"policy": policy, "n_participants": n_participants, "draw": draw, "role": role}

    return make
