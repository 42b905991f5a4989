"""A small cold start, made up: six nodes, four lengths of history, two seeds. Nothing was trained for it."""

import numpy as np
import pandas as pd

from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.coldstart.tables import ColdStartTables, tables_of

NODES = [f"{k:03d}" for k in range(6)]
LENGTHS = ((2.0, 2.0), (24.0, 24.0), (168.0, 168.0), (np.nan, 500.0))  # asked, real
F1 = {  # of each arm at each length; usable from .36 on, 90 % of what local has with the whole history
    "local": (0.05, 0.2, 0.3, 0.4),
    "local_fleet": (0.1, 0.35, 0.4, 0.4),
    "local_rehearsed": (0.2, 0.37, 0.4, 0.4),
    "zero_shot": (0.3, 0.38, 0.38, 0.38),
    "federated_pca": (0.3, 0.34, 0.38, 0.38),
    "transfer_policy": (0.38, 0.4, 0.4, 0.4),
}
BYTES = {"local": (0, 0), "federated_pca": (4000, 1200), "transfer_policy": (700_000, 150_000)}
SHIFT = dict(zip(NODES, (-0.02, -0.01, 0.0, 0.0, 0.01, 0.02), strict=True))
CARD = {"origin": "real", "protocol": "rigorous", "node_ids": NODES, "racks": [None] * 6, "n_features": 10}


def rows(dataset: str = "d1") -> pd.DataFrame:
    """Nodes differ in the policy's gain: node k has SHIFT[k] more F1 under it than the mean."""
    found = []
    for number, (asked, hours) in enumerate(LENGTHS):
        for arm, f1s in F1.items():
            for seed in (0, 1):
                for node in NODES:
                    f1 = f1s[number] + (SHIFT[node] if arm == "transfer_policy" else 0.0)
                    sent, received = BYTES.get(arm, (900, 500))
                    action = ("shared and own" if hours < 24 else "mostly own") if arm == "transfer_policy" else None
                    reason = f"{hours:g} h of history: {100 + int(node)} rows" if action else None
                    if action and node == NODES[0]:
                        reason = "no scale in common"
                    found.append(
                        {
                            "dataset": dataset, "protocol": "rigorous", "seed": seed, "fold": 0, "node": node,
                            "rebased": False, "hours": hours, "full": np.isnan(asked), "asked_hours": asked,
                            "history_rows": int(hours * 12), "arm": arm, "threshold": 1.0, "n_train_steps": 0,
                            "training_seconds": 0.0, "participant_bytes": sent, "target_bytes": received, "f1": f1,
                            "precision": f1, "recall": f1, "fpr": 0.9 if f1 < 0.15 else 0.04, "auroc": 0.6 + f1 / 2,
                            "auprc": f1, "event_recall": 0.5, "alarms_per_node_day": 1.0, "n_test_rows": 100.0,
                            "n_test_anomalies": 5.0, "action": action, "reason": reason,
                            "divergence": 0.5 if action else np.nan,
                        }
                    )  # fmt: skip
    return pd.DataFrame(found)


def synthetic_coldstart(dataset: str = "d1") -> ColdStartTables:
    return tables_of(rows(dataset), ColdStartSettings(), {})
