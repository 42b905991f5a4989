"""A fleet of four nodes: two wander from level to level while they are normal, two stay where they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

WANDERING = ("n0", "n2")
N_NODES, N_ROWS, WINDOW_MINUTES, A_DAY = 4, 1300, 30, 48
BURSTS = ((1060, 6), (1130, 5), (1200, 6), (1260, 5))  # all in the test part

SMALL = (
    "model.hidden=[6,4]", "model.latent=4", "study_drift.n_folds=2", "study_drift.n_participants=2",
    "study_drift.n_rounds=1", "study_drift.steps_per_round=20", "study_drift.local_steps=60",
    "study_drift.smoothing_minutes=60", "study_drift.curve_percentiles=[90, 98]",
)  # fmt: skip
"""The study on few and small models, as -S takes it."""


def node_table(node: int, wanders: bool) -> pd.DataFrame:
    """A daily load that all features follow, bursts that last a few rows, and levels that move slowly or not at all."""
    random = np.random.default_rng(node)
    step = np.arange(N_ROWS)
    load = np.sin(2 * np.pi * (step + 7 * node) / A_DAY)[:, None]
    values = np.array([1.0, 0.5, 2.0, 1.5]) * load + random.normal(0, 0.2, (N_ROWS, 4))
    if wanders:
        late = np.maximum(step[:, None] / N_ROWS - np.array([0.3, 0.4, 0.5, 0.6]), 0.0)
        values += 12 * late * np.array([1.0, -1.0, 1.0, -1.0])
    label = np.zeros(N_ROWS, np.int8)
    for first, length in BURSTS:
        label[first + node : first + node + length] = 1
    values[label == 1] += np.array([2.0, 2.0, 0.0, 0.0])
    named = dict(zip(("fan", "power", "temperature", "traffic"), values.T, strict=True))
    return pd.DataFrame({"step": step, **named, "label": label})


def write_telemetry(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for node in range(N_NODES):
        node_table(node, f"n{node}" in WANDERING).to_parquet(folder / f"n{node}.parquet", index=False)
    (folder / "fleet.yaml").write_text(yaml.safe_dump({"window_minutes": WINDOW_MINUTES, "origin": "simulated"}))
    return folder
