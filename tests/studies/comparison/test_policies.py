from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ftl.cli.study_policies import policies
from ftl.config import section
from ftl.data.fleet import TEST, read_fleet
from ftl.errors import ConfigError
from ftl.federation.settings import SelectionSettings
from ftl.studies.comparison.policies import PolicyStudy, chosen
from ftl.studies.comparison.protocol import FoldProtocol, Training
from ftl.studies.comparison.ranking import BY_F1, BY_LOSS, nearest, rank_candidates
from ftl.studies.comparison.runs import study_policies
from ftl.studies.comparison.settings import PolicyStudySettings
from ftl.studies.folds import Fold, make_folds
from ftl.studies.telemetry import FleetTelemetry
from tests.studies.comparison.conftest import LEAST


@pytest.fixture(scope="module")
def out(six_folder, tmp_path_factory):
    """What the command wrote."""
    folder = tmp_path_factory.mktemp("policies") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTL_WORKERS", "1")
        policies(six_folder, folder, "default", None, None, list(LEAST))
    return folder


@pytest.fixture(scope="module")
def rows(out) -> pd.DataFrame:
    return pd.read_parquet(out / "policies.parquet")


def study_of(params, fleet) -> PolicyStudy:
    settings = section(params, "study_policies", PolicyStudySettings)
    return PolicyStudy(fleet, settings, section(params, "select", SelectionSettings), Training.of(params))


def ranked_on(fleet, params, fold: Fold):
    study = study_of(params, None)
    return rank_candidates(FoldProtocol(FleetTelemetry(fleet), fold, study.settings, study.training), 5)


@pytest.fixture(scope="module")
def fold() -> Fold:
    return make_folds(6, 2, 6, [0])[0]


def test_no_target_of_a_fold_takes_part_in_it(rows) -> None:
    for _, here in rows.groupby(["seed", "fold"]):
        taking_part = set(" ".join(here["participants"]).split())
        assert taking_part
        assert not taking_part & set(here["node"])
    assert set(rows["node"]) == {f"n{node}" for node in range(6)}


def test_every_policy_chooses_as_many_but_all(rows) -> None:
    n_chosen = rows.groupby("policy")["n_chosen"].agg(["min", "max"])
    assert n_chosen.loc["all"].tolist() == [3, 3]
    assert (n_chosen.drop("all") == 2).all().all()
    assert set(rows.loc[rows["policy"] == "random_n", "draw"]) == {0, 1}


def test_policies_that_choose_alike_have_the_same_results(rows) -> None:
    same = rows.set_index(["fold", "node", "arm"])
    top_n, label_free = (same[same["policy"] == policy] for policy in ("top_n", "label_free"))
    assert set(top_n["ranked_by"]) == {BY_LOSS}  # no labelled anomaly in the validation rows
    pd.testing.assert_frame_equal(top_n.drop(columns="policy"), label_free.drop(columns="policy"))


def test_the_command_leaves_a_summary_and_differences_with_a_verdict_on_every_policy(out) -> None:
    summary, table = (pd.read_csv(out / f"policies_{name}.csv") for name in ("summary", "differences"))
    others = {"top_n", "label_free", "hybrid_maxmin", "facility_location", "clustered", "all", "top_n_by_test_f1"}
    assert set(summary["policy"]) == {*others, "random_n"}
    assert set(table["policy"]) == others
    assert set(table["arm"]) == {"zero_shot", "full_fine_tune"}
    assert table.loc[table["metric"] == "auroc", ["verdict", "sd_of_draws"]].notna().all().all()
    assert not list(out.glob("*.half"))


def test_an_interrupted_study_goes_on_to_the_same_rows(rows, six_fleet, least, tmp_path, monkeypatch) -> None:
    whole, begun = PolicyStudy.__call__, []

    def interrupted(self, fold, report):
        begun.append(fold.number)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return whole(self, fold, report)

    monkeypatch.setattr(PolicyStudy, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study_policies(least(), six_fleet, tmp_path)
    found = study_policies(least(), six_fleet, tmp_path).rows
    assert begun == [0, 1, 1]
    columns = rows.columns.drop("dataset")
    pd.testing.assert_frame_equal(found[columns], rows[columns])


def test_labels_of_the_test_part_move_the_papers_own_rule_alone(six_fleet, least, fold) -> None:
    fleet = read_fleet(six_fleet)
    label = np.array(fleet.label)
    for node in fold.candidates:
        label[fleet.rows(node, TEST)[::2]] ^= 1
    before, after = (ranked_on(one, least(), fold) for one in (fleet, replace(fleet, label=label)))
    for name in ("f1", "loss", "unlabelled_loss", "similarity"):
        np.testing.assert_array_equal(getattr(before.candidates, name), getattr(after.candidates, name))
    assert (before.by_test_f1.f1 != after.by_test_f1.f1).any()


def test_candidates_are_ranked_by_f1_where_validation_rows_have_labelled_anomalies(
    six_tables, study_fleet, least, fold
) -> None:
    tables = six_tables()
    for table in tables.values():
        table.loc[180:184, "label"] = 1
    ranked = ranked_on(read_fleet(study_fleet(tables)), least(), fold)
    assert ranked.ranked_by == BY_F1
    assert np.isfinite(ranked.candidates.f1).all()


def test_a_target_receives_the_model_of_the_cluster_that_it_is_like(six_tables, study_fleet, least) -> None:
    tables = six_tables()
    for name in ("n3", "n4", "n5"):
        tables[name][["fan", "power"]] *= 30
    fold = Fold(0, 0, targets=(0, 3), candidates=(1, 2, 4, 5), participants=(1, 2, 4, 5))
    fleet = read_fleet(study_fleet(tables))
    ranked, study = ranked_on(fleet, least(), fold), study_of(least("study_policies.policies=[clustered]"), None)
    cohorts = chosen(ranked, fold, study.settings, study.select)[0].cohorts
    assert sorted({fold.candidates[position] // 3 for position in cohort} for cohort in cohorts) == [{0}, {1}]
    telemetry = FleetTelemetry(fleet)
    for target in fold.targets:
        cohort = cohorts[nearest(ranked.likeness(telemetry.node(target), 40), cohorts)]
        assert {fold.candidates[position] // 3 for position in cohort} == {target // 3}


def test_a_fleet_that_leaves_no_choice_is_refused(six_fleet, least, tmp_path) -> None:
    with pytest.raises(ConfigError, match="a fold of 6 nodes has 3 of them; got 3"):
        study_policies(least("study_policies.n_participants=3"), six_fleet, tmp_path)
