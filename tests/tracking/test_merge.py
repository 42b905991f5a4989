"""Stores of separate jobs become one, and stay as they were."""

import hashlib
import shutil
import sqlite3

import pytest

from ftl.errors import ConfigError
from ftl.tracking.merge import merge_sentences, merge_stores
from ftl.tracking.store import write_records
from tests.tracking.small_records import a_record, uri
from tests.tracking.test_store import everything


@pytest.fixture
def jobs(new_store):
    """Two stores: run 1 is in both (as another job's), and one run of the first is deleted."""
    a, b = new_store("a"), new_store("b")
    write_records([a_record(0), a_record(1), a_record(9)], uri(a))
    write_records([a_record(1), a_record(2), a_record(3, experiment="other")], uri(b))
    return a, b


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def active(client):
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return {run.info.run_name: run for run in found}


def test_all_runs_are_there_once_as_they_were(jobs, new_store, client_of):
    (a, b), into = jobs, new_store("all")
    client_of(a).delete_run(active(client_of(a))["run 9"].info.run_id)
    before = digest(a), digest(b)
    merged = merge_stores([a, b], into)
    assert [(m.n_copied, m.n_duplicates, m.n_deleted, m.n_without_artifacts) for m in merged] == [
        (2, 0, 1, 0),
        (2, 1, 0, 0),
    ]
    assert (digest(a), digest(b)) == before
    ours = active(client_of(into))
    assert set(ours) == {"run 0", "run 1", "run 2", "run 3"}
    for store, name in ((a, "run 0"), (a, "run 1"), (b, "run 2"), (b, "run 3")):
        run_id = active(client_of(store))[name].info.run_id
        assert ours[name].info.run_id == run_id
        assert everything(client_of(into), run_id) == everything(client_of(store), run_id)
        assert (into.parent / "mlartifacts" / run_id / "artifacts" / "table.csv").read_text() == "a,b\n"
    assert {e.name for e in client_of(into).search_experiments()} == {"Default", "ftl", "other"}


def test_merging_again_adds_only_what_is_new(jobs, new_store, client_of):
    (a, b), into = jobs, new_store("all")
    merge_stores([a, b], into)
    write_records([a_record(4)], uri(b))
    assert [(m.n_copied, m.n_duplicates) for m in merge_stores([b, a], into)] == [(1, 3), (0, 3)]
    assert len(active(client_of(into))) == 6


def test_a_target_that_is_missing_is_made(jobs, tmp_path, client_of, empty_store, monkeypatch):
    def create(path):  # what mlflow makes in seconds
        path.parent.mkdir()
        shutil.copyfile(empty_store, path)

    monkeypatch.setattr("ftl.tracking.merge.create", create)
    merge_stores(jobs, tmp_path / "new" / "all.db")
    assert len(active(client_of(tmp_path / "new" / "all.db"))) == 5


def test_artifacts_are_found_beside_a_store_that_was_moved(jobs, new_store, tmp_path):
    a, _ = jobs
    shutil.move(a.parent, tmp_path / "brought")
    (merged,) = merge_stores([tmp_path / "brought" / "mlflow.db"], new_store("all"))
    assert (merged.n_copied, merged.n_without_artifacts) == (3, 0)
    assert len(list((tmp_path / "all" / "mlartifacts").rglob("table.csv"))) == 3


def test_artifacts_left_behind_are_counted(jobs, new_store, tmp_path):
    a, _ = jobs
    shutil.rmtree(a.parent / "mlartifacts")
    into = new_store("all")
    merged = merge_stores([a], into)
    assert merged[0].n_without_artifacts == 3
    assert "3 without artifacts, as their folder was not found" in merge_sentences(merged, into)[0]


def test_runs_made_by_mlflow_alone_come_too(new_store, client_of):
    a, into = new_store("a"), new_store("all")
    client = client_of(a)
    run = client.create_run(client.create_experiment("mine", tags={"why": "test"}))
    client.log_metric(run.info.run_id, "loss", float("nan"), step=2)
    merge_stores([a], into)
    history = client_of(into).get_metric_history(run.info.run_id, "loss")
    assert [(m.step, str(m.value)) for m in history] == [(2, "nan")]
    assert client_of(into).get_experiment_by_name("mine").tags["why"] == "test"
    assert client_of(into).get_run(run.info.run_id).info.status == "RUNNING"


def test_the_summary_says_what_came_from_where(jobs, new_store):
    into = new_store("all")
    said = merge_sentences(merge_stores(jobs, into), into)
    assert said[0] == f"{jobs[0]}: 3 runs copied"
    assert said[1] == f"{jobs[1]}: 2 runs copied, 1 there already"
    assert said[2] == f"{into}: 5 runs added from 2 files"


def test_what_cannot_be_merged_is_a_clear_error_and_nothing_is_written(jobs, new_store, tmp_path, monkeypatch):
    monkeypatch.setattr("ftl.tracking.database.LOCK_SECONDS", 0.1)
    a, into = jobs[0], tmp_path / "none" / "all.db"
    text, other, newer = tmp_path / "text.db", tmp_path / "other.db", new_store("newer")
    text.write_text("not a database " * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("create table mine (x)")
    with sqlite3.connect(newer) as connection:
        connection.execute("update alembic_version set version_num = 'ffff'")
    for sources, message in (
        ([a, tmp_path / "missing.db"], "no such file"),
        ([a, text], "not an MLflow database"),
        ([a, other], "not one of MLflow"),
        ([a, newer], "another version of mlflow"),
        ([a, a], "cannot be merged twice"),
        ([a, into], "into itself"),
    ):
        with pytest.raises(ConfigError, match=message):
            merge_stores(sources, into)
    assert not into.exists()


@pytest.mark.parametrize("locked", ["source", "target"])
def test_a_locked_file_is_a_clear_error(jobs, new_store, monkeypatch, locked):
    monkeypatch.setattr("ftl.tracking.database.LOCK_SECONDS", 0.1)
    into = new_store("all")
    holder = sqlite3.connect(jobs[1] if locked == "source" else into, isolation_level=None)
    holder.execute("begin exclusive")
    with pytest.raises(ConfigError, match="locked.*Another process is writing to it"):
        merge_stores(jobs, into)
    holder.close()
    with sqlite3.connect(into) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (0,)
