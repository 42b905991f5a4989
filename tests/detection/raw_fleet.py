"""A fleet with all that makes raw rows differ from model rows, and a detector of it with models of no training."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ftl.data.fleet import Fleet
from ftl.data.fleet_folder import FleetFolder
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.detection.card import Card, NodeCard, ScalerCard, ScoreCard
from ftl.detection.detector import Detector
from ftl.detection.model_folder import FITTED
from ftl.detection.raw_rows import columns_of_node, rules_of
from ftl.models.network import ModelSettings, initial_state
from ftl.models.state import join

N_ROWS = 300
MODEL = ModelSettings(hidden=(6, 4), latent=4)
CORES = {"n0": (0, 3, 5), "n1": (1, 2, 7), "n2": (4, 5, 6)}


def raw_table(node: str) -> pd.DataFrame:
    """Missing values, alone and together, rows without any, a counter that restarts, a constant and a wide column."""
    random = np.random.default_rng(sum(map(ord, node)))
    values = {name: random.normal(50, 5, N_ROWS) for name in ("fan_avg", "fan_std", "power")}
    values["bytes"] = np.exp(random.normal(12, 2, N_ROWS))
    values["errors"] = np.cumsum(random.poisson(1.5, N_ROWS)).astype(float)
    values["errors"][170:] -= values["errors"][170]
    values["firmware"] = np.full(N_ROWS, 7.0)
    values |= {f"p0_core{core}_temp": random.normal(60 + core, 3, N_ROWS) for core in CORES[node]}
    table = pd.DataFrame(values)
    table.loc[random.random(N_ROWS) < 0.05, ["fan_avg", "fan_std"]] = np.nan
    table.loc[random.random(N_ROWS) < 0.04, "errors"] = np.nan
    for first in (40, 120, 265):
        table.loc[first : first + 7, "power"] = np.nan
    table.loc[random.random(N_ROWS) < 0.03, :] = np.nan
    label = (random.random(N_ROWS) < 0.05).astype(int)
    time = pd.date_range("2024-03-01", periods=N_ROWS, freq="15min", tz="UTC")
    whole = pd.DataFrame({"timestamp": time, **table, "label": label})
    return whole.drop(index=range(200, 206))  # a gap in time, in which nothing may be carried


def tables() -> dict[str, pd.DataFrame]:
    """One node lacks a column that the others have."""
    found = {node: raw_table(node) for node in CORES}
    found["n2"] = found["n2"].drop(columns="power")
    return found


def write_tables(folder: Path, of_nodes: dict[str, pd.DataFrame], **description: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in of_nodes.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    if description:
        (folder / "fleet.yaml").write_text(yaml.safe_dump(description))
    return folder


def prepared(folder: Path, of_nodes: dict[str, pd.DataFrame], **settings: Any) -> Fleet:
    description = settings.pop("description", {})
    source = FleetFolder(write_tables(folder / "toy", of_nodes, **description))
    chosen = PrepareSettings(**{"max_missing": 0.5, "fill_limit": 4, **settings})
    return prepare_fleet(source, chosen, "rigorous", folder / "fleet")


def untrained(fleet: Fleet, score: str = "nres", half_life: float = 0.0, threshold: float = 1.0) -> Detector:
    """Random models; a classifier where the score is ``probability``."""
    kind = "classifier" if score == "probability" else "autoencoder"
    rules, n_features = rules_of(fleet), len(fleet.features)
    card = Card(
        dataset=fleet.name, origin=fleet.origin, protocol=fleet.protocol, paradigm="unsupervised", arm="local", seed=0,
        network=kind,
        model=MODEL,
        rules=rules,
        scaler=ScalerCard("node_minmax", "auto", "fleet_range", fleet.signed_log, fleet.clip_low, fleet.clip_high),
        score=ScoreCard(score, 1e-4, half_life, "percentile"),
        nodes=tuple(
            NodeCard(
                node, columns_of_node(fleet, node, rules.features), threshold + number, 900.0, node in fleet.rebased
            )
            for number, node in enumerate(fleet.node_ids)
        ),
        chosen_by={"rule": "none"},
        cohort={},
        lineage={"data_fingerprint": fleet.fingerprint},
    )  # fmt: skip
    shape = (len(fleet.node_ids), n_features)
    fitted = {name: np.full(shape, 0.1) for name in FITTED.get(score, ())}
    if "cholesky" in fitted:
        fitted["cholesky"] = np.stack([np.eye(n_features)] * shape[0])
    state = join([initial_state(kind, n_features, MODEL, seed) for seed in range(shape[0])])
    return Detector(card, state, np.array(fleet.offset), np.array(fleet.scale), np.array(fleet.muted), fitted)
