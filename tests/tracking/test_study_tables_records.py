"""What MLflow shows of studies of fleets is what their tables say, with a series over the length of history."""

import json
import math
import shutil
from contextlib import suppress

import pandas as pd
import pytest

from ftl.errors import UserError
from ftl.studies.coldstart.arms import ARMS
from ftl.tracking.coldstart_records import BYTES, SERIES, USABLE, history_steps
from ftl.tracking.merge import merge_stores
from ftl.tracking.recording import log_results_folder, log_studies
from ftl.tracking.spool import sync
from ftl.tracking.study_tables import read_studies
from ftl.tracking.study_tables_records import study_tables_records
from tests.tracking.small_records import LINEAGE, uri
from tests.tracking.small_studies import STUDY_PARAMS, write_cards, write_coldstart, write_policies

DEAD = "http://127.0.0.1:9"
N_RUNS = {"coldstart": 8, "policies": 6, "report": 3}


@pytest.fixture(scope="module")
def studies_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "results"
    write_coldstart(folder / "coldstart")  # as the pipeline leaves it
    write_policies(folder)
    write_cards(folder)
    figures = folder / "report" / "figures"
    figures.mkdir(parents=True)
    for name in ("coldstart_d1.png", "coldstart_d2.png", "nodes_d1.png"):
        (figures / name).write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def folder(studies_once, tmp_path):
    return shutil.copytree(studies_once, tmp_path / "results")


@pytest.fixture(scope="module")
def records(studies_once):
    return study_tables_records(read_studies(studies_once), STUDY_PARAMS, LINEAGE, now=1_700_000_000_000)


@pytest.fixture(scope="module")
def read(studies_once):
    """A table, its numbers exactly as written."""

    def table(name):
        words = pd.read_csv(studies_once / name, dtype=object, keep_default_na=False)
        for column in words:
            with suppress(ValueError):
                words[column] = [float(word) if word else math.nan for word in words[column]]
        return words

    return table


@pytest.fixture(autouse=True)
def no_retries(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def of_level(records, level):
    return [record for record in records if record.tags["level"] == level]


def series(record, name):
    return [(point.step, point.value) for point in record.points if point.name == name]


def runs_of(client, experiment):
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_a_series_has_one_point_per_length_of_history_as_the_summary_says(records, read):
    summary = read("coldstart/coldstart_summary.csv")
    for record in of_level(records, "coldstart"):
        own = summary[(summary["dataset"] == record.tags["dataset"]) & (summary["arm"] == record.tags["arm"])]
        own = own.sort_values("hours")
        for name in SERIES:
            assert series(record, name) == list(zip((2, 8, 100), own[name], strict=True))
        assert series(record, "history_hours") == [(2, 2.0), (8, 8.0), (100, pytest.approx(100.4))]


def test_the_difference_to_local_is_a_series_with_its_interval_and_local_has_none(records, read):
    table = read("coldstart/coldstart_differences.csv")
    table = table[table["against"] == "local"]
    names = {"f1": ("delta_f1", "ci_low", "ci_high"), "auroc": ("delta_auroc", "ci_low_auroc", "ci_high_auroc")}
    for record in of_level(records, "coldstart"):
        own = table[(table["dataset"] == record.tags["dataset"]) & (table["arm"] == record.tags["arm"])]
        for metric, of_metric in names.items():
            rows = own[own["metric"] == metric]
            assert len(rows) == (0 if record.tags["arm"] == "local" else 3)
            for name, column in zip(of_metric, ("delta", "ci_low", "ci_high"), strict=True):
                assert [value for _, value in series(record, name)] == list(rows[column])


def test_single_values_say_f1_at_every_length_and_when_alarms_are_usable(records, read):
    usable = read("coldstart/coldstart_usable.csv").set_index(["dataset", "arm"])
    assert usable["hours_until_usable"].notna().any()
    for record in of_level(records, "coldstart"):
        found = {point.name: point.value for point in record.points}
        assert (found["f1_at_2h"], found["f1_at_8h"], found["f1_full"]) == tuple(v for _, v in series(record, "f1"))
        assert (found["fpr_at_2h"], found["fpr_full"]) == (series(record, "fpr")[0][1], series(record, "fpr")[-1][1])
        expected = usable.loc[(record.tags["dataset"], record.tags["arm"])]
        assert {n: found[n] for n in USABLE if n in found} == {n: v for n in USABLE if not math.isnan(v := expected[n])}
        hours = expected["hours_until_usable"]
        assert record.tags["usable"] == ("never" if math.isnan(hours) else f"from {hours:.3g} h")
        assert [found[name] for name in BYTES] == [80, 40]
        assert len(found) <= 40


def test_an_arm_has_its_meaning_its_parameters_and_its_own_rows(records, tmp_path):
    (arm,) = [r for r in of_level(records, "coldstart") if r.name == "d1 zero_shot"]
    assert arm.experiment == "ftl coldstart"
    assert arm.params["arm_means"] == ARMS["zero_shot"].means
    assert arm.params["coldstart.n_folds"] == "3"
    assert arm.params["source.source"] == "simulated"
    assert not [name for name in arm.params if name.startswith("study_")]
    assert {"lineage": LINEAGE.key("d1"), "origin": "simulated", "arm": "zero_shot"}.items() <= arm.tags.items()
    assert set(arm.artifacts) == {"summary.csv", "differences.csv", "node_table.csv", "figures/coldstart_d1.png"}
    (tmp_path / "t.csv").write_text(str(arm.artifacts["node_table.csv"]))
    nodes = pd.read_csv(tmp_path / "t.csv")
    assert (len(nodes), set(nodes["arm"]), set(nodes["dataset"])) == (18, {"zero_shot"}, {"d1"})


def test_the_transfer_policy_carries_its_decisions(records):
    (policy,) = [r for r in of_level(records, "coldstart") if r.name == "d2 transfer_policy"]
    lines = str(policy.artifacts["decisions.csv"]).splitlines()
    assert len(lines) == 1 + 18
    assert all(line.startswith("d2,") for line in lines[1:])


@pytest.mark.parametrize(
    ("asked", "unit", "expected"),
    [
        ((2, 168), "hours", [2, 168, 711]),
        ((1.5, 2), "minutes", [90, 120, 42660]),
        ((0.25, 1), "minutes", [15, 60, 42660]),
        ((0.01, 0.0125), "seconds", [36, 45, 2559600]),
        ((2, 900), "hours", [2, 900, 901]),
    ],
)
def test_steps_are_whole_hours_or_the_largest_unit_that_keeps_lengths_apart(asked, unit, expected):
    lengths = [*map(str, asked), ""]
    table = pd.DataFrame({"dataset": "d", "protocol": "p", "asked_hours": lengths, "hours": [*map(str, asked), "711"]})
    found, steps = history_steps(table)
    assert found == unit
    assert [steps["d", "p", length] for length in lengths] == expected


def test_a_row_of_another_study_is_a_run_numbers_as_metrics_and_texts_as_tags(records, read):
    summary = read("policies_summary.csv")
    for (_, row), record in zip(summary.iterrows(), of_level(records, "policies"), strict=True):
        assert record.experiment == "ftl policies"
        numbers = {n: v for n, v in row.items() if isinstance(v, float)}
        expected = {n: v for n, v in numbers.items() if math.isfinite(v)}
        assert {point.name: point.value for point in record.points} == expected
        words = {"policy": row["policy"], "ranked_by": row["ranked_by"], "arm": row["arm"], "sure": "true"}
        assert words.items() <= record.tags.items()
        assert record.tags.get("infinite") == ("cost" if row["policy"] == "all" else None)
        assert record.tags["dataset"] == "d1"  # which its rows say, not its summary
        assert record.params["study_policies.n_draws"] == "2"
        assert "coldstart.n_folds" not in record.params


def test_a_row_carries_its_own_differences_and_nodes(records, tmp_path):
    names = [record.name for record in of_level(records, "policies")]
    assert names[:3] == [
        "d1 policy=all zero_shot hours=24",
        "d1 policy=all full_fine_tune",
        "d1 top_n zero_shot hours=24",
    ]
    for record in of_level(records, "policies"):
        (tmp_path / "nodes.csv").write_text(str(record.artifacts["node_table.csv"]))
        nodes = pd.read_csv(tmp_path / "nodes.csv")
        assert (len(nodes), set(nodes["policy"]), set(nodes["arm"])) == (
            6,
            {record.tags["policy"]},
            {record.tags["arm"]},
        )
        assert ("differences.csv" in record.artifacts) == (record.tags["policy"] != "random_n")


def test_every_study_of_a_fleet_is_a_report_with_all_of_its_tables(records):
    of_d1, of_d2, policies = of_level(records, "report")
    assert (of_d1.name, of_d1.experiment, policies.name) == ("d1 coldstart", "ftl reports", "d1 policies")
    names = ("summary", "differences", "usable", "decisions")
    assert {f"coldstart_{name}.csv" for name in names} | {"figures/coldstart_d1.png"} == set(of_d1.artifacts)
    assert "d1," not in str(of_d2.artifacts["coldstart_summary.csv"])


def test_runs_stand_in_the_order_of_the_tables_and_none_twice(records):
    starts = [record.start for record in records]
    assert starts == sorted(starts, reverse=True)
    assert len({(record.experiment, record.identity) for record in records}) == len(records) == sum(N_RUNS.values())


def test_the_store_holds_them_once_however_often_they_are_logged(folder, database, client_of):
    first, again = (log_studies(folder, uri(database)) for _ in range(2))
    assert first == again
    assert first.levels == N_RUNS
    assert first.lineage.keys() == {"d1", "d2"}
    client = client_of(database)
    runs = runs_of(client, "ftl coldstart")
    assert len(runs) == 8
    (run,) = [run for run in runs if run.info.run_name == "d1 zero_shot"]
    assert [m.step for m in sorted(client.get_metric_history(run.info.run_id, "f1"), key=lambda m: m.step)] == [
        2,
        8,
        100,
    ]
    assert run.data.metrics["f1"] == run.data.metrics["f1_full"]
    assert json.loads(run.inputs.dataset_inputs[0].dataset.source)["origin"] == "simulated"
    assert (run.data.params["coldstart.n_folds"], run.data.tags["data_fingerprint"]) == ("3", "f" * 64)
    assert len(runs_of(client, "ftl policies")) == 6


def test_merging_copies_their_series(folder, new_store, client_of):
    source, into = new_store("job"), new_store("all")
    log_studies(folder, uri(source))
    (merged,) = merge_stores([source], into)
    assert merged.n_copied == sum(N_RUNS.values())
    client = client_of(into)
    (run,) = [run for run in runs_of(client, "ftl coldstart") if run.info.run_name == "d2 local"]
    assert len(client.get_metric_history(run.info.run_id, "auroc")) == 3


def test_what_no_store_takes_waits_and_is_sent_later(folder, database, client_of):
    tracked = log_studies(folder, DEAD)
    assert (tracked.sent.n_sent, tracked.sent.n_spooled) == (0, sum(N_RUNS.values()))
    assert "ftl mlflow sync" in tracked.sentences()[-1]
    assert sync(folder, uri(database)).n_sent == sum(N_RUNS.values())
    assert len(runs_of(client_of(database), "ftl coldstart")) == 8


def test_a_folder_without_studies_logs_nothing_and_says_so(tmp_path):
    store = tmp_path / "store" / "mlflow.db"
    tracked = log_studies(tmp_path, uri(store))
    assert (tracked.levels, tracked.sent.n_sent) == ({}, 0)
    assert tracked.sentences() == [f"MLflow: no tables of a study lie in {tmp_path}."]
    assert not store.parent.exists()


def test_studies_beside_an_experiment_are_logged_with_it(results_folder, database, client_of):
    write_policies(results_folder)
    tracked = log_results_folder(results_folder, uri(database))
    assert tracked.levels == {"cell": 8, "seed": 16, "report": 3, "policies": 6}
    assert len(runs_of(client_of(database), "ftl policies")) == 6
    run = runs_of(client_of(database), "ftl policies")[0]
    assert run.data.tags["lineage"] == tracked.lineage["d1"]


def test_tables_that_are_not_whole_are_a_clear_error(folder, database):
    usable = folder / "coldstart" / "coldstart_usable.csv"
    usable.rename(usable.with_suffix(".bak"))
    with pytest.raises(UserError, match=r"coldstart_usable\.csv is missing .* run the study again"):
        log_studies(folder, uri(database))
    usable.with_suffix(".bak").rename(usable)
    summary = folder / "coldstart" / "coldstart_summary.csv"
    summary.write_text(summary.read_text().replace("fpr", "rate", 1))
    with pytest.raises(UserError, match=r"coldstart_summary\.csv has no column fpr"):
        log_studies(folder, uri(database))
    (folder / "policies.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"policies\.parquet: cannot be read"):
        log_studies(folder, uri(database))


def test_a_summary_that_names_no_fleet_needs_rows_of_one(folder):
    rows = pd.read_parquet(folder / "policies.parquet")
    pd.concat([rows, rows.assign(dataset="d2")]).to_parquet(folder / "policies.parquet", index=False)
    with pytest.raises(UserError, match="no column dataset, and these rows name 2 of them"):
        read_studies(folder)
