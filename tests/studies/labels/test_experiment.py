import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from ftl.cli.study_labels import labels
from ftl.errors import ConfigError
from ftl.studies.labels.experiment import label_study, write_tables
from ftl.studies.labels.fold import ARMS
from ftl.studies.labels.settings import LabelStudySettings

OTHERS = ("latent_head", "federated_head", "average", "combined")


def run(params, fleet, out):
    return label_study(params, fleet, out / "stage", out / "work")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@pytest.fixture(scope="module")
def found(least, lent_fleet, out):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FTL_WORKERS", "1")
        return run(least(), lent_fleet, out)


def test_every_node_is_judged_once_under_every_arm(found):
    counts = found.rows.groupby(["arm", "node"]).size()
    assert set(counts) == {1}
    assert set(counts.index.get_level_values("arm")) == set(ARMS)
    assert counts.index.get_level_values("node").nunique() == 4


def test_all_arms_are_judged_on_the_same_rows(found):
    assert (found.rows.groupby("node")[["n_test_rows", "n_test_anomalies"]].nunique() == 1).all(axis=None)


def test_each_arm_says_how_many_labels_it_learned_from(found):
    lent = found.rows.groupby("arm")[["n_lenders", "n_lent_anomalies"]].max()
    assert (lent.loc[["unsupervised", "zero_shot"]] == 0).all(axis=None)
    assert (lent.loc[[*OTHERS], "n_lenders"] == 2).all()
    assert lent.loc["own_labels", "n_lenders"] == 1
    assert lent.loc["pooled_own", "n_lenders"] == 3


def test_the_combination_says_what_it_took_and_why(found):
    combined = found.rows[found.rows["arm"] == "combined"]
    assert combined["n_voters"].gt(0).all()
    assert combined["weight"].isin([0, 0.25, 0.5, 0.75, 1]).all()
    assert combined["label_bytes"].gt(0).all()
    single = combined[combined["weight"] == combined["single"]]
    for row in single.itertuples():
        arm = "federated_head" if row.weight == 1 else "unsupervised"
        same = found.rows[(found.rows["arm"] == arm) & (found.rows["node"] == row.node)]
        assert row.auroc == pytest.approx(same["auroc"].item())


def test_the_sentences_name_the_fleet_its_origin_and_every_arm_that_uses_labels(found):
    said = "\n".join(found.sentences)
    for arm in (*OTHERS, "pooled_own", "own_labels"):
        assert f"on small (simulated, 4 nodes), {arm}: AUROC" in said
    assert "cohorts the guard took" in said
    assert "the better single score by AUPRC" in said


def test_tables_are_written_whole_and_read_back(found, tmp_path):
    write_tables(found, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "labels.parquet"), found.rows)
    assert len(pd.read_csv(tmp_path / "labels_summary.csv")) == len(ARMS)
    assert set(pd.read_csv(tmp_path / "labels_differences.csv")["against"]) == {
        "unsupervised", "federated_head", "own_labels",
    }  # fmt: skip
    assert not list(tmp_path.glob("*.half"))


def test_a_targets_own_labels_touch_only_the_arms_that_use_them(found, least, lent_tables, study_fleet, tmp_path):
    tables = lent_tables()
    table = tables["n2"]
    table["label"] = table["label"].astype("Int8")
    table.loc[(table["step"] < 150) & (table["label"] == 0), "label"] = None
    changed = run(least(), study_fleet(tables), tmp_path).rows
    before, after = (rows[rows["node"] == "n2"].set_index("arm") for rows in (found.rows, changed))
    others = [*OTHERS, "unsupervised", "zero_shot"]
    columns = ["auroc", "auprc", "f1", "threshold", "n_lent_rows"]
    pd.testing.assert_frame_equal(before.loc[others, columns], after.loc[others, columns])
    assert after.loc["own_labels", "n_lent_unknown"] > before.loc["own_labels", "n_lent_unknown"] == 0
    assert after.loc["own_labels", "threshold"] != before.loc["own_labels", "threshold"]


def test_nodes_without_any_labelled_anomaly_take_part_but_have_no_head_of_their_own(
    least, lent_tables, study_fleet, tmp_path
):
    tables = lent_tables()
    for node in ("n0", "n1", "n2"):
        table = tables[node]
        early = table["step"] < 195
        tables[node] = table[~early | (table["label"] == 0)]
    rows = run(least("study_labels.n_participants=3"), study_fleet(tables), tmp_path).rows
    assert set(rows.loc[rows["arm"] == "own_labels", "node"]) == {"n3"}
    n_lenders = rows[rows["arm"] == "combined"].set_index("node")["n_lenders"]
    assert n_lenders["n3"] == 0  # nobody in the other fold has an anomaly to lend
    assert set(rows.loc[rows["node"] == "n3", "arm"]) == {
        "unsupervised", "zero_shot", "combined", "own_labels", "pooled_own",
    }  # fmt: skip
    combined = rows[rows["arm"] == "combined"]
    assert (combined["weight"] == 0).all()  # a single lender cannot be validated by labels of others
    assert set(n_lenders) == {0, 1}


def test_a_second_run_takes_up_what_is_there(found, least, lent_fleet, out, monkeypatch):
    monkeypatch.setattr("ftl.studies.labels.fold.LabelStudy.__call__", None)  # nothing is computed again
    pd.testing.assert_frame_equal(run(least(), lent_fleet, out).rows, found.rows)


@pytest.mark.parametrize(
    "wrong", [{"seeds": ()}, {"validation_share": 1.0}, {"shrinkage": 0.0}, {"n_folds": 1}, {"smoothing_minutes": -1.0},
              {"window_minutes": 0.0}],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"study_labels.{next(iter(wrong))}"):
        LabelStudySettings(**wrong)


def test_the_command_writes_the_tables_and_says_what_came_out(lent_fleet, tmp_path):
    from tests.studies.labels.conftest import LEAST

    app = typer.Typer()
    app.command()(labels)
    words = [word for assignment in LEAST for word in ("-S", assignment)]
    said = CliRunner().invoke(app, [str(lent_fleet), "--out", str(tmp_path / "out"), *words])
    assert said.exit_code == 0, said.output
    assert "small (simulated, 4 nodes)" in said.output
    assert "Labels of other nodes" in said.output
    assert (tmp_path / "out" / "labels.parquet").is_file()
    assert "Example: ftl study labels" in CliRunner().invoke(app, ["--help"]).output
