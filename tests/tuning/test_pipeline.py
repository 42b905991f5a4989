"""The pipeline's stage: a second where it is off, a study per dataset where it is on."""

import json
import shutil
from pathlib import Path

import optuna
import pytest

from ftl.tuning import study_storage
from pipelines import tune
from tests.tuning.conftest import RULES, params_of


@pytest.fixture
def artifacts(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTL_WORKERS", "1")
    shutil.copytree(fleet, tmp_path / "artifacts" / "fleets" / "small")
    return Path("artifacts")


def test_off_it_leaves_an_empty_result(artifacts: Path) -> None:
    tune.main({**params_of(), "datasets": {"small": {}}}, str(artifacts))
    assert json.loads((artifacts / "tuning.json").read_text()) == {}
    assert (artifacts / "tune").is_dir()
    assert not Path("work").exists()


@pytest.mark.slow
def test_on_it_leaves_the_study_and_its_trials_in_mlflow(artifacts: Path) -> None:
    params = {**params_of(RULES, "tune.enabled=true", "tune.n_trials=2"), "datasets": {"small": {}}}
    tune.main(params, str(artifacts))
    content = json.loads((artifacts / "tuning.json").read_text())
    assert (content["study"], content["dataset"], content["n_trials"]) == ("pipeline-small", "small", 2)
    assert sorted(path.name for path in (artifacts / "tune" / "small").iterdir()) == [
        "best.yaml",
        "tuning.json",
        "tuning.md",
    ]
    assert (artifacts / "tune" / "small.journal").is_file()
    from mlflow import MlflowClient

    client = MlflowClient("sqlite:///mlflow.db")
    studies = client.search_runs([client.get_experiment_by_name("ftl studies").experiment_id])
    assert [run.data.metrics["n_trials"] for run in studies] == [2]
    trials = client.search_runs([client.get_experiment_by_name("ftl trials").experiment_id])
    assert {run.data.tags["study"] for run in trials} == {"pipeline-small"}
    found = {int(run.data.tags["trial"]): run.data.metrics.get("f1") for run in trials}
    assert found == pytest.approx({number: value for number, value, _ in content["history"]})
    with study_storage(artifacts / "tune" / "small.journal") as storage:
        study = optuna.load_study(study_name="pipeline-small", storage=storage)
    assert {study.user_attrs["lineage"]} == {run.data.tags["lineage"] for run in (*studies, *trials)}


@pytest.mark.slow
def test_studies_of_several_datasets_may_share_a_database(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_STUDIES", f"sqlite:///{artifacts.resolve()}/studies.db")
    shutil.copytree(artifacts / "fleets" / "small", artifacts / "fleets" / "other")
    params = {**params_of(RULES, "tune.enabled=true", "tune.n_trials=1"), "datasets": {"small": {}, "other": {}}}
    tune.main(params, str(artifacts))
    with study_storage(f"sqlite:///{artifacts.resolve()}/studies.db") as storage:
        assert set(optuna.get_all_study_names(storage)) == {"pipeline-small", "pipeline-other"}
