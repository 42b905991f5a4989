"""A small results folder, real sqlite stores, and runs read back through mlflow's own client."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.node_metrics import node_metrics
from ftl.evaluation.results import results_frame, write_results
from ftl.evaluation.summary import summarise, write_summary
from ftl.tracking.environment import quiet_environment
from tests.tracking.small_records import LINEAGE, NODES, PARAMS, uri

quiet_environment()


@pytest.fixture(scope="session")
def results() -> pd.DataFrame:
    """Two datasets, two seeds, arms without and with a cohort (top_n, N = 2); n5 has no test anomalies."""
    return results_frame(_rows())


def _rows() -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    time = np.arange(60)
    for dataset in ("d1", "d2"):
        labels = {node: (rng.random(60) < 0.3).astype(int) * (node != "n5") for node in NODES}
        for seed in (0, 1):
            for arm, cohort in (("local", False), ("local_long", False), ("transfer", True), ("zero_shot", True)):
                for node in NODES:
                    score = rng.random(60) + labels[node] * rng.random()
                    place = {"policy": "top_n", "n_participants": 2, "draw": 0} if cohort else {}
                    role = {"role": "participant" if node in ("n0", "n1") else "target"} if cohort else {}
                    yield {
                        "dataset": dataset, "protocol": "rigorous", "paradigm": "unsupervised", "seed": seed,
                        "arm": arm, "node": node, "threshold": 0.8, "training_seconds": 1.0 + seed, **place, **role,
                        **node_metrics(score, labels[node], 0.8, time, 900.0),
                    }  # fmt: skip


@pytest.fixture
def results_folder(results_once: Path, tmp_path: Path) -> Path:
    """What `dvc repro` or `ftl run` leaves, as far as tracking reads it; to be spoilt at will."""
    return Path(shutil.copytree(results_once, tmp_path / "artifacts"))


@pytest.fixture(scope="session")
def results_once(results: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, only to be read."""
    folder = tmp_path_factory.mktemp("results") / "artifacts"
    write_results(results, folder / "results.parquet")
    write_summary(summarise(results), folder / "summary.csv")
    rounds = [
        {"dataset": d, "paradigm": "unsupervised", "policy": "top_n", "n_participants": 2, "draw": 0, "seed": seed,
         "round": r, "train_loss": seed + 1 / r, "n_clients_left_out": 0}
        for d in ("d1", "d2") for seed in (0, 1) for r in (1, 2, 3)
    ]  # fmt: skip
    pd.DataFrame(rounds).to_csv(folder / "rounds.csv", index=False)
    (folder / "params.json").write_text(json.dumps(PARAMS))
    fleets = {
        d: {"origin": LINEAGE.origin[d], "fingerprint": LINEAGE.fingerprint(d), "node_ids": NODES, "racks": [None] * 6}
        for d in ("d1", "d2")
    }
    (folder / "fleets.json").write_text(json.dumps(fleets))
    figures = folder / "report" / "figures"
    figures.mkdir(parents=True)
    for name in ("nodes_d1_rigorous.png", "nodes_d2_rigorous.png", "arms.png"):
        (figures / name).write_bytes(b"\x89PNG")
    (folder / "report" / "report.html").write_text("<p>report</p>")
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that mlflow has just made; making its schema takes seconds, so it is made once and copied."""
    from ftl.tracking.bulk import create

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    create(path)
    return path


@pytest.fixture
def new_store(empty_store: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Makes an empty store in a folder of that name."""

    def make(name: str = "store") -> Path:
        path = tmp_path / name / "mlflow.db"
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(empty_store, path)
        return path

    return make


@pytest.fixture
def database(new_store: Callable[[str], Path]) -> Path:
    return new_store("store")


@pytest.fixture(scope="session")
def client_of() -> Callable[[Path], Any]:
    from mlflow import MlflowClient

    return lambda database: MlflowClient(uri(database))
