import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.data.fleet import TEST, VALIDATION, read_fleet
from ftl.detection import DetectionSettings
from ftl.detection.detector import Detector
from ftl.errors import TelemetryError, UserError
from ftl.experiment.detectors import CANDIDATES, export_detectors
from ftl.experiment.evaluate import judged_stages
from ftl.experiment.scored import ScoredNode
from tests.detection import raw_fleet
from tests.experiment.conftest import Finished, finish, params_of

LEAST = ("model.hidden=[6,4]", "model.latent=4", "training.batch_size=32", "local.n_epochs=1", "federate.n_rounds=1",
         "select.policies=[top_n]", "select.n_participants=[1]", "seeds=[0]", "baselines=[]",
         "paradigms=[unsupervised,supervised]",
         "prepare.alignment=union", "prepare.max_missing=0.5", "prepare.fill_limit=4")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Autoencoders and classifiers on the fleet whose raw rows differ most from model rows."""
    folder = tmp_path_factory.mktemp("detectors")
    fleet = raw_fleet.write_tables(folder / "toy", raw_fleet.tables())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTL_WORKERS", "1")
        return finish(fleet, params_of(base=LEAST), folder / "out", dump_scores=True)


def exported(run: Finished, out: Path, *assignments: str, fleet: Path | None = None) -> dict[str, Path]:
    at = run.out / "stages"
    params = {**params_of(*assignments, base=LEAST)}
    return export_detectors(
        fleet or at / "fleet", at / "local", at / "federated", at / "transfer", params, out, {"git_commit": "abc"}
    )


@pytest.fixture(scope="module")
def folders(run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return exported(run, tmp_path_factory.mktemp("exported"))


def stored(run: Finished, detector: Detector, node: str) -> pd.DataFrame:
    """What the run stored of the arm that the detector holds; of participants, of the global model."""
    scores = pd.read_parquet(run.out / "scores.parquet")
    arm = detector.card.arm
    if arm in ("transfer", "full_fine_tune") and node in detector.card.cohort["participants"]:
        arm = "zero_shot"
    mine = scores[(scores["paradigm"] == detector.card.paradigm) & (scores["arm"] == arm) & (scores["node"] == node)]
    return mine.sort_values("step")


def by_time(scored: pd.DataFrame) -> pd.DataFrame:
    return scored.set_index(scored["time"].dt.as_unit("s").astype("int64"))


@pytest.mark.parametrize("paradigm", ["unsupervised", "supervised"])
def test_a_raw_table_gets_the_scores_and_alarms_that_the_run_evaluated(
    run: Finished, folders: Mapping[str, Path], paradigm: str
) -> None:
    detector = Detector.load(folders[paradigm])
    fleet = read_fleet(run.out / "stages" / "fleet")
    assert len(fleet.rows(0, TEST))
    for node, raw in raw_fleet.tables().items():
        scored = detector.score(raw, node)
        evaluated = stored(run, detector, node)
        mine = by_time(scored).loc[evaluated["step"]]
        np.testing.assert_allclose(mine["score"], evaluated["score"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(mine["threshold"], evaluated["threshold"], rtol=1e-12)
        clear = np.abs(evaluated["score"].to_numpy() - evaluated["threshold"].to_numpy()) > 1e-5
        flagged = (evaluated["score"] > evaluated["threshold"]).to_numpy()
        np.testing.assert_array_equal((mine["label"] == 1).to_numpy()[clear], flagged[clear])


def test_the_unsupervised_detector_scores_newcomers_and_only_that(run: Finished, folders: Mapping[str, Path]) -> None:
    detector, fleet = Detector.load(folders["unsupervised"]), read_fleet(run.out / "stages" / "fleet")
    assert detector.newcomer is not None
    assert detector.newcomer.card.n_nodes == len(fleet.node_ids)
    scored = detector.score(raw_fleet.raw_table("n0"), "n9", newcomer=True)
    assert scored["score"].notna().sum() > 200
    assert (scored["label"] == 1).mean() < 0.1
    with pytest.raises(UserError, match="'n9': this detector .supervised. holds nothing to score nodes with that have"):
        Detector.load(folders["supervised"]).score(raw_fleet.raw_table("n0"), "n9", newcomer=True)


@pytest.mark.parametrize("arm", CANDIDATES)
def test_every_candidate_scores_as_it_was_evaluated(
    run: Finished, tmp_path: Path, arm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftl.experiment.detectors.Choice.chosen", lambda choice: (arm, {"rule": "asked for"}))
    detector = Detector.load(exported(run, tmp_path, "paradigms=[unsupervised]")["unsupervised"])
    for node, raw in raw_fleet.tables().items():
        scored, evaluated = detector.score(raw, node), stored(run, detector, node)
        mine = by_time(scored).loc[evaluated["step"]]
        np.testing.assert_allclose(mine["score"], evaluated["score"], rtol=1e-5, atol=1e-6)


def test_another_score_of_the_settings_is_exported_with_what_it_was_fitted_to(
    run_fleet: Callable[..., Finished], tables: Callable[[], dict[str, pd.DataFrame]], tmp_path: Path
) -> None:
    run = run_fleet("detection.score=mahalanobis", "transfer.arms=[zero_shot]", dump_scores=True)
    at = run.out / "stages"
    folders = export_detectors(
        at / "fleet", at / "local", at / "federated", at / "transfer", run.params, tmp_path / "detectors"
    )
    detector = Detector.load(folders["unsupervised"])
    for node, raw in tables().items():
        evaluated = stored(run, detector, node)
        mine = detector.score(raw, node).set_index("time").loc[evaluated["step"]]
        np.testing.assert_allclose(mine["score"], evaluated["score"], rtol=1e-4, atol=1e-6)


def test_an_exported_detector_follows_its_node_as_the_evaluation_did(run: Finished, tmp_path: Path) -> None:
    """From where the window holds test rows alone; before that, the run knows which rows to leave out."""
    settings = {"threshold": "trailing", "percentile": 60.0, "trailing_days": 0.1}
    words = [f"detection.{key}={value}" for key, value in settings.items()]
    folder = exported(run, tmp_path, "paradigms=[unsupervised]", *words)["unsupervised"]
    detector, fleet, at = Detector.load(folder), read_fleet(run.out / "stages" / "fleet"), run.out / "stages"
    assert detector.card.score.trailing is not None
    window, n_thresholds = detector.card.score.trailing.window, []
    stages = (at / "local", at / "transfer")
    for one in judged_stages(fleet, stages, DetectionSettings(**settings), lambda scored: is_held(scored, detector)):
        node = fleet.node_ids[one.scored.node]
        time = fleet.time[one.rows]
        mine = by_time(detector.score(raw_fleet.tables()[node], node)).loc[time]
        late = time > time[0] + window
        np.testing.assert_allclose(mine["threshold"][late], one.thresholds[late], rtol=1e-4)
        assert detector.card.nodes[one.scored.node].threshold == one.floor
        n_thresholds.append(len(np.unique(one.thresholds[late])))
    assert len(n_thresholds) == len(fleet.node_ids)
    assert max(n_thresholds) > 2


def is_held(scored: ScoredNode, detector: Detector) -> bool:
    """Whether these are the scores of a model that the detector holds."""
    tuned = detector.card.arm in ("transfer", "full_fine_tune")
    arm = "zero_shot" if tuned and scored.role == "participant" else detector.card.arm
    return (scored.paradigm, scored.arm) == (detector.card.paradigm, arm)


def test_the_arm_with_the_highest_precision_on_validation_is_taken(run: Finished, folders: Mapping[str, Path]) -> None:
    card = Detector.load(folders["unsupervised"]).card
    assert card.chosen_by["rule"].startswith("highest mean average precision")
    assert {*card.chosen_by["values"]} == {*CANDIDATES}
    assert card.chosen_by["values"][card.arm] == max(card.chosen_by["values"].values())
    assert card.lineage == {
        "data_fingerprint": read_fleet(run.out / "stages" / "fleet").fingerprint,
        "git_commit": "abc",
    }


def changed_fleet(run: Finished, folder: Path, **changes: Callable[[np.ndarray, np.ndarray], None]) -> Path:
    """The run's prepared fleet with some arrays changed in place, each by a function of (array, part)."""
    shutil.copytree(run.out / "stages" / "fleet", folder)
    part = np.load(folder / "part.npy")
    for name, change in changes.items():
        array = np.load(folder / f"{name}.npy")
        change(array, part)
        np.save(folder / f"{name}.npy", array)
    return folder


def test_without_an_anomaly_in_validation_its_loss_decides_and_classifiers_stay_the_nodes_own(
    run: Finished, tmp_path: Path
) -> None:
    def without_anomalies(label: np.ndarray, part: np.ndarray) -> None:
        label[part == VALIDATION] = 0

    folders = exported(run, tmp_path, fleet=changed_fleet(run, tmp_path / "fleet", label=without_anomalies))
    card = Detector.load(folders["unsupervised"]).card
    assert "validation loss" in card.chosen_by["rule"]
    assert card.chosen_by["values"]["local"] == 1.0
    assert card.chosen_by["values"][card.arm] == min(card.chosen_by["values"].values()) < 1
    assert Detector.load(folders["supervised"]).card.arm == "local_long"


def test_test_rows_have_no_influence_on_the_choice(run: Finished, tmp_path: Path) -> None:
    def flip(label: np.ndarray, part: np.ndarray) -> None:
        label[part == TEST] = 1 - np.maximum(label[part == TEST], 0)

    def blank(x: np.ndarray, part: np.ndarray) -> None:
        x[part == TEST] = 0

    first = exported(run, tmp_path / "first")
    second = exported(run, tmp_path / "second", fleet=changed_fleet(run, tmp_path / "fleet", label=flip, x=blank))
    for paradigm, folder in first.items():
        files = {path.name for path in folder.iterdir()}
        assert len(files) == (4 if paradigm == "unsupervised" else 3)
        for name in files:
            assert (folder / name).read_bytes() == (second[paradigm] / name).read_bytes()


def test_an_arm_that_was_not_run_is_no_candidate(run: Finished, tmp_path: Path) -> None:
    at = tmp_path / "stages"
    shutil.copytree(run.out / "stages", at)
    (at / "transfer" / "unsupervised-seed0" / "personalised.safetensors").unlink()
    params = params_of("paradigms=[unsupervised]", base=LEAST)
    folders = export_detectors(at / "fleet", at / "local", at / "federated", at / "transfer", params, tmp_path / "out")
    assert {*Detector.load(folders["unsupervised"]).card.chosen_by["values"]} == {"local", "local_long", "zero_shot"}


def test_a_fleet_of_an_earlier_version_says_what_to_do(run: Finished, tmp_path: Path) -> None:
    old = changed_fleet(run, tmp_path / "fleet")
    card = json.loads((old / "fleet.json").read_text())
    del card["report"]["window"]
    (old / "fleet.json").write_text(json.dumps(card))
    with pytest.raises(TelemetryError, match="toy: the fleet was prepared by an earlier version"):
        exported(run, tmp_path / "out", fleet=old)
