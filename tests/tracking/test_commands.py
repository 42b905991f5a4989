"""`ftl mlflow` as a user calls it."""

import pytest

from ftl.cli import main
from ftl.tracking.spool import record_runs
from ftl.tracking.store import write_records
from tests.tracking.small_records import a_record, uri


@pytest.fixture
def ftl(monkeypatch, capsys):
    """The command in this process: (exit code, stdout, stderr)."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def command(*words):
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def test_merge_says_what_it_did(ftl, new_store):
    a, b, into = new_store("a"), new_store("b"), new_store("all")
    write_records([a_record(0)], uri(a))
    write_records([a_record(0), a_record(1)], uri(b))
    code, out, _ = ftl("mlflow", "merge", a, b, "--into", into)
    assert code == 0
    assert f"{b}: 1 runs copied, 1 there already" in out


def test_merge_of_a_missing_file_is_a_message_and_code_2(ftl, new_store, tmp_path):
    code, _, err = ftl("mlflow", "merge", tmp_path / "no.db", "--into", new_store("all"))
    assert (code, err) == (2, f"ftl: {tmp_path}/no.db: no such file; give the mlflow.db of a run\n")


def test_sync_sends_to_the_store_that_the_option_or_the_environment_names(ftl, database, tmp_path, monkeypatch):
    record_runs([a_record(0)], "http://127.0.0.1:9", tmp_path)
    code, _, err = ftl("mlflow", "sync", tmp_path)
    assert code == 2
    assert "Check that the server runs" in err
    assert ftl("mlflow", "sync", tmp_path, "--to", uri(database))[:2] == (0, "1 run sent\n")
    record_runs([a_record(1)], "http://127.0.0.1:9", tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(database))
    assert ftl("mlflow", "sync", tmp_path)[:2] == (0, "1 run sent\n")
    assert ftl("mlflow", "sync", tmp_path)[:2] == (0, "Nothing waits to be sent\n")


def test_sync_refuses_a_folder_as_store(ftl, tmp_path):
    code, _, err = ftl("mlflow", "sync", tmp_path, "--to", "mlruns")
    assert code == 2
    assert "--to must name a database or a server" in err


def test_the_ui_of_a_folder_without_runs_is_a_message(ftl, tmp_path):
    code, out, err = ftl("ui", "--folder", tmp_path, "--no-open")
    assert code == 2
    assert "No studies" in out
    assert "there are no runs yet" in err
