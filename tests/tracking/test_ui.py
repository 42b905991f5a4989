import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest

from ftl.errors import ConfigError
from ftl.tracking.lineage import Lineage
from ftl.tracking.runs import CELL, log_summary
from ftl.tracking.ui import serve_ui, server_command


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


@pytest.mark.slow
def test_the_ui_shows_runs_and_ctrl_c_ends_it(tmp_path, port):
    row = dict.fromkeys(CELL) | {"dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised", "arm": "local"}
    table = pd.DataFrame([row | {"f1": 0.5, "node": "n7"}])
    lineage = Lineage("unknown", False, "p", {"d1": "f"}, {"d1": "simulated"}, "0.1")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (run_id,) = log_summary(table, table, {}, None, lineage, uri)

    code = f"from ftl.tracking import serve_ui; serve_ui({uri!r}, port={port})"
    said = tmp_path / "stdout.txt"
    with said.open("w") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=stdout, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    try:
        # The server answers before `serve_ui`, which asks it now and then, has seen that and said so.
        wait_for_text(process, said, f"MLflow UI: http://127.0.0.1:{port}")
        with urlopen(f"http://127.0.0.1:{port}/get-artifact?path=node_table.csv&run_uuid={run_id}") as answer:
            assert "n7" in answer.read().decode()
        with urlopen(f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/get?run_id={run_id}") as answer:
            metrics = json.load(answer)["run"]["data"]["metrics"]
        assert [(m["key"], m["value"]) for m in metrics] == [("f1", 0.5)]
        servers = children_of(process.pid)
        assert servers
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
    with pytest.raises(URLError):
        urlopen(f"http://127.0.0.1:{port}/health", timeout=2)


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
