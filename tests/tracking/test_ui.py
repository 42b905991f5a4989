import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs
from urllib.request import urlopen

import pytest

from ftl.errors import ConfigError
from ftl.tracking.recording import log_results_folder
from ftl.tracking.studies_server import only_local
from ftl.tracking.ui import find_studies, serve_ui, server_command, studies_command
from tests.tracking.small_studies import write_coldstart


def test_a_taken_port_is_a_clear_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="Choose another port"):
            serve_ui(f"sqlite:///{tmp_path}/mlflow.db", port=taken.getsockname()[1])


def test_a_store_that_does_not_exist_is_not_created(tmp_path):
    with pytest.raises(ConfigError, match="no runs yet"):
        serve_ui(f"sqlite:///{tmp_path}/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_store_that_is_a_server_needs_no_second_one():
    with pytest.raises(ConfigError, match="open that address"):
        serve_ui("http://tracker:5000")


def test_the_server_has_one_worker_on_loopback(tmp_path):
    (tmp_path / "mlflow.db").write_text("")
    command = server_command(f"sqlite:///{tmp_path}/mlflow.db", "127.0.0.1", 5123)
    assert command[command.index("--workers") + 1] == "1"
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_two_servers_need_two_ports(tmp_path):
    (tmp_path / "mlflow.db").write_text("")
    with pytest.raises(ConfigError, match="--studies-port"):
        serve_ui(f"sqlite:///{tmp_path}/mlflow.db", port=5123, studies=str(journal(tmp_path)), studies_port=5123)


def journal(folder, name="tune/threshold.journal"):
    """A study of three trials in a journal file."""
    from optuna import create_study, logging
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    logging.set_verbosity(logging.ERROR)
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    study = create_study(study_name="threshold", storage=JournalStorage(JournalFileBackend(str(file))))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    return file


def test_studies_are_found_in_the_folder_the_newest_first(tmp_path):
    assert find_studies(tmp_path)[0] is None
    assert "MLflow UI alone" in find_studies(tmp_path)[1][0]
    for age, name in ((100, "tune/a.journal"), (50, "artifacts/tune/b.journal")):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text("")
        os.utime(file, (time.time() - age,) * 2)
    storage, said = find_studies(tmp_path)
    assert storage == str(file)
    assert str(tmp_path / "tune" / "a.journal") in said[0]


@pytest.mark.parametrize("storage", ["nowhere.journal", "sqlite:///nowhere.db"])
def test_studies_that_do_not_exist_are_a_clear_error(storage):
    with pytest.raises(ConfigError, match="does not exist. Run `ftl tune` first"):
        studies_command(storage, "127.0.0.1", 8080)


def test_the_dashboard_answers_only_requests_that_name_this_machine():
    def application(environment, start_response):
        start_response("200 OK", [])
        return [b"studies"]

    def ask(host):
        said = []
        body = only_local(application)({"HTTP_HOST": host}, lambda status, headers: said.append(status))
        return said[0][:3], b"".join(body)

    assert ask("127.0.0.1:8080") == ask("localhost:8080") == ask("localhost") == ask("[::1]:80") == ("200", b"studies")
    assert ask("evil.example.org:8080")[0] == ask("")[0] == "403"


@pytest.mark.slow
def test_runs_studies_and_a_comparison_are_shown_and_ctrl_c_ends_all(tmp_path, results_folder, database):
    write_coldstart(results_folder)
    log_results_folder(results_folder, f"sqlite:///{database}")
    port, studies_port, home = free_port(), free_port(), tmp_path / "home"
    home.mkdir()
    studies = f"studies={str(journal(tmp_path))!r}, studies_port={studies_port}"
    code = f"from ftl.tracking import serve_ui; serve_ui('sqlite:///{database}', port={port}, {studies})"
    said = tmp_path / "stdout.txt"
    with said.open("w") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=stdout, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=os.environ | {"HOME": str(home)},
        )  # fmt: skip
    try:
        wait_for_text(process, said, "Ctrl-C ends it")
        check_pages(said.read_text(), port, studies_port)
        servers = children_of(process.pid)
        assert len(servers) >= 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)
    assert process.returncode == 0
    assert "MLflow UI ended." in said.read_text()
    assert "Traceback" not in err
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]
    assert not [path for path in home.rglob("*") if "gunicorn" in path.name]
    with pytest.raises(URLError):
        urlopen(f"http://127.0.0.1:{port}/health", timeout=2)


def check_pages(said, port, studies_port):
    """Both servers answer, and the comparison names runs that are there."""
    assert f"MLflow UI: http://127.0.0.1:{port}" in said
    with urlopen(f"http://127.0.0.1:{studies_port}/api/studies") as answer:
        assert [study["study_name"] for study in json.load(answer)["study_summaries"]] == ["threshold"]
    assert f"Optuna dashboard: http://127.0.0.1:{studies_port}/dashboard" in said
    assert f"over hours of history: http://127.0.0.1:{port}/#/experiments/" in said
    address = next(line for line in said.splitlines() if "side by side" in line)
    runs = json.loads(parse_qs(address.partition("?")[2])["runs"][0])
    assert len(runs) == 6  # transfer, local_long and zero_shot of two datasets
    server = f"http://127.0.0.1:{port}"
    with urlopen(f"{server}/api/2.0/mlflow/runs/get?run_id={runs[0]}") as answer:
        tags = {tag["key"]: tag["value"] for tag in json.load(answer)["run"]["data"]["tags"]}
    assert tags["arm"] == "transfer"
    with urlopen(f"{server}/get-artifact?path=node_table.csv&run_uuid={runs[0]}") as answer:
        assert "transfer" in answer.read().decode()
    with urlopen(f"{server}/api/2.0/mlflow/experiments/get-by-name?experiment_name=ftl") as answer:
        kept = {tag["key"]: tag["value"] for tag in json.load(answer)["experiment"]["tags"]}
    assert tags["results"] in kept["mlflow.sharedViewState.ftl"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_text(process, file, text):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if text in file.read_text():
            return
        time.sleep(0.2)
    pytest.fail(f"{text!r} was not said within 90 s; exit code {process.poll()}; said: {file.read_text()!r}")


def children_of(pid):
    """Process ids of all descendants (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == pid:
            child = int(status.parent.name)
            found += [child, *children_of(child)]
    return [p for p in found if p != os.getpid()]
