"""A small run with every table: two nodes in the cohort, four targets, two seeds; transfer gains .1 on one node, loses
.1 on another, and changes nothing on the rest."""

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.results import results_frame
from ftl.evaluation.summary import summarise
from ftl.reporting.pictures.subject import Subject, subjects
from ftl.reporting.run_tables import RunTables

NODES = ["a", "b", "c", "d", "p", "q"]
TP = dict(zip(NODES, (2, 4, 5, 6, 8, 9), strict=True))
GAIN = {"a": 1, "b": -1, "c": 0, "d": 0}


def row(arm: str, node: str, tp: int, seed: int, cohort: tuple | None = None, role: str | None = None) -> dict:
    """A consistent row of the results table: 10 anomalies among 40 test rows, precision = recall = F1 = tp / 10."""
    policy, n, draw = cohort or (None, None, None)
    f1 = tp / 10
    return {
        "dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised", "policy": policy, "n_participants": n,
        "draw": draw, "seed": seed, "arm": arm, "node": node, "role": role, "threshold": 1.0, "tp": tp, "fp": 10 - tp,
        "tn": 20 + tp, "fn": 10 - tp, "n_test_rows": 40, "n_test_anomalies": 10, "precision": f1, "recall": f1,
        "tnr": (20 + tp) / 30, "f1": f1, "mcc": f1, "accuracy": (20 + 2 * tp) / 40, "auroc": 0.5 + f1 / 2, "auprc": f1,
        "vus_pr": f1, "event_recall": f1, "detection_delay": 1.0, "alarms_per_node_day": 2.0,
        "bytes_sent": 8000 if role == "participant" else 0,
        "bytes_received": 8000 if role == "participant" else 500 if role == "target" else 0,
    }  # fmt: skip


def results() -> pd.DataFrame:
    rows = []
    for seed in (0, 1):
        for node, tp in TP.items():
            rows += [row("local", node, tp, seed), row("local_long", node, tp + (node == "a"), seed)]
            rows.append(row("pca", node, 3, seed))
        for n in (2, 3):
            cohort = ("top_n", n, 0)
            members = NODES[-n:]
            rows += [row("zero_shot", node, 3, seed, cohort, "participant") for node in members]
            for node in NODES[:-n]:
                tp = TP[node] + GAIN[node]
                rows.append(row("zero_shot", node, 1, seed, cohort, "target"))
                rows.append(row("transfer", node, tp, seed, cohort, "target"))
                rows.append(row("full_fine_tune", node, tp, seed, cohort, "target"))
    return results_frame(rows)


def pairs() -> pd.DataFrame:
    rows = [
        {"dataset": "d1", "paradigm": "unsupervised", "seed": seed, "node_a": a, "node_b": b, "cosine": 0.5,
         "cka": 1 - abs(i - j) / 10 + seed / 100}
        for seed in (0, 1) for i, a in enumerate(NODES) for j, b in enumerate(NODES) if i < j
    ]  # fmt: skip
    return pd.DataFrame(rows)


def timelines(n: int = 60) -> pd.DataFrame:
    """Two nodes; the threshold is .5, rows 10 to 14 are an event found by transfer alone, row 30 is a false alarm."""
    label = np.zeros(n, dtype="int8")
    label[10:15] = 1
    frames = []
    for node in ("a", "b"):
        for arm in ("transfer", "local"):
            score = np.linspace(0.1, 0.2, n)
            score[30] = 0.9
            if arm == "transfer":
                score[10:15] = 0.8
            frames.append(
                pd.DataFrame(
                    {
                        "dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised",
                        "policy": "top_n" if arm == "transfer" else None,
                        "n_participants": 2 if arm == "transfer" else None, "draw": 0 if arm == "transfer" else None,
                        "seed": 0, "arm": arm, "node": node, "role": "target" if arm == "transfer" else None,
                        "time": 1_660_000_000 + 900 * np.arange(n), "score": score, "threshold": 0.5, "label": label,
                    }
                )
            )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def costs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset": "d1", "stage": ["transfer", "local", "local"], "unit": ["u", "u0", "u1"],
            "paradigm": "unsupervised", "seed": [0, 0, 1], "wall_seconds": [1.0, 2.0, 3.0],
            "cpu_seconds": [2.0, 4.0, 6.0], "peak_memory_bytes": [1e8, 3e8, 2e8], "energy_wh": np.nan,
            "energy_source": "not measured",
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def run() -> RunTables:
    table = results()
    return RunTables(
        results=table,
        summary=summarise(table),
        rounds=pd.DataFrame(
            [
                {"dataset": "d1", "paradigm": "unsupervised", "policy": "top_n", "n_participants": n, "draw": 0,
                 "seed": seed, "round": r, "train_loss": (1 + seed) / r}
                for n in (2, 3) for seed in (0, 1) for r in range(1, 11)
            ]
        ),
        costs=costs(),
        similarity=pairs(),
        projection=pd.DataFrame(
            {
                "dataset": "d1", "node": NODES, "x": np.arange(6.0), "y": [0.0, 1, 0, 1, 0, 1], "share_x": 0.6,
                "share_y": 0.2, "distance": [3.0, 2, 1, 1, 2, 3],
            }
        ),
        timelines=timelines(),
        fleets={"d1": {"origin": "simulated", "time_unit": "seconds", "node_ids": NODES, "racks": None}},
        tuning={
            "study": "threshold", "dataset": "d1", "objectives": ["f1", "bytes"],
            "directions": ["maximize", "minimize"],
            "history": [[0, 0.5, "COMPLETE"], [1, None, "FAIL"], [2, 0.4, "PRUNED"], [3, 0.7, "COMPLETE"]],
            "pareto": [{"number": 0, "values": [0.5, 10.0]}, {"number": 3, "values": [0.7, 90.0]}],
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def subject(run: RunTables) -> Subject:
    (only,) = subjects(run)
    return only
