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
from ftl.tracking.results_records import CELL_METRICS

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
        if stage.is_dir():
            shutil.copytree(stage, at / {"fleet": "fleets"}.get(stage.name, stage.name) / DATASET)
    (at / "prepare_costs").mkdir()
    shutil.copyfile(small_run.out / "stages" / "prepare_cost.json", at / "prepare_costs" / f"{DATASET}.json")
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


def track(small_run, artifacts: Path, uri: str) -> None:
    """The stage track, in the folder of the pipeline."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.chdir(artifacts.parent)
        pipelines.track.main(pipeline_params(small_run), str(artifacts))


@pytest.fixture(scope="module")
def store(small_run, artifacts: Path):
    """The runs that the stage track wrote, by level."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{artifacts.parent}/mlflow.db"
    track(small_run, artifacts, uri)
    client = MlflowClient(uri)
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    return {
        level: client.search_runs([experiments[name]], max_results=1000)
        for level, name in (("cell", "ftl"), ("seed", "ftl seeds"), ("report", "ftl reports"))
    }


def test_track_writes_a_run_for_every_cell_seed_and_dataset(artifacts: Path, store) -> None:
    summary = read_summary(artifacts / "summary.csv")
    assert {level: len(runs) for level, runs in store.items()} == {
        "cell": len(summary), "seed": len(summary), "report": 1,
    }  # fmt: skip
    tracked = json.loads((artifacts / "tracked.json").read_text())
    assert (tracked["runs"], tracked["sent"], tracked["spooled"]) == (2 * len(summary) + 1,) * 2 + (0,)
    assert tracked["lineage"][DATASET] == store["cell"][0].data.tags["lineage"]
    cells = {tuple(run.data.tags.get(name) for name in CELL) for run in store["cell"]}
    assert cells == {
        tuple(None if pd.isna(value) else str(value) for value in key) for key in summary[CELL].itertuples(index=False)
    }


def test_metrics_in_mlflow_equal_summary_csv(artifacts: Path, store) -> None:
    """Through the file: what a reader of the csv sees is what a reader of the UI sees, to the last bit."""
    table = pd.read_csv(artifacts / "summary.csv", dtype={"n_participants": "Int64"})
    assert {"delta_f1", "cohens_d", "p_holm", "f1_after", "auroc_after", "n_nodes", "significant"} <= set(CELL_METRICS)
    of_cell = {
        tuple(None if pd.isna(value) else str(value) for value in row[:6]): dict(
            zip(CELL_METRICS, row[6:], strict=True)
        )
        for row in table[[*CELL, *CELL_METRICS]].itertuples(index=False)
    }
    for run in store["cell"]:
        expected = of_cell[tuple(run.data.tags.get(name) for name in CELL)]
        expected = {name: float(value) for name, value in expected.items() if not math.isnan(value)}
        logged = {name: value for name, value in run.data.metrics.items() if name in CELL_METRICS}
        assert logged == expected


def test_with_one_seed_a_seeds_run_says_what_its_cell_says(store) -> None:
    """Holm's correction and the interval apart, which belong to the cell."""
    cells = {run.data.tags["cell"]: run.data.metrics for run in store["cell"]}
    for run in store["seed"]:
        cell = cells[run.data.tags["cell"]]
        assert run.data.tags["seed"] == "0"
        assert run.data.metrics == {name: cell[name] for name in run.data.metrics}
        assert cell.get("delta_f1_by_seed") == run.data.metrics.get("delta_f1")


def test_runs_of_a_cohort_have_a_loss_for_every_round(small_run, store) -> None:
    run = next(run for run in store["cell"] if run.data.tags.get("arm") == "transfer")
    rounds = small_run.rounds
    for name in ("paradigm", "policy"):
        rounds = rounds[rounds[name] == run.data.tags[name]]
    rounds = rounds[rounds["n_participants"] == int(run.data.tags["n_participants"])]
    last = rounds.loc[rounds["round"] == rounds["round"].max(), "train_loss"].mean()
    assert run.data.metrics["round_train_loss"] == pytest.approx(last, rel=1e-12)


def test_runs_say_what_they_were_made_with_and_from(store) -> None:
    for run in store["cell"][:3]:
        assert run.data.params["federate.n_rounds"] == "2"
        assert run.data.params["model.latent"] == "4"
        assert run.data.params["source.source"] == "node_tables"
        assert run.data.tags["origin"] == "real"
        assert len(run.data.tags["data_fingerprint"]) == 64
        assert run.inputs.dataset_inputs[0].dataset.name == DATASET


def test_a_store_that_cannot_be_reached_ends_no_pipeline(small_run, artifacts: Path, tmp_path: Path, capsys) -> None:
    at = tmp_path / "artifacts"
    shutil.copytree(artifacts, at)
    track(small_run, at, "http://127.0.0.1:9")
    tracked = json.loads((at / "tracked.json").read_text())
    assert tracked["sent"] == 0
    assert tracked["spooled"] == tracked["runs"] == len(list(at.glob("mlflow-spool/*/record.json")))
    assert "ftl mlflow sync" in capsys.readouterr().err
