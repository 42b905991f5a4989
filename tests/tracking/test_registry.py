import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pandas as pd
import pytest

from ftl.data.fleet import Fleet
from ftl.detection.detector import Detector
from ftl.errors import ConfigError, UserError
from ftl.tracking.registry import CHAMPION, download_detector, register_detectors, register_or_say, registered_name
from tests.detection.raw_fleet import prepared, raw_table, tables, untrained

MODEL = f"models:/ftl-toy-unsupervised@{CHAMPION}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return prepared(tmp_path_factory.mktemp("fleet"), tables(), alignment="union")


def detector(fleet: Fleet, threshold: float = 1.0, **card: Any) -> Detector:
    plain = untrained(fleet, threshold=threshold)
    return replace(plain, card=replace(plain.card, **card))


@pytest.fixture(scope="module")
def store(empty_store: Path, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with one registered detector of the toy fleet."""
    folder = tmp_path_factory.mktemp("registry")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    detector(fleet, lineage={"lineage": "l1", "git_commit": "abc"}).save(folder / "detectors" / "toy" / "unsupervised")
    (version,) = register_detectors(folder / "detectors", f"sqlite:///{folder}/mlflow.db")
    assert version == ("ftl-toy-unsupervised", 1, True)
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture(scope="module")
def model(store: str) -> Iterator[Any]:
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    yield mlflow.pyfunc.load_model(MODEL)
    mlflow.set_tracking_uri(before)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def test_a_registered_detector_scores_a_raw_table_as_the_detector_does(fleet: Fleet, model: Any) -> None:
    scored = model.predict(raw_table("n1").assign(hostname="x"), params={"node": "n1"})
    mine = detector(fleet).score(raw_table("n1"), "n1")
    assert list(scored.columns) == ["time", "node", "score", "threshold", "label", "top_sensors"]
    pd.testing.assert_series_equal(pd.to_datetime(scored["time"]).dt.as_unit("s"), mine["time"])
    pd.testing.assert_series_equal(scored["score"].astype(float), mine["score"])
    pd.testing.assert_series_equal(scored["label"].astype("Int8"), mine["label"])
    assert scored["top_sensors"].tolist() == mine["top_sensors"].tolist()


def test_the_column_node_says_whose_rows_they_are(fleet: Fleet, model: Any) -> None:
    both = pd.concat([raw_table(node).head(5).assign(node=node) for node in ("n0", "n2")])
    assert model.predict(both)["node"].tolist() == ["n0"] * 5 + ["n2"] * 5
    explained = model.predict(both, params={"explain_all": True})
    assert (explained["top_sensors"].str.len() > 0).sum() == explained["score"].notna().sum()


@pytest.mark.parametrize(
    ("table", "params", "message"),
    [
        (raw_table("n0").drop(columns=["bytes"]), {"node": "n0"}, "1 of the 7 feature columns .* first 'bytes'"),
        (raw_table("n0"), {}, "whose rows are these"),
        (raw_table("n0"), {"node": "n7"}, "node 'n7': the detector has no model of it"),
        (raw_table("n0"), {"node": "n7", "newcomer": True}, "'n7': this detector .* holds nothing to score nodes with"),
        (raw_table("n0").drop(columns=["timestamp"]), {"node": "n0"}, "no time column"),
        (raw_table("n0").assign(power="much"), {"node": "n0"}, "column 'power' holds text"),
    ],
)
def test_a_table_that_does_not_fit_is_mlflows_error_with_our_message(
    model: Any, table: pd.DataFrame, params: dict[str, Any], message: str
) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=message) as refused:
        model.predict(table, params=params)
    assert refused.value.get_http_status_code() == 400


def as_request(table: pd.DataFrame, **params: Any) -> str:
    """The body of a request to the scoring server."""
    split = json.loads(table.to_json(orient="split", date_format="iso", index=False))
    return json.dumps({"dataframe_split": split, "params": params})


def test_whole_numbers_and_empty_sensors_arrive_over_json(model: Any) -> None:
    from mlflow.pyfunc.scoring_server import invocations

    table = raw_table("n0").head(20)
    table["bytes"] = table["bytes"].fillna(0).astype("int64")
    answer = invocations(as_request(table, node="n0"), "application/json", model, model.metadata.get_input_schema())
    assert answer.status == 200
    rows = json.loads(answer.response)["predictions"]
    assert len(rows) == 20
    assert {*rows[0]} == {"time", "node", "score", "threshold", "label", "top_sensors"}
    unscored = [row for row in rows if row["score"] is None]
    assert all(row["label"] is None and row["top_sensors"] == [] for row in unscored)


def test_an_equal_detector_gets_no_second_version_and_another_becomes_the_champion(
    fleet: Fleet, database: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    uri, at = f"sqlite:///{database}", tmp_path / "detectors"
    client, name = MlflowClient(uri), "ftl-toy-unsupervised"
    detector(fleet, lineage={"lineage": "l1"}).save(at)
    assert register_detectors(at, uri) == [(name, 1, True)]
    assert register_detectors(at, uri) == [(name, 1, False)]
    detector(fleet, threshold=3.0, lineage={"lineage": "l2"}).save(at)
    assert register_detectors(at, uri) == [(name, 2, True)]
    champion = client.get_model_version_by_alias(name, CHAMPION)
    assert int(champion.version) == 2
    assert champion.tags["lineage"] == "l2"
    assert champion.tags["arm"] == "local"
    assert "3 models of paradigm unsupervised" in champion.description
    detector(fleet, lineage={"lineage": "l1"}).save(at)
    assert register_detectors(at, uri) == [(name, 1, False)]
    assert int(client.get_model_version_by_alias(name, CHAMPION).version) == 2


def test_copies_that_a_store_beside_the_results_keeps_are_not_registered_again(
    fleet: Fleet, database: Path, empty_store: Path, tmp_path: Path
) -> None:
    results = database.parent
    for threshold in (1.0, 3.0):
        detector(fleet, threshold=threshold).save(results / "detectors" / "toy" / "unsupervised")
        register_detectors(results / "detectors", f"sqlite:///{database}")
    assert len(list(results.glob("mlartifacts/**/card.json"))) == 2
    (tmp_path / "other").mkdir()
    shutil.copyfile(empty_store, tmp_path / "other" / "mlflow.db")
    found = register_detectors(results, f"sqlite:///{tmp_path}/other/mlflow.db")
    assert found == [("ftl-toy-unsupervised", 1, True)]


def test_what_could_not_be_registered_comes_with_the_command_for_the_same_store(fleet: Fleet, tmp_path: Path) -> None:
    detector(fleet).save(tmp_path / "model")
    (said,) = register_or_say(tmp_path, "http://user:word@127.0.0.1:9", reachable=False)
    assert f"`ftl mlflow register {tmp_path} --to http://127.0.0.1:9` does it later" in said


def test_the_process_keeps_its_own_store(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    download_detector(MODEL, store, tmp_path)
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:9"


def test_a_version_holds_no_pickle_and_pins_what_it_needs(store: str, tmp_path: Path) -> None:
    folder = download_detector(MODEL, store, tmp_path)
    assert Detector.load(folder).card.dataset == "toy"
    whole = tmp_path
    files = [path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()]
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".pyc"))]
    assert "detector_model.py" in files
    assert "code/ftl/detection/detector.py" in files
    requirements = (whole / "requirements.txt").read_text().split()
    assert any(line.startswith("torch==") for line in requirements)
    assert not any(line.startswith("ftl") for line in requirements)  # that name in an index is somebody else's


def test_the_code_of_a_version_needs_nothing_that_is_not_pinned(checkout: Path) -> None:
    code = (
        "import sys; import ftl.detection.detector; "
        "print(*sorted({name.split('.')[0] for name in sys.modules if name.count('.') < 2}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=checkout)
    loaded = set(said.stdout.split())
    assert {"torch", "safetensors", "pyarrow"} <= loaded
    assert not loaded & {"mlflow", "optuna", "lightning", "sklearn", "yaml", "matplotlib", "typer"}


def test_what_cannot_be_registered_or_fetched_is_said(store: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no detector in it or below it"):
        register_detectors(tmp_path, store)
    with pytest.raises(ConfigError, match="cannot be read: .*not found.*Is 'models:/nope@champion' right"):
        download_detector("models:/nope@champion", store, tmp_path)
    with pytest.raises(ConfigError, match=r"there is no registry yet: .*none.db does not exist"):
        download_detector(MODEL, f"sqlite:///{tmp_path}/none.db", tmp_path)
    assert not (tmp_path / "none.db").exists()


def test_a_store_that_cannot_be_reached_is_a_clear_error(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    detector(fleet).save(tmp_path / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ConfigError, match=f"registry http://127.0.0.1:{port} cannot be written: .*goes on"):
        register_detectors(tmp_path / "model", f"http://127.0.0.1:{port}")


def test_names_hold_nothing_that_a_registry_refuses() -> None:
    assert registered_name("rack 4/a:b", "supervised") == "ftl-rack_4_a_b-supervised"


@pytest.fixture
def served(store: str) -> Iterator[Callable[[str], tuple[int, str]]]:
    """`mlflow models serve` on the registered champion; a function that posts to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", MODEL, "--env-manager", "local",
               "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]  # fmt: skip
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store,
                   "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    server = subprocess.Popen(command, env=environment, start_new_session=True)

    def post(body: str) -> tuple[int, str]:
        request = Request(f"http://127.0.0.1:{port}/invocations", body.encode(), {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    deadline = time.monotonic() + 180
    try:
        while time.monotonic() < deadline and server.poll() is None:
            try:
                urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                break
            except (URLError, OSError):
                time.sleep(0.5)
        yield post
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


@pytest.mark.slow
def test_mlflow_models_serve_scores_a_raw_table(fleet: Fleet, served: Callable[[str], tuple[int, str]]) -> None:
    status, text = served(as_request(raw_table("n0").head(50), node="n0"))
    assert status == 200, text
    rows = json.loads(text)["predictions"]
    mine = detector(fleet).score(raw_table("n0").head(50), "n0")
    assert [row["label"] for row in rows] == [None if pd.isna(label) else int(label) for label in mine["label"]]
    status, text = served(as_request(raw_table("n0").drop(columns="bytes"), node="n0"))
    assert status == 400
    assert "first 'bytes'" in text
    assert "Traceback" not in json.loads(text)["message"]
