"""The stages `evaluate` and `track` on the run of the small fleet: what MLflow shows is what summary.csv says."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import pipelines.evaluate
import pipelines.track
from ftl.evaluation.results import CELL_COLUMNS, read_results, results_digest
from ftl.evaluation.summary import read_summary

CELL = list(CELL_COLUMNS)
DATASET = "small"


@pytest.fixture(scope="module")
def small_run(run_once) -> Any:
    """Two paradigms, one seed, one N and one baseline."""
    return run_once("paradigms=[unsupervised,supervised]", "baselines=[pca]")


@pytest.fixture(scope="module")
def artifacts(small_run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that DVC's stages would have filled with the same run."""
    at = tmp_path_factory.mktemp("pipeline") / "artifacts"
    for stage in (small_run.out / "stages").iterdir():
        shutil.copytree(stage, at / {"fleet": "fleets"}.get(stage.name, stage.name) / DATASET)
    pipelines.evaluate.main(pipeline_params(small_run), str(at))
    return at


def pipeline_params(small_run) -> dict:
    return small_run.params | {"datasets": {DATASET: {"source": "node_tables", "path": "x"}}}


def test_the_pipeline_and_ftl_run_come_to_the_same_tables(small_run, artifacts: Path) -> None:
    assert results_digest(read_results(artifacts / "results.parquet")) == results_digest(small_run.results)
    assert (artifacts / "summary.csv").read_bytes() == (small_run.out / "summary.csv").read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(artifacts / "rounds.csv"), pd.read_csv(small_run.out / "rounds.csv"))


def test_evaluate_writes_what_dvc_shows(small_run, artifacts: Path, checkout: Path) -> None:
    stage = yaml.safe_load((checkout / "dvc.yaml").read_text())["stages"]["evaluate"]
    declared = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    paths = [next(iter(out)) if isinstance(out, dict) else out for out in declared]
    assert len(paths) > 3
    for path in paths:
        assert (artifacts.parent / path).exists(), path
    for paradigm in small_run.params["paradigms"]:
        metrics = json.loads((artifacts / "metrics" / f"small_{paradigm}.json").read_text())
        assert metrics["delta_f1"] in list(small_run.cells("transfer", paradigm)["delta_f1"])
        assert 0 <= metrics["auroc_best_arm"] <= 1


def test_evaluate_leaves_baselines_out_where_there_is_nothing_to_compare_them_with(
    small_run, artifacts: Path, tmp_path: Path
) -> None:
    at = tmp_path / "artifacts"
    shutil.copytree(artifacts, at, ignore=shutil.ignore_patterns("unsupervised-*", "report"))
    pipelines.evaluate.main(pipeline_params(small_run) | {"paradigms": ["supervised"]}, str(at))
    results = read_results(at / "results.parquet")
    assert set(results["paradigm"]) == {"supervised"}
    assert "pca" not in set(results["arm"])


@pytest.fixture(scope="module")
def store(small_run, artifacts: Path):
    """The runs that the stage track wrote, and tracked.json."""
    from mlflow import MlflowClient

    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{artifacts.parent}/mlflow.db")
    patch.chdir(artifacts.parent)
    try:
        pipelines.track.main(pipeline_params(small_run), str(artifacts))
    finally:
        patch.undo()
    client = MlflowClient(f"sqlite:///{artifacts.parent}/mlflow.db")
    experiment = client.get_experiment_by_name("ftl")
    return client.search_runs([experiment.experiment_id], max_results=1000)


def test_track_writes_a_run_for_every_cell(artifacts: Path, store) -> None:
    summary = read_summary(artifacts / "summary.csv")
    assert len(store) == len(summary)
    assert json.loads((artifacts / "tracked.json").read_text())["runs"] == len(summary)
    cells = {tuple(run.data.tags.get(name) for name in CELL) for run in store}
    assert cells == {
        tuple(None if pd.isna(value) else str(value) for value in key) for key in summary[CELL].itertuples(index=False)
    }


def test_metrics_in_mlflow_equal_summary_csv(artifacts: Path, store) -> None:
    """Through the file: what a reader of the csv sees is what a reader of the UI sees, to the last bit."""
    table = pd.read_csv(artifacts / "summary.csv", dtype={"n_participants": "Int64"})
    numeric = [name for name in table.columns if name not in CELL and table[name].dtype.kind in "fib"]
    assert {"delta_f1", "cohens_d", "p_holm", "f1_after", "auroc_after", "n_nodes", "significant"} <= set(numeric)
    of_cell = {
        tuple(None if pd.isna(value) else str(value) for value in row[:6]): dict(zip(numeric, row[6:], strict=True))
        for row in table[[*CELL, *numeric]].itertuples(index=False)
    }
    for run in store:
        expected = of_cell[tuple(run.data.tags.get(name) for name in CELL)]
        expected = {name: float(value) for name, value in expected.items() if not math.isnan(value)}
        logged = {name: value for name, value in run.data.metrics.items() if name != "round_train_loss"}
        assert logged == expected


def test_runs_of_a_cohort_have_a_loss_for_every_round(small_run, store) -> None:
    run = next(run for run in store if run.data.tags.get("arm") == "transfer")
    rounds = small_run.rounds
    for name in ("paradigm", "policy"):
        rounds = rounds[rounds[name] == run.data.tags[name]]
    rounds = rounds[rounds["n_participants"] == int(run.data.tags["n_participants"])]
    last = rounds.loc[rounds["round"] == rounds["round"].max(), "train_loss"].mean()
    assert run.data.metrics["round_train_loss"] == pytest.approx(last, rel=1e-12)


def test_runs_say_what_they_were_made_with_and_from(store) -> None:
    for run in store[:3]:
        assert run.data.params["federate.n_rounds"] == "2"
        assert run.data.params["model.latent"] == "4"
        assert run.data.tags["origin"] == "real"
        assert len(run.data.tags["data_fingerprint"]) == 64
        assert run.inputs.dataset_inputs[0].dataset.name == DATASET
