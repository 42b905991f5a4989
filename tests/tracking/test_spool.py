"""Runs that no store took are kept, and sent once."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from ftl.errors import ConfigError
from ftl.tracking import spool as spool_module
from ftl.tracking.record import Point
from ftl.tracking.recording import log_results_folder
from ftl.tracking.spool import keep, read_spool, record_runs, sync
from ftl.tracking.store import StoreError, write_records
from tests.tracking.small_records import a_record, uri

DEAD = "http://me:secret@127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_retries(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("ftl.tracking.database.LOCK_SECONDS", 0.1)


def runs_of(client_of, database):
    client = client_of(database)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return {run.info.run_name: run for run in found}


def test_records_come_out_of_the_spool_as_they_went_in(tmp_path):
    records = [a_record(0), a_record(1, points=(Point("x", 0.1 + 0.2, 3, 17),), tags={"odd": "ü\n"})]
    keep(records, "sqlite:///x.db", tmp_path)
    back = read_spool(tmp_path)
    for before, spooled in zip(records, back, strict=True):
        texts = {path: Path(file).read_text() for path, file in spooled.record.artifacts.items()}
        assert texts == before.artifacts
        assert {**vars(spooled.record), "artifacts": None} == {**vars(before), "artifacts": None}
        assert spooled.store == "sqlite:///x.db"


def test_a_spool_holds_json_and_files_alone(tmp_path):
    keep([a_record()], "x", tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["record.json", "table.csv", "x.txt"]


def test_a_server_that_does_not_answer_costs_no_run(tmp_path, database, client_of):
    sent = record_runs([a_record(0), a_record(1)], DEAD, tmp_path)
    assert (sent.n_sent, sent.n_spooled) == (0, 2)
    assert (
        f"2 runs are kept in {tmp_path / 'mlflow-spool'}: `ftl mlflow sync {tmp_path}` sends them later" in sent.warning
    )
    assert "secret" not in sent.warning
    assert "secret" not in "".join(p.read_text() for p in tmp_path.rglob("record.json"))
    assert sync(tmp_path, uri(database)).n_sent == 2
    assert set(runs_of(client_of, database)) == {"run 0", "run 1"}
    assert not (tmp_path / "mlflow-spool").exists()
    assert sync(tmp_path, uri(database)).n_sent == 0


def test_a_locked_store_costs_no_run_and_sync_knows_the_store(tmp_path, database, client_of):
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("begin exclusive")
    sent = record_runs([a_record()], uri(database), tmp_path)
    assert sent.n_spooled == 1
    assert "locked" in sent.warning
    with pytest.raises(StoreError, match="locked"):
        sync(tmp_path, None)
    assert len(read_spool(tmp_path / "mlflow-spool")) == 1
    holder.close()
    assert sync(tmp_path, None).n_sent == 1
    assert set(runs_of(client_of, database)) == {"run 0"}


def test_spooling_the_same_run_twice_keeps_the_later_one(tmp_path):
    record_runs([a_record()], DEAD, tmp_path)
    record_runs([a_record(points=(Point("f1", 0.9),))], DEAD, tmp_path)
    (spooled,) = read_spool(tmp_path / "mlflow-spool")
    assert spooled.record.points == (Point("f1", 0.9),)


def test_a_run_that_the_store_has_already_is_replaced_by_sync(tmp_path, database, client_of):
    (first,) = write_records([a_record()], uri(database))
    record_runs([a_record()], DEAD, tmp_path)
    sync(tmp_path, uri(database))
    (run,) = runs_of(client_of, database).values()
    assert run.info.run_id != first


def test_a_later_success_takes_the_run_out_of_the_spool(tmp_path, database):
    record_runs([a_record(0), a_record(1)], DEAD, tmp_path)
    record_runs([a_record(0)], uri(database), tmp_path)
    assert [s.record.name for s in read_spool(tmp_path / "mlflow-spool")] == ["run 1"]


def test_a_killed_sync_goes_on_and_doubles_nothing(tmp_path, database, client_of, monkeypatch):
    record_runs([a_record(n) for n in range(3)], DEAD, tmp_path)
    removed = []

    def killed_while_removing(folder):
        if removed:
            raise KeyboardInterrupt
        removed.append(folder)
        shutil_rmtree(folder)

    shutil_rmtree = shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(spool_module.shutil, "rmtree", killed_while_removing)
        with pytest.raises(KeyboardInterrupt):
            sync(tmp_path, uri(database))
    assert sync(tmp_path, uri(database)).n_sent == 2
    assert set(runs_of(client_of, database)) == {"run 0", "run 1", "run 2"}
    client = client_of(database)
    assert len(client.search_runs([e.experiment_id for e in client.search_experiments()])) == 3


def test_a_record_half_written_is_not_sent_and_is_cleared_away(tmp_path, database):
    record_runs([a_record()], DEAD, tmp_path)
    (folder,) = (tmp_path / "mlflow-spool").iterdir()
    shutil.copytree(folder, folder.with_name("abc.half"))
    assert sync(tmp_path, uri(database)).n_sent == 1
    assert not (tmp_path / "mlflow-spool").exists()


@pytest.mark.parametrize("damage", ["{", '{"store": "x"}', "[]"])
def test_a_damaged_record_is_a_clear_error_and_stays(tmp_path, database, damage):
    record_runs([a_record()], DEAD, tmp_path)
    (file,) = tmp_path.rglob("record.json")
    file.write_text(damage)
    with pytest.raises(ConfigError, match=r"record\.json: damaged .* track the results again"):
        sync(tmp_path, uri(database))
    assert file.exists()


def test_a_record_that_points_outside_its_folder_is_refused(tmp_path, database):
    record_runs([a_record()], DEAD, tmp_path)
    (file,) = tmp_path.rglob("record.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"artifacts": ["../../secret"]}))
    with pytest.raises(ConfigError, match="must lie below the run"):
        sync(tmp_path, uri(database))


def test_a_folder_that_does_not_exist_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        sync(tmp_path / "nowhere", None)


def test_a_results_folder_is_recorded_whole_or_kept_whole(results_folder, database, client_of):
    tracked = log_results_folder(results_folder, DEAD)
    assert tracked.sent.n_spooled == sum(tracked.levels.values()) == 26
    assert tracked.sentences()[-1].startswith("Warning: the MLflow store http://127.0.0.1:9 cannot be written")
    assert sync(results_folder, uri(database)).n_sent == 26
    client = client_of(database)
    names = {e.name: e.experiment_id for e in client.search_experiments()}
    assert {n: len(client.search_runs([i])) for n, i in names.items()} == {
        "Default": 0, "ftl": 8, "ftl seeds": 16, "ftl reports": 2,
    }  # fmt: skip
    again = log_results_folder(results_folder, uri(database))
    assert again.sent.n_sent == 26
    assert len(client.search_runs([names["ftl"]])) == 8
    (report, _) = client.search_runs([names["ftl reports"]], order_by=["attributes.start_time DESC"])
    assert {f.path for f in client.list_artifacts(report.info.run_id)} >= {"figures", "report", "summary.csv"}
    assert again.as_json()["lineage"]["d1"] == report.data.tags["lineage"]
