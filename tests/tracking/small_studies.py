"""Small tables of studies of fleets, made as the studies make them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.node_metrics import node_metrics
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.coldstart.tables import tables_of, write_tables
from ftl.studies.tables import differences, means
from tests.tracking.small_records import LINEAGE, NODES

STUDY_PARAMS: dict[str, Any] = {
    "coldstart": {"n_folds": 3}, "study_policies": {"n_draws": 2}, "model": {"hidden": 8},
    "datasets": {"d1": {"source": "simulated"}, "d2": {"source": "node_tables"}},
}  # fmt: skip
ARMS = ("local", "local_fleet", "zero_shot", "transfer_policy")
FULL_HOURS = 100.4


def write_coldstart(folder: Path, asked: tuple[float, ...] = (2, 8), datasets: tuple[str, ...] = ("d1", "d2")) -> None:
    """The cold start of fleets, one seed; a node without test anomalies has no F1 and no AUROC."""
    rng = np.random.default_rng(0)
    rows = []
    for dataset in datasets:
        for node in NODES:
            labels = (rng.random(60) < 0.3).astype(int) * (node != "n5")
            for hours in (*asked, None):
                for arm in ARMS:
                    better = arm != "local" or hours is None
                    score = rng.random(60) + 2.0 * better * labels
                    rows.append(
                        {
                            "dataset": dataset, "protocol": "rigorous", "seed": 0, "fold": 0, "node": node,
                            "hours": FULL_HOURS if hours is None else hours, "full": hours is None,
                            "asked_hours": np.nan if hours is None else hours, "history_rows": 24, "arm": arm,
                            "n_train_steps": 3, "participant_bytes": 80, "target_bytes": 40,
                            "action": "shared", "reason": "2 h, \"few\"", "divergence": 0.1,
                            **_judged(score, labels, 1.0),
                        }
                    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    racks = {dataset: dict.fromkeys(NODES) for dataset in datasets}
    write_tables(folder, tables_of(pd.DataFrame(rows), ColdStartSettings(hours=asked), racks))


def write_policies(folder: Path) -> None:
    """A study of one fleet whose summary names the fleet nowhere, as that of policies does."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "dataset": "d1", "protocol": "rigorous", "seed": 0, "fold": 0, "node": node, "policy": policy, "arm": arm,
            "hours": hours, **_judged(rng.random(60), (np.arange(60) % 3 == 0).astype(int), 0.8),
        }
        for policy in ("all", "top_n", "random_n")
        for arm, hours in (("zero_shot", 24.0), ("full_fine_tune", np.nan))
        for node in NODES
    )  # fmt: skip
    summary = means(rows, ["policy", "arm", "hours"])
    summary.insert(1, "ranked_by", summary["policy"].map({"top_n": "validation loss"}).fillna("nothing"))
    summary["cost"] = np.where(summary["policy"] == "all", np.inf, 1.5)
    summary["sure"] = True
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / "policies.parquet", index=False)
    summary.to_csv(folder / "policies_summary.csv", index=False)
    differences(rows, ["arm", "hours"], "policy", "random_n", {}).to_csv(
        folder / "policies_differences.csv", index=False
    )


def _judged(score: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, Any]:
    found = node_metrics(score, labels, threshold, np.arange(60), 900.0)
    return found | {"fpr": found["fp"] / (found["fp"] + found["tn"])}


def write_cards(folder: Path) -> None:
    """The parameters, and what is known of the fleets."""
    fleets = {d: {"origin": LINEAGE.origin[d], "fingerprint": LINEAGE.fingerprint(d)} for d in ("d1", "d2")}
    (folder / "fleets.json").write_text(json.dumps(fleets))
    (folder / "params.json").write_text(json.dumps(STUDY_PARAMS))
