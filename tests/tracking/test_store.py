"""Records written in bulk are what mlflow's own client would have written, and faults leave nothing half done."""

import sqlite3
import threading

import pytest

from ftl.tracking import bulk
from ftl.tracking.client import write_with_client
from ftl.tracking.database import KNOWN_SCHEMAS, schema_of
from ftl.tracking.store import StoreError, write_records
from tests.tracking.small_records import a_record, uri


def everything(client, run_id):
    """All that mlflow gives back of a run but its ids and its place."""
    run = client.get_run(run_id)
    info = run.info
    histories = {
        name: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, name))
        for name in run.data.metrics
    }
    inputs = [(e.dataset.to_dictionary(), {t.key: t.value for t in e.tags}) for e in run.inputs.dataset_inputs]
    listed = sorted((f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run_id))
    listed += sorted((f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run_id, "figures"))
    place = info.artifact_uri.replace(run_id, "RUN").rpartition("mlartifacts")[2]
    facts = (info.run_name, info.status, info.start_time, info.end_time, info.lifecycle_stage, info.user_id, place)
    return facts, run.data.to_dictionary(), histories, inputs, listed


def rows(path, table):
    """A table as it stands in the file, without ids."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(f"select * from {table}")]
    changing = {"run_uuid", "artifact_uri", "dataset_uuid", "input_uuid", "source_id", "destination_id"}
    changing |= {"creation_time", "last_update_time", "artifact_location", "experiment_id"}
    return sorted(str(sorted((k, v) for k, v in row.items() if k not in changing)) for row in found)


@pytest.mark.parametrize("others", [{}, {"artifacts": {}, "inputs": (), "params": {}}, {"status": "FAILED"}])
def test_a_run_written_in_bulk_equals_one_written_by_the_client(new_store, client_of, others):
    record = a_record(**others)
    ours, theirs = new_store("ours"), new_store("theirs")
    (our_id,) = bulk.write_in_bulk([record], ours)
    (their_id,) = write_with_client([record], uri(theirs))
    assert everything(client_of(ours), our_id) == everything(client_of(theirs), their_id)
    for table in ("runs", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs", "input_tags"):
        assert rows(ours, table) == rows(theirs, table), table


def test_the_schema_of_the_installed_mlflow_is_one_that_bulk_writing_knows(empty_store):
    assert schema_of(empty_store) in KNOWN_SCHEMAS


def test_a_missing_store_is_made(tmp_path, client_of):
    path = tmp_path / "deep" / "mlflow.db"
    (run_id,) = write_records([a_record()], uri(path))
    assert client_of(path).get_run(run_id).data.metrics["f1"] == 0.5
    assert (path.parent / "mlartifacts" / run_id / "artifacts" / "table.csv").read_text() == "a,b\n"


def test_runs_written_in_bulk_can_be_searched_listed_deleted_and_restored(database, client_of):
    ids = write_records([a_record(n) for n in range(3)], uri(database))
    client = client_of(database)
    (experiment,) = [e for e in client.search_experiments() if e.name == "ftl"]
    found = client.search_runs(
        [experiment.experiment_id], "metrics.f1 > 1 and tags.dataset = 'd1'", order_by=["metrics.f1 DESC"]
    )
    assert [run.info.run_id for run in found] == [ids[2], ids[1]]
    assert [r.info.run_id for r in client.search_runs([experiment.experiment_id], "dataset.name = 'd1'")] == ids
    client.delete_run(ids[0])
    assert client.get_run(ids[0]).info.lifecycle_stage == "deleted"
    client.restore_run(ids[0])
    client.set_tag(ids[0], "seen", "yes")
    client.log_metric(ids[0], "loss", 1.0, step=3)
    assert client.get_run(ids[0]).data.metrics["loss"] == 1.0


@pytest.mark.parametrize(
    "write", [bulk.write_in_bulk, lambda r, path: list(write_with_client(r, uri(path)))], ids=["bulk", "client"]
)
def test_a_second_record_of_equal_identity_replaces_the_first(database, client_of, write):
    (first, kept) = write([a_record(0), a_record(1)], database)
    client_of(database).update_run(first, status="RUNNING")  # as a killed process leaves it
    (second,) = write([a_record(0)], database)
    other = write([a_record(0, lineage="l2"), a_record(0, experiment="else")], database)
    client = client_of(database)
    experiments = [e.experiment_id for e in client.search_experiments()]
    assert {run.info.run_id for run in client.search_runs(experiments)} == {kept, second, *other}
    assert client.get_run(first).info.lifecycle_stage == "deleted"


def test_records_without_identity_replace_nothing(database, client_of):
    ids = [write_records([a_record(tags={"lineage": "l1"})], uri(database))[0] for _ in range(2)]
    assert [client_of(database).get_run(i).info.lifecycle_stage for i in ids] == ["active", "active"]


def test_where_bulk_writing_fails_nothing_remains(database, tmp_path, client_of):
    broken = a_record(1, artifacts={"x.csv": tmp_path / "missing.csv"})
    with pytest.raises(StoreError, match=r"missing\.csv") as caught:
        write_records([a_record(0), broken], uri(database))
    assert len(caught.value.unsent) == 2
    assert rows(database, "runs") == []
    assert not list((database.parent / "mlartifacts").iterdir())


def test_a_store_of_another_known_schema_is_left_to_mlflow(database, monkeypatch, client_of):
    monkeypatch.setattr(bulk, "KNOWN_SCHEMAS", frozenset())
    (run_id,) = write_records([a_record()], uri(database))
    assert client_of(database).get_run(run_id).data.metrics["f1"] == 0.5


def test_artifacts_that_lie_elsewhere_are_left_to_mlflow(database, client_of):
    client_of(database).create_experiment("ftl", artifact_location="s3://bucket/x")
    with pytest.raises(bulk.NotForBulkError):
        bulk.write_in_bulk([a_record()], database)


def test_a_locked_store_is_a_clear_error(database_locked):
    with pytest.raises(StoreError, match="locked.*Another process is writing to it: wait for it or end it"):
        write_records([a_record()], uri(database_locked))


@pytest.fixture
def database_locked(database, monkeypatch):
    monkeypatch.setattr("ftl.tracking.database.LOCK_SECONDS", 0.1)
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("begin immediate")
    yield database
    holder.close()


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    with pytest.raises(StoreError, match=r"mlflow\.db cannot be written: file is not a database.*move it away"):
        write_records([a_record()], uri(tmp_path / "mlflow.db"))


def test_a_store_of_a_newer_mlflow_is_a_clear_error(database):
    with sqlite3.connect(database) as connection:
        connection.execute("update alembic_version set version_num = 'ffffffffffff'")
    with pytest.raises(StoreError, match="Another version of mlflow made it"):
        write_records([a_record()], uri(database))
    assert rows(database, "runs") == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_records([a_record()], uri(tmp_path / "file" / "mlflow.db"))


def test_a_server_that_does_not_answer_is_a_clear_error_without_the_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        StoreError, match=r"it does not answer \(Connection refused\)\. Check that the server runs"
    ) as caught:
        write_records([a_record()], "http://me:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)


def test_an_experiment_in_the_bin_is_a_clear_error(database, client_of):
    client = client_of(database)
    client.delete_experiment(client.create_experiment("ftl"))
    with pytest.raises(StoreError, match="mlflow experiments restore"):
        write_records([a_record()], uri(database))


def test_the_lock_is_waited_for(database):
    """Another writer that ends in time is no fault."""
    holder = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    holder.execute("begin immediate")
    threading.Timer(0.3, holder.rollback).start()
    assert len(write_records([a_record()], uri(database))) == 1
    holder.close()
