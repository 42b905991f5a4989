"""`ftl run` on telemetry as it comes: refused with a sentence that says what to mend, or used with a counted repair."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.results import read_results
from ftl.evaluation.summary import read_summary

Tables = dict[str, pd.DataFrame]
Spoil = Callable[[Tables], object]


@pytest.fixture
def fleet(tables: Callable[[], Tables], tmp_path: Path) -> Path:
    """A copy of the small fleet, to be spoilt."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    for name, table in tables().items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def no_pictures(run: object) -> list[object]:
    return []


@pytest.fixture
def run(ftl, fleet: Path, least: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable:
    """`ftl run` with the least settings and some more, after something was done to the tables (None: as they are).

    Its report has no figures, which take longer than the whole method, unless they are asked for.
    """

    def command(spoil: Spoil | None = None, *words: str, figures: bool = False) -> tuple:
        if not figures:
            monkeypatch.setattr("ftl.reporting.report.draw_pictures", no_pictures)
        if spoil is not None:
            tables = {path.stem: pd.read_parquet(path) for path in sorted(fleet.iterdir())}
            before = set(tables)
            spoil(tables)
            for name, table in tables.items():
                table.to_parquet(fleet / f"{name}.parquet", index=False)
            for name in before - set(tables):
                (fleet / f"{name}.parquet").unlink()
        return ftl("run", fleet, "--out", fleet.parent / "out", *least, *words)

    return command


def assert_refused(said, *parts: str) -> None:
    assert said.code == 2, said
    assert "Traceback" not in said.err + said.out
    for part in parts:
        assert part in said.err, said.err
    assert len(said.err.strip().splitlines()) == 1, said.err


def assert_used(said, tmp_path: Path, *parts: str) -> pd.DataFrame:
    """The run ended well, and terminal and report both say what was done; returns the results."""
    assert said.code == 0, said.err
    report = (tmp_path / "out" / "report" / "report.md").read_text()
    for part in parts:
        assert part in said.out, said.out
        assert part in report
    return read_results(tmp_path / "out" / "results.parquet")


# Folders and files


def test_a_missing_folder(ftl, tmp_path: Path) -> None:
    said = ftl("run", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert_refused(said, "nowhere: no such folder", "give the folder that holds the telemetry")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder(ftl, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    said = ftl("run", tmp_path / "fleet", "--out", tmp_path / "out")
    assert_refused(said, "fleet: no node table", "one file per node is needed")


def test_a_truncated_parquet_file(run, fleet: Path) -> None:
    path = fleet / "n3.parquet"
    path.write_bytes(path.read_bytes()[:2000])
    assert_refused(run(), "n3.parquet: node n3: cannot be read", "copy it again or remove it")


def test_a_file_that_is_no_parquet(run, fleet: Path) -> None:
    (fleet / "n9.parquet").write_text("hello")
    assert_refused(run(), "n9.parquet: node n9: cannot be read")


def test_results_may_not_go_where_the_tables_are(ftl, fleet: Path, least: list[str]) -> None:
    """The next run would take results.parquet for a node."""
    said = ftl("run", fleet, "--out", fleet / ".." / "fleet", *least)
    assert_refused(said, "--out", "fleet", "give another folder")
    assert not (fleet / "results.parquet").exists()


def test_results_cannot_go_into_a_file(ftl, fleet: Path, least: list[str]) -> None:
    taken = fleet.parent / "taken"
    taken.write_text("")
    assert_refused(ftl("run", fleet, "--out", taken, *least), "--out", "taken")


def test_a_wrong_fleet_yaml(run, fleet: Path) -> None:
    (fleet / "fleet.yaml").write_text("lable: value\n")
    assert_refused(run(), "fleet.yaml: unknown key 'lable'", "label")


# Columns


def text_in_a_feature(tables: Tables) -> None:
    tables["n2"]["fan"] = "fast"


def no_numeric_column(tables: Tables) -> None:
    tables["n2"] = tables["n2"][["step", "label"]]


def no_time(tables: Tables) -> None:
    tables["n2"] = tables["n2"].drop(columns="step")


def other_label(tables: Tables) -> None:
    tables["n2"].loc[tables["n2"].index[5], "label"] = 7


def nothing_in_common(tables: Tables) -> None:
    for name, table in tables.items():
        tables[name] = table.rename(columns={feature: f"{feature} of {name}" for feature in table.columns[1:5]})


def empty_everywhere(tables: Tables) -> None:
    for table in tables.values():
        table[["fan", "power", "temperature", "traffic"]] = np.nan


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (text_in_a_feature, ["n2.parquet: node n2", "'fan'", "text", "'fast'", "'ignore'"]),
        (no_numeric_column, ["n2.parquet: node n2", "no numeric feature column", "'label'"]),
        (no_time, ["n2.parquet: node n2", "no time column", "'timestamp' or 'step'", "fleet.yaml"]),
        (other_label, ["n2.parquet: node n2", "label column 'label'", "7", "map them in fleet.yaml"]),
        (nothing_in_common, ["node n1", "in all nodes before it", "rename columns"]),
        (empty_everywhere, ["column"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_columns_that_cannot_be_used_are_named(run, spoil: Callable[[Tables], None], parts: list[str]) -> None:
    assert_refused(run(spoil), *parts)


def test_a_column_empty_on_a_node_is_dropped_and_counted(run, tmp_path: Path) -> None:
    results = assert_used(
        run(lambda tables: tables["n1"].__setitem__("fan", np.nan)), tmp_path, "1 feature dropped, first 'fan'", "n1"
    )
    assert results["node"].nunique() == 6


def test_a_column_constant_on_a_node_is_used(run, tmp_path: Path) -> None:
    results = assert_used(run(lambda tables: tables["n1"].__setitem__("fan", 5.0)), tmp_path)
    local = results.query("arm == 'local' and node == 'n1'")
    assert np.isfinite(local[["auroc", "f1"]]).all().all()


def test_a_column_constant_on_all_nodes_is_muted_and_counted(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        for table in tables.values():
            table["fan"] = 5.0

    results = assert_used(run(spoil), tmp_path, "constant")
    assert np.isfinite(results.query("arm == 'transfer'")["auroc"]).all()


# Rows


def test_duplicate_time_steps_are_counted(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        tables["n4"] = pd.concat([tables["n4"], tables["n4"].iloc[10:17]])

    assert_used(run(spoil), tmp_path, "duplicate time steps dropped: 7")


def test_rows_that_lack_a_value_are_removed_and_counted(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        tables["n4"].iloc[20:33, 2] = np.nan

    assert_used(run(spoil), tmp_path, "13 rows")


def test_rows_without_any_value_are_removed_and_counted(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        tables["n4"].iloc[20:33, 1:5] = np.nan

    assert_used(run(spoil), tmp_path, "13 rows")


def test_infinite_values_are_counted(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        tables["n4"].iloc[20:25, 2] = np.inf

    assert_used(run(spoil), tmp_path, "infinite values set to missing: 5")


@pytest.mark.parametrize("n_rows", [0, 10])
def test_a_node_with_few_rows_is_left_out_and_named(run, tmp_path: Path, n_rows: int) -> None:
    def spoil(tables: Tables) -> None:
        tables["n4"] = tables["n4"][:n_rows]

    results = assert_used(
        run(spoil), tmp_path, "5 of 6 nodes", "Node n4 is left out", "no rows" if not n_rows else "10"
    )
    assert "n4" not in set(results["node"])


# Labels


def test_a_node_without_anomalies_counts_where_it_can(run, tmp_path: Path) -> None:
    results = assert_used(run(lambda tables: tables["n5"].__setitem__("label", 0)), tmp_path)
    of_node = results[results["node"] == "n5"]
    assert of_node[["precision", "recall", "f1", "auroc", "auprc"]].isna().all().all()
    assert of_node["tnr"].notna().all()
    local = read_summary(tmp_path / "out" / "summary.csv").query("arm == 'local'").iloc[0]
    assert (local["n_nodes"], local["n_without_anomalies"]) == (5, 1)


def test_a_fleet_without_test_anomalies_is_judged_by_false_alarms_alone(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        for table in tables.values():
            table.loc[table["step"] > 242, "label"] = 0

    said = run(spoil, "-S", "paradigms=[unsupervised,semi_supervised,supervised]", figures=True)
    results = assert_used(said, tmp_path, "6 nodes without a test anomaly", "no precision, recall or F1 there")
    assert results["f1"].isna().all()
    summary = read_summary(tmp_path / "out" / "summary.csv")
    assert summary[["delta_f1", "cohens_d", "p_t"]].isna().all().all()
    assert summary["tnr_after"].notna().all()
    others = summary[summary["arm"] != "local"]
    assert set(others["degenerate"]) == {"no node with anomalies"}


def test_a_fleet_without_labels_is_scored_and_not_judged(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        for name in tables:
            tables[name] = tables[name].drop(columns="label")

    said = run(spoil, "--dump-scores", "-S", "paradigms=[unsupervised,semi_supervised,supervised]", figures=True)
    results = assert_used(said, tmp_path, "label")
    assert (results["n_test_rows"] == 0).all()
    assert results[["f1", "tnr", "auroc"]].isna().all().all()
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert np.isfinite(scores["score"]).all()
    assert scores["label"].isna().all()


def test_rows_of_unknown_label_are_left_out_of_the_metrics(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        tables["n0"]["label"] = tables["n0"]["label"].astype("Int8")
        tables["n0"].loc[tables["n0"]["step"] >= 290, "label"] = pd.NA

    results = assert_used(run(spoil), tmp_path, "10 rows")
    assert set(results.query("node == 'n0'")["n_test_rows"]) == {43}
    assert set(results.query("node != 'n0'")["n_test_rows"]) == {53}


def test_a_node_whose_training_rows_are_all_anomalous_is_left_out_and_named(run, tmp_path: Path) -> None:
    said = run(lambda tables: tables["n3"].__setitem__("label", 1))
    results = assert_used(said, tmp_path, "5 of 6 nodes", "Node n3 is left out", "labelled anomalous")
    assert "n3" not in set(results["node"])


def test_a_node_without_any_value_is_left_out_and_named(run, tmp_path: Path) -> None:
    said = run(lambda tables: tables["n3"].__setitem__(["fan", "power", "temperature", "traffic"], np.nan))
    results = assert_used(said, tmp_path, "5 of 6 nodes", "Node n3 is left out", "none of its 4 feature columns")
    assert "n3" not in set(results["node"])


# Cohorts


@pytest.mark.parametrize("n", [6, 7, 100])
def test_as_many_participants_as_nodes_leave_no_target(run, n: int) -> None:
    said = run(None, "-S", f"select.n_participants=[2,{n}]")
    assert_refused(said, "select.n_participants", "6 usable nodes", f"got {n}", "[1, 5]", "-S select.n_participants=")


def test_a_single_node_cannot_federate(run) -> None:
    said = run(lambda tables: [tables.pop(name) for name in list(tables)[1:]])
    assert_refused(said, "fleet", "1 usable node", "at least 2")


def test_nodes_left_out_do_not_count_as_targets(run) -> None:
    def spoil(tables: Tables) -> None:
        for name in ("n2", "n3", "n4", "n5"):
            tables[name] = tables[name][:10]

    assert_refused(run(spoil), "2 usable nodes", "got 2")


def test_two_nodes_are_enough_and_one_target_is_no_statistic(run, tmp_path: Path) -> None:
    def spoil(tables: Tables) -> None:
        for name in ("n2", "n3", "n4", "n5"):
            tables.pop(name)

    said = run(spoil, "-S", "select.n_participants=[1]", "-S", "select.policies=[top_n]", figures=True)
    results = assert_used(said, tmp_path)
    assert len(results.query("arm == 'transfer'")) == 1
    summary = read_summary(tmp_path / "out" / "summary.csv").query("arm == 'transfer'").iloc[0]
    assert summary["degenerate"] == "single node"
    assert np.isnan(summary["p_t"])
