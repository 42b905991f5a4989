import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.errors import ConfigError
from ftl.evaluation.results import CELL_COLUMNS
from ftl.tracking.environment import quiet_environment
from ftl.tracking.lineage import Lineage
from ftl.tracking.runs import CELL, Cell, log_summary

quiet_environment()

LINEAGE = Lineage("c0ffee", False, "abc", {"d1": "f" * 64, "d2": "e" * 64}, {"d1": "simulated", "d2": "real"}, "0.1")
COHORT_ARMS = ["transfer", "zero_shot"]
PARAMS = {"federate": {"n_rounds": 7, "n_participants": [3, 12]}, "seed": 1, "many": {f"p{i}": i for i in range(230)}}


def summary_table() -> pd.DataFrame:
    rows = []
    for dataset in ("d1", "d2"):
        rows += [{"dataset": dataset, "arm": "local", "policy": None, "n_participants": None}]
        rows += [
            {"dataset": dataset, "arm": arm, "policy": "top_n", "n_participants": n}
            for arm in COHORT_ARMS
            for n in (3, 12)
        ]
    table = pd.DataFrame(rows).astype({"n_participants": "Int64"})
    table = table.assign(protocol="rigorous", paradigm="unsupervised")[CELL]
    rng = np.random.default_rng(0)
    for name in ("delta_f1", "cohens_d", "p_holm", "f1_after"):
        table[name] = rng.normal(size=len(table))
    table["n_targets"] = pd.array([None, 17, 8, 17, 8] * 2, dtype="Int64")
    table["significant"] = table["delta_f1"] > 0
    table["verdict_vs_local"] = "no difference"
    table.loc[0, "delta_f1"] = np.nan
    table.loc[1, "cohens_d"] = np.inf
    return table


def results_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Three nodes per cell; f1 says which cell a row belongs to."""
    rows = summary[CELL].assign(f1=np.arange(len(summary)) / 100)
    return pd.concat([rows.assign(node=f"n{k}") for k in range(3)], ignore_index=True)


def rounds_table() -> pd.DataFrame:
    rows = [
        {"dataset": d, "paradigm": "unsupervised", "policy": "top_n", "n_participants": n, "draw": 0, "seed": seed,
         "round": r, "train_loss": n + seed + 1 / r}
        for d in ("d1", "d2") for n in (3, 12) for seed in (0, 1) for r in range(1, 1201)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"n_participants": "int32"})


class Store:
    """A real sqlite store; making its schema takes seconds, so a module shares one."""

    def __init__(self, folder):
        from mlflow import MlflowClient

        self.uri = f"sqlite:///{folder}/deep/mlflow.db"
        self.folder = folder / "deep"
        self.summary = summary_table()
        self.results = results_table(self.summary)
        self.ids = log_summary(self.summary, self.results, PARAMS, rounds_table(), LINEAGE, self.uri)
        self.client = MlflowClient(self.uri)
        self.runs = [self.client.get_run(run_id) for run_id in self.ids]

    def log_again(self, experiment, lineage=LINEAGE):
        """The same summary, with few parameters and no rounds, into another experiment of the store."""
        return log_summary(self.summary, self.results, {"seed": 1}, None, lineage, self.uri, experiment)

    def active(self, experiment):
        found = self.client.get_experiment_by_name(experiment)
        return self.client.search_runs([found.experiment_id])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def test_every_metric_equals_the_summary(store):
    numeric = store.summary.drop(columns=[*CELL, "verdict_vs_local"]).astype(float)
    for (_, row), run in zip(numeric.iterrows(), store.runs, strict=True):
        expected = {name: value for name, value in row.items() if np.isfinite(value)}
        logged = {name: value for name, value in run.data.metrics.items() if name != "round_train_loss"}
        assert logged == expected


def test_what_no_store_keeps_is_named_in_a_tag(store):
    assert "cohens_d" not in store.runs[1].data.metrics
    assert store.runs[1].data.tags["infinite"] == "cohens_d"
    assert "infinite" not in store.runs[2].data.tags


def test_runs_are_flat_and_finished(store):
    assert len(store.active("ftl")) == len(store.summary)
    for run in store.runs:
        assert "mlflow.parentRunId" not in run.data.tags
        assert run.info.status == "FINISHED"


def test_run_names_sort_by_number_of_participants(store):
    names = [run.info.run_name for run in store.runs if "transfer" in run.info.run_name]
    assert names == sorted(names)
    assert names[0] == "d1 unsupervised transfer top_n N=03"


def test_a_cell_is_the_key_of_a_summary_row():
    assert Cell._fields == CELL_COLUMNS


def test_names_of_two_protocols_differ():
    cell = Cell("d1", "rigorous", "unsupervised", "top_n", 5, "transfer")
    assert cell.run_name(3) == "d1 unsupervised transfer top_n N=005"
    assert cell._replace(protocol="paper").run_name(3) != cell.run_name(3)


def test_tags_say_cell_lineage_origin_and_verdict(store):
    tags = store.runs[6].data.tags
    expected = {
        "dataset": "d2", "protocol": "rigorous", "paradigm": "unsupervised", "policy": "top_n", "n_participants": "3",
        "arm": "transfer", "git_commit": "c0ffee", "git_dirty": "false", "params_hash": "abc",
        "data_fingerprint": "e" * 64, "origin": "real", "lineage": LINEAGE.key("d2"),
        "verdict_vs_local": "no difference",
    }  # fmt: skip
    assert expected.items() <= tags.items()
    assert not {"policy", "n_participants"} & store.runs[0].data.tags.keys()


def test_all_parameters_are_logged_flat_beyond_one_batch(store):
    params = store.runs[1].data.params
    assert params["federate.n_rounds"] == "7"
    assert params["federate.n_participants"] == "[3, 12]"
    assert params["n_participants"] == "3"
    assert {f"many.p{i}" for i in range(230)} <= params.keys()


def test_a_cohort_has_its_loss_averaged_over_seeds_for_every_round(store):
    series = store.client.get_metric_history(store.ids[2], "round_train_loss")
    assert {m.step: m.value for m in series} == {r: pytest.approx(12.5 + 1 / r) for r in range(1, 1201)}


def test_an_arm_without_a_cohort_has_no_rounds(store):
    assert "round_train_loss" not in store.runs[0].data.metrics


def test_rounds_of_another_protocol_stay_with_it(store):
    both = pd.concat([store.summary.iloc[[1]]] * 2, ignore_index=True).assign(protocol=["rigorous", "paper"])
    rounds = pd.concat(
        [rounds_table().query("round < 4").assign(protocol=p, train_loss=v) for p, v in [("rigorous", 1), ("paper", 2)]]
    )
    ids = log_summary(both, store.results, {}, rounds, LINEAGE, store.uri, "protocols")
    assert [store.client.get_run(i).data.metrics["round_train_loss"] for i in ids] == [1, 2]


def test_the_dataset_is_an_input_with_the_fingerprint_as_digest(store):
    (entry,) = store.runs[0].inputs.dataset_inputs
    assert entry.dataset.name == "d1"
    assert len(entry.dataset.digest) >= 32
    assert LINEAGE.fingerprint("d1").startswith(entry.dataset.digest)


def test_the_node_table_holds_the_rows_of_its_cell_and_lies_beside_the_database(store):
    from mlflow.utils.file_utils import local_file_uri_to_path

    for number in (0, 3):
        artifacts = local_file_uri_to_path(store.runs[number].info.artifact_uri)
        assert artifacts.startswith(str(store.folder / "mlartifacts"))
        table = pd.read_csv(Path(artifacts) / "node_table.csv")
        assert table["node"].tolist() == ["n0", "n1", "n2"]
        assert (table["f1"] == number / 100).all()


def test_a_rerun_replaces_the_runs_of_its_lineage(store):
    first = store.log_again("rerun")
    second = store.log_again("rerun")
    assert {run.info.run_id for run in store.active("rerun")} == set(second)
    assert not set(first) & set(second)


def test_a_run_left_unfinished_by_a_kill_is_replaced(store):
    first = store.log_again("killed")
    store.client.update_run(first[0], status="RUNNING")
    store.log_again("killed")
    assert {run.info.status for run in store.active("killed")} == {"FINISHED"}


def test_a_rerun_with_other_parameters_keeps_the_earlier_runs(store):
    store.log_again("lineages")
    store.log_again("lineages", replace(LINEAGE, params_hash="other"))
    assert len(store.active("lineages")) == 2 * len(store.summary)


def test_logging_is_cheap(store):
    start = time.process_time()
    store.log_again("cost")
    assert (time.process_time() - start) / len(store.summary) < 0.5  # the fluent API takes 0.9 s, this about 0.05 s


def test_a_parameter_too_long_for_mlflow_is_cut_visibly(store):
    (run_id,) = log_summary(store.summary.iloc[[0]], store.results, {"a": "x" * 9000}, None, LINEAGE, store.uri, "long")
    value = store.client.get_run(run_id).data.params["a"]
    assert value.endswith("(cut)")
    assert len(value) == 6000


def log_to(uri):
    summary = summary_table()
    return log_summary(summary, results_table(summary), {}, None, LINEAGE, uri)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    with pytest.raises(ConfigError, match=r"mlflow\.db: .*not a database.*results on disk are complete"):
        log_to(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_database_of_a_newer_mlflow_is_a_clear_error(tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("create table alembic_version(version_num varchar)")
        database.execute("insert into alembic_version values ('ffffffffffff')")
    with pytest.raises(ConfigError, match="Another version of mlflow made it"):
        log_to(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_server_that_does_not_answer_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match="Check that the server runs"):
        log_to("http://127.0.0.1:9")
