import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftl.errors import ConfigError
from ftl.tracking.environment import (
    QUIET,
    checked_uri,
    quiet_environment,
    shown,
    sqlite_file,
    store_of_environment,
    tracking_uri,
)


def test_importing_tracking_does_not_import_mlflow():
    code = "import sys, ftl.tracking; print('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_telemetry_and_job_execution_are_off_unless_the_user_says_otherwise(monkeypatch):
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "mine")
    quiet_environment()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert os.environ["DVC_NO_ANALYTICS"] == "mine"


def test_the_default_store_is_a_sqlite_file_in_the_given_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    uri = tracking_uri(Path("here"))
    assert uri == f"sqlite:///{tmp_path}/here/mlflow.db"
    assert sqlite_file(uri) == tmp_path / "here" / "mlflow.db"


def test_the_users_tracking_store_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking_uri(tmp_path) == "http://tracker:5000"
    assert sqlite_file("http://tracker:5000") is None


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "./mlruns", "/tmp/mlruns"])
def test_a_file_store_is_refused_with_a_way_out(monkeypatch, tmp_path, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match=r"sqlite:///PATH/mlflow\.db"):
        tracking_uri(tmp_path)


def test_a_file_store_of_an_option_is_refused_under_the_options_name():
    with pytest.raises(ConfigError, match="--to must name a database or a server"):
        checked_uri("mlruns", "--to")
    assert checked_uri("http://tracker:5000", "--to") == "http://tracker:5000"


def test_no_store_in_the_environment_is_none(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " ")
    assert store_of_environment() is None


def test_an_address_is_shown_without_name_and_password():
    assert shown("https://me:p@ss@tracker:5000/x") == "https://tracker:5000/x"
    assert shown("sqlite:////home/me@x/mlflow.db") == "sqlite:////home/me@x/mlflow.db"
