"""What MLflow shows of a results folder is what its tables say."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ftl.errors import UserError
from ftl.evaluation.results import CELL_COLUMNS, read_results
from ftl.evaluation.summary import read_summary, summarise, write_summary
from ftl.tracking.cells import Cell
from ftl.tracking.results_folder import dvc_hashes, read_results_folder
from ftl.tracking.results_records import CELL_METRICS, COST_METRICS, SEED_METRICS, results_records
from tests.tracking.small_records import LINEAGE, PARAMS

CELL = list(CELL_COLUMNS)


@pytest.fixture(scope="module")
def content(results_once):
    return read_results_folder(results_once, lineage=LINEAGE)


@pytest.fixture(scope="module")
def records(content):
    return results_records(content, now=1_700_000_000_000)


def of_level(records, level):
    return [record for record in records if record.tags["level"] == level]


def values(record):
    """Metrics without a series."""
    return {p.name: p.value for p in record.points if p.name != "delta_f1_by_seed" and not p.name.startswith("round_")}


def series(record, name):
    return [(p.step, p.value) for p in record.points if p.name == name]


def test_there_is_a_run_for_every_cell_every_seed_of_it_and_every_dataset(content, records):
    n = len(content.summary)
    assert [record.tags["level"] for record in records] == ["cell"] * n + ["seed"] * 2 * n + ["report"] * 2
    assert {record.experiment for record in records} == {"ftl", "ftl seeds", "ftl reports"}
    assert len({(record.experiment, record.identity) for record in records}) == len(records)


def test_metrics_of_a_cell_equal_its_row_of_the_summary(content, records):
    for (_, row), record in zip(content.summary.iterrows(), of_level(records, "cell"), strict=True):
        expected = {name: float(row[name]) for name in CELL_METRICS if not math.isnan(row[name])}
        logged = {name: value for name, value in values(record).items() if name not in COST_METRICS}
        assert logged == expected
        assert record.tags.get("verdict_vs_local") == row["verdict_vs_local"]
        assert json.loads(str(record.artifacts["summary_row.json"]))["f1_median"] == row["f1_median"]


def test_metrics_of_a_seed_are_the_summary_of_its_rows_alone(content, records):
    for seed in (0, 1):
        own = summarise(content.results[content.results["seed"] == seed])
        runs = [record for record in of_level(records, "seed") if record.tags["seed"] == str(seed)]
        for (_, row), record in zip(own.iterrows(), runs, strict=True):
            assert values(record) == {n: float(row[n]) for n in SEED_METRICS if not math.isnan(row[n])}
            assert record.name.endswith(f"seed={seed}")
            assert record.params["seed"] == str(seed)


def test_the_series_by_seed_of_a_cell_is_what_its_seeds_say(records):
    seeds = of_level(records, "seed")
    for cell in of_level(records, "cell"):
        own = [s for s in seeds if s.tags["cell"] == cell.tags["cell"]]
        assert series(cell, "delta_f1_by_seed") == [(step, values(s)["delta_f1"]) for step, s in enumerate(own)]


def test_a_cohort_has_its_rounds_averaged_over_seeds_and_no_other_cell_has_any(records):
    for record in of_level(records, "cell"):
        losses = series(record, "round_train_loss")
        expected = [(r, pytest.approx(0.5 + 1 / r)) for r in (1, 2, 3)] if "policy" in record.tags else []
        assert losses == expected
        assert len(series(record, "round_n_clients_left_out")) == len(expected)


def test_rounds_of_another_protocol_stay_with_it(content):
    both = pd.concat([content.summary.iloc[[2]]] * 2, ignore_index=True).assign(protocol=["rigorous", "paper"])
    own = content.results[content.results["dataset"] == both["dataset"][0]]
    rows = [own.assign(protocol=name) for name in ("rigorous", "paper")]
    rounds = [content.rounds.assign(protocol=name, train_loss=k) for k, name in enumerate(("rigorous", "paper"))]
    mixed = replace(content, summary=both, results=pd.concat(rows), rounds=pd.concat(rounds))
    found = [{value for _, value in series(r, "round_train_loss")} for r in of_level(results_records(mixed), "cell")]
    assert found == [{0.0}, {1.0}]


def test_the_cost_of_an_arm_is_its_mean_over_targets(records):
    assert {values(record)["training_seconds"] for record in of_level(records, "cell")} == {1.5}


def test_bytes_are_logged_where_they_were_counted(content):
    counted = content.results.assign(bytes_sent=pd.array([10] * len(content.results), dtype="Int64"))
    first, *_ = results_records(replace(content, results=counted))
    assert values(first)["bytes_sent"] == 10
    assert "bytes_received" not in values(first)


def test_the_node_table_of_a_cell_holds_its_rows(records, tmp_path):
    for record in of_level(records, "cell"):
        (tmp_path / "t.csv").write_text(str(record.artifacts["node_table.csv"]))
        table = pd.read_csv(tmp_path / "t.csv")
        assert len(table) == 12
        assert (table["arm"] == record.tags["arm"]).all()
        assert (table["dataset"] == record.tags["dataset"]).all()


def test_an_infinite_value_is_named_in_a_tag_and_nan_is_left_out(content):
    summary = content.summary.copy()
    summary.loc[0, "cohens_d"], summary.loc[0, "delta_f1"] = np.inf, np.nan
    first, *_ = results_records(replace(content, summary=summary))
    assert not {"cohens_d", "delta_f1"} & values(first).keys()
    assert first.tags["infinite"] == "cohens_d"


def test_tags_say_cell_lineage_and_origin(records):
    tags = next(r for r in records if r.tags["arm"] == "transfer" and r.tags["dataset"] == "d1").tags
    expected = {
        "dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised", "policy": "top_n", "n_participants": "2",
        "arm": "transfer", "level": "cell", "git_commit": "c0ffee", "git_dirty": "false", "params_hash": "abc",
        "data_fingerprint": "f" * 64, "origin": "simulated", "lineage": LINEAGE.key("d1"), "dvc_md5": "a1.dir",
        "results": LINEAGE.results_key, "cell": "d1/rigorous/unsupervised/top_n/2/transfer",
    }  # fmt: skip
    assert expected.items() <= tags.items()
    assert not {"policy", "n_participants", "seed"} & records[0].tags.keys()


def test_the_data_is_an_input_with_fingerprint_and_dvc_hash(records):
    (entry,) = records[0].inputs
    assert (entry.name, entry.digest, entry.tags["dvc_md5"]) == ("d1", "f" * 64, "a1.dir")
    assert json.loads(entry.source)["origin"] == "simulated"
    assert all("dvc_md5" not in r.inputs[0].tags for r in records if r.tags["dataset"] == "d2")


def test_parameters_are_flat_and_those_of_another_dataset_left_out(records):
    params = {r.tags["dataset"]: r.params for r in of_level(records, "cell")}
    assert params["d1"]["federate.n_rounds"] == "7"
    assert params["d1"]["select.n_participants"] == "[2, 12]"
    assert (params["d1"]["source.source"], params["d2"]["source.source"]) == ("simulated", "node_tables")
    assert not [name for name in params["d1"] if name.startswith("datasets")]


def test_there_is_one_report_run_per_dataset_with_its_own_figures_and_rows(records):
    one, two = of_level(records, "report")
    assert {"figures/nodes_d1_rigorous.png", "figures/arms.png", "report/report.html"} <= one.artifacts.keys()
    assert "figures/nodes_d2_rigorous.png" not in one.artifacts
    assert {"summary.csv", "rounds.csv", "params.json", "fleet.json"} <= one.artifacts.keys()
    assert "d1," in str(one.artifacts["summary.csv"])
    assert "d2," not in str(one.artifacts["summary.csv"])
    assert {"delta_f1_unsupervised", "auroc_best_arm_unsupervised"} <= values(two).keys()
    assert "transfer beat both" in two.tags["mlflow.note.content"]


def test_names_sort_by_number_of_participants_and_protocols_differ():
    cell = Cell("d1", "rigorous", "unsupervised", "top_n", 5, "transfer")
    assert cell.run_name(3) == "d1 unsupervised transfer top_n N=005"
    assert sorted([cell._replace(n_participants=12).run_name(2), cell.run_name(2)])[0] == cell.run_name(2)
    assert cell._replace(protocol="paper").run_name(3) != cell.run_name(3)


def test_the_list_shows_runs_in_the_order_of_the_summary(records):
    starts = [record.start for record in records]
    assert starts == sorted(starts, reverse=True)
    assert len(set(starts)) == len(starts)


def test_no_metric_is_named_after_a_node_and_there_are_few(records):
    names = {point.name for record in records for point in record.points}
    assert not [name for name in names if "n0" in name or "n1" in name]
    assert len({p.name for r in of_level(records, "cell") for p in r.points}) <= 40


@pytest.mark.parametrize("missing", ["rounds.csv", "params.json", "fleets.json", "report/report.html"])
def test_what_an_older_folder_lacks_is_left_out_and_said(results_folder, missing):
    (results_folder / missing).unlink()
    content = read_results_folder(results_folder)
    assert bool(content.notes) == (missing != "report/report.html")
    assert not content.notes or missing in content.notes[0]
    assert len(results_records(content)) == 3 * len(content.summary) + 2


def test_a_folder_without_results_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match=r"no results\.parquet there.*dvc repro"):
        read_results_folder(tmp_path)


def test_a_summary_of_other_results_is_refused(results_folder):
    summary = read_summary(results_folder / "summary.csv")
    write_summary(summary.assign(f1_after=summary["f1_after"] + 0.01), results_folder / "summary.csv")
    with pytest.raises(UserError, match=r"not of the same run \(F1 of d1/rigorous.*evaluate again"):
        read_results_folder(results_folder)


def test_lineage_is_found_in_the_folder(results_folder):
    content = read_results_folder(results_folder)
    assert content.params == PARAMS
    assert content.lineage.fingerprint("d1") == "f" * 64
    assert content.lineage.origin["d2"] == "real"
    assert content.racks["d1"]["n0"] is None


def test_without_fleets_json_the_card_of_the_prepared_fleet_is_read(results_folder):
    (results_folder / "fleets.json").unlink()
    (results_folder / "fleets" / "d1").mkdir(parents=True)
    (results_folder / "fleets" / "d1" / "fleet.json").write_text('{"name": "d1", "fingerprint": "x", "origin": "real"}')
    assert read_results_folder(results_folder).lineage.fingerprint("d1") == "x"


def test_the_hash_of_dvc_comes_from_the_lock_beside_the_folder(results_folder):
    lock = {"stages": {"prepare@d1": {"outs": [{"path": "artifacts/fleets/d1", "hash": "md5", "md5": "ab.dir"}]}}}
    (results_folder.parent / "dvc.lock").write_text(json.dumps(lock))
    assert dvc_hashes(results_folder, ["d1", "d2"]) == {"d1": "ab.dir"}
    assert read_results_folder(results_folder).lineage.tags("d1")["dvc_md5"] == "ab.dir"


@pytest.mark.parametrize("text", ["", "[1]", "stages: [", "stages: {a: {outs: [{path: x}]}}"])
def test_a_lock_that_says_nothing_of_the_fleet_gives_no_hash(results_folder, text):
    (results_folder.parent / "dvc.lock").write_text(text)
    assert dvc_hashes(results_folder, ["d1"]) == {}


def test_tables_on_disk_are_what_was_read(results_once, content):
    pd.testing.assert_frame_equal(content.summary, read_summary(results_once / "summary.csv"))
    pd.testing.assert_frame_equal(content.results, read_results(results_once / "results.parquet"))
