"""The whole method on a small fleet: what stands in its tables, and what must not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from ftl.data.fleet import TEST, read_fleet
from ftl.data.fleet_folder import FleetFolder
from ftl.data.prepare_report import describe_report
from ftl.errors import UserError
from ftl.evaluation.results import (
    COHORT_COLUMNS,
    LeakError,
    check_results,
    read_results,
    results_digest,
)
from ftl.evaluation.summary import read_summary
from ftl.experiment.fleet_run import FleetRun
from ftl.experiment.results_folder import read_results_folder
from ftl.experiment.rethreshold import rethreshold
from ftl.experiment.units import stage_key

PARADIGMS = ("unsupervised", "semi_supervised", "supervised")
WITHOUT_COHORT = {"untrained", "local", "local_long", "single_source", "centralised"}
WITH_COHORT = {"zero_shot", "transfer", "full_fine_tune"}
BASELINES = {"random", "pca", "federated_pca", "centroid_mahalanobis", "isolation_forest", "ecod"}
N_NODES, CUT, N_TEST = 6, 242, 53  # last step that trains or validates; rows scored after a gap of 4
KEY = list(COHORT_COLUMNS)


def test_a_run_leaves_its_tables_in_the_folder(whole_run) -> None:
    out = whole_run.out
    assert results_digest(read_results(out / "results.parquet")) == results_digest(whole_run.results)
    pd.testing.assert_frame_equal(read_summary(out / "summary.csv"), whole_run.summary)
    assert len(pd.read_csv(out / "rounds.csv")) == len(whole_run.rounds)
    assert json.loads((out / "params.json").read_text()) == whole_run.params


@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_every_arm_and_baseline_is_in_the_results(whole_run, paradigm: str) -> None:
    rows = whole_run.results[whole_run.results["paradigm"] == paradigm]
    baselines = BASELINES if paradigm == "unsupervised" else set()
    assert set(rows.loc[rows["policy"].isna(), "arm"]) == WITHOUT_COHORT | baselines
    assert set(rows.loc[rows["policy"].notna(), "arm"]) == WITH_COHORT


def test_planted_anomalies_can_be_found(whole_run) -> None:
    """Else no other number of this fleet would say anything."""
    assert whole_run.arm("pca")["auroc"].mean() > 0.95
    assert whole_run.arm("local", paradigm="unsupervised")["auroc"].mean() > 0.6


def test_arms_without_cohort_stand_once_per_node_and_seed(whole_run) -> None:
    rows = whole_run.results[whole_run.results["policy"].isna() & (whole_run.results["arm"] != "single_source")]
    assert (rows.groupby(["paradigm", "arm", "seed"])["node"].nunique() == N_NODES).all()
    assert not rows.duplicated(["paradigm", "arm", "seed", "node"]).any()


def test_a_single_source_is_no_target_of_itself(whole_run) -> None:
    assert (whole_run.arm("single_source").groupby(["paradigm", "seed"])["node"].nunique() == N_NODES - 1).all()


@pytest.mark.parametrize("arm", sorted(WITH_COHORT))
def test_every_node_outside_a_cohort_is_its_target(whole_run, arm: str) -> None:
    sizes = whole_run.arm(arm, role="target").groupby(KEY).size()
    assert len(sizes) == 3 * 2 * 2 * (1 + 2)  # paradigms, seeds, N, draws of top_n and random_n
    assert all(n == N_NODES - key[KEY.index("n_participants")] for key, n in sizes.items())


def test_zero_shot_has_a_row_for_each_participant(whole_run) -> None:
    sizes = whole_run.arm("zero_shot", role="participant").groupby(KEY).size()
    assert len(sizes) == 3 * 2 * 2 * (1 + 2)
    assert all(n == key[KEY.index("n_participants")] for key, n in sizes.items())


def test_no_tuned_model_is_judged_on_a_node_that_trained_it(whole_run) -> None:
    """Checked against the cohorts that federated training wrote, not against the roles in the table."""
    fleet = read_fleet(whole_run.out / "stages" / "fleet")
    n_checked = 0
    for folder in sorted((whole_run.out / "stages" / "federated").glob("*-seed*")):
        paradigm, seed = folder.name.split("-seed")
        for cohort in json.loads((folder / "cohorts.json").read_text()):
            trained = {fleet.node_ids[node] for node in cohort["participants"]}
            assert len(trained) == cohort["n_participants"]
            where = {name: cohort[name] for name in ("policy", "n_participants", "draw")}
            for arm in ("transfer", "full_fine_tune"):
                judged = set(whole_run.arm(arm, paradigm=paradigm, seed=int(seed), **where)["node"])
                assert judged == set(fleet.node_ids) - trained
                n_checked += 1
    assert n_checked == 2 * 3 * 2 * 2 * 3


def test_a_target_that_trained_would_be_noticed(whole_run) -> None:
    leaked = whole_run.results.copy()
    participant = leaked.index[(leaked["role"] == "participant") & (leaked["arm"] == "zero_shot")][0]
    target = leaked.index[(leaked["role"] == "target") & (leaked[KEY] == leaked.loc[participant, KEY]).all(axis=1)][0]
    check_results(leaked)
    leaked.loc[target, "node"] = leaked.loc[participant, "node"]
    with pytest.raises((LeakError, ValueError)):
        check_results(leaked)


def test_local_long_makes_the_steps_of_federated_training_and_fine_tuning(whole_run) -> None:
    """Two rounds of one epoch and one epoch of fine-tuning: three epochs in all, against two of local."""
    key = ["paradigm", "seed", "node"]
    steps = {arm: whole_run.arm(arm).groupby(key)["n_train_steps"].unique() for arm in ("transfer", "local_long")}
    one_epoch = steps["transfer"].map(lambda counts: counts.item())
    long = steps["local_long"].map(lambda counts: counts.item())
    pd.testing.assert_series_equal(long.loc[one_epoch.index], 3 * one_epoch, check_names=False)
    local = whole_run.arm("local").set_index(key)["n_train_steps"].astype("int64")
    pd.testing.assert_series_equal(local.loc[one_epoch.index], 2 * one_epoch, check_names=False)


def test_models_taken_as_they_are_cost_a_target_no_step(whole_run) -> None:
    for arm in ("zero_shot", "centralised", "untrained"):
        assert (whole_run.arm(arm)[["n_train_steps", "n_train_rows"]] == 0).all().all(), arm


@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_random_n_is_drawn_several_times_and_top_n_once(whole_run, paradigm: str) -> None:
    rows = whole_run.arm("zero_shot", paradigm=paradigm, role="participant")
    assert set(rows.loc[rows["policy"] == "top_n", "draw"]) == {0}
    drawn = rows[rows["policy"] == "random_n"].groupby(["n_participants", "seed", "draw"])["node"].agg(frozenset)
    assert set(drawn.index.get_level_values("draw")) == {0, 1}
    assert (drawn.groupby(["n_participants", "seed"]).nunique() == 2).any(), "all draws are the same"
    assert (drawn.groupby(["n_participants", "draw"]).nunique() == 2).any(), "all seeds draw the same"


def test_the_best_local_models_train_the_global_one(whole_run) -> None:
    for folder in sorted((whole_run.out / "stages" / "local").glob("*-seed*")):
        ranking = pd.read_csv(folder / "ranking.csv")
        cohorts = json.loads((whole_run.out / "stages" / "federated" / folder.name / "cohorts.json").read_text())
        for cohort in (one for one in cohorts if one["policy"] == "top_n"):
            inside = ranking["node"].isin(cohort["participants"])
            assert ranking.loc[inside, "f1"].min() >= ranking.loc[~inside, "f1"].max()


def test_ranking_does_not_see_the_test_part(run_fleet, tables: Callable, tmp_path: Path) -> None:
    rankings = []
    for name, spoil in (("as it is", False), ("test part spoilt", True)):
        spoilt = tables()
        for table in spoilt.values() if spoil else ():
            table.loc[table["step"] > CUT, ["fan", "power"]] = -100.0
            table.loc[table["step"] > CUT, "label"] = 0
        folder = tmp_path / name
        folder.mkdir()
        for node, table in spoilt.items():
            table.to_parquet(folder / f"{node}.parquet")
        run = run_fleet(folder=folder, out=tmp_path / f"{name} out")
        rankings.append((run.out / "stages" / "local" / "unsupervised-seed0" / "ranking.csv").read_text())
    assert rankings[0] == rankings[1]


def test_every_arm_is_scored_on_the_whole_test_part(whole_run) -> None:
    assert set(whole_run.results["n_test_rows"]) == {N_TEST}
    assert (whole_run.results["n_test_anomalies"] == 11).all()


def test_the_scores_are_those_of_the_results(whole_run) -> None:
    scores = pq.read_table(whole_run.out / "scores.parquet").to_pandas()
    assert len(scores) == whole_run.results["n_test_rows"].sum()
    flagged = (scores["score"] > scores["threshold"]).sum()
    assert flagged == whole_run.results[["tp", "fp"]].sum().sum()
    assert scores["label"].sum() == whole_run.results["n_test_anomalies"].sum()


def test_rounds_say_what_every_cohort_lost(whole_run) -> None:
    rounds = whole_run.rounds
    assert len(rounds) == 2 * 3 * 2 * 2 * 3
    assert np.isfinite(rounds["train_loss"]).all()
    assert (rounds["n_clients_left_out"] == 0).all()


def test_federated_training_lowers_the_participants_loss(run_fleet) -> None:
    rounds = run_fleet("federate.n_rounds=10").rounds
    loss = rounds.pivot(index=["policy", "draw"], columns="round", values="train_loss")
    assert (loss[10] < loss[1]).all()


# Settings, one changed at a time


def without_labels_before_the_test_part(tables: Callable, folder: Path) -> Path:
    folder.mkdir()
    for node, table in tables().items():
        table.loc[table["step"] <= CUT, "label"] = 0
        table.to_parquet(folder / f"{node}.parquet")
    return folder


def test_labels_that_exist_in_the_test_part_alone_are_lent(run_fleet, tables: Callable, tmp_path: Path) -> None:
    folder = without_labels_before_the_test_part(tables, tmp_path / "borrowing")
    run = run_fleet("paradigms=[unsupervised,semi_supervised,supervised]", folder=folder)
    n_lent = round(0.4 * N_TEST)
    rows = run.results.groupby("paradigm")["n_test_rows"].unique().map(list).to_dict()
    assert rows == {"unsupervised": [N_TEST], "semi_supervised": [N_TEST - n_lent], "supervised": [N_TEST - n_lent]}
    assert run.report["labels"] == {"borrowed": True, "lent_rows": N_NODES * n_lent}
    assert any("borrow" in line for line in describe_report(run.report))


def test_a_model_that_borrows_labels_trains_on_them(run_fleet, tables: Callable, tmp_path: Path) -> None:
    folder = without_labels_before_the_test_part(tables, tmp_path / "borrowing")
    run = run_fleet("paradigms=[unsupervised,semi_supervised]", "supervision.anomaly_fraction=1.0", folder=folder)
    extra = run.arm("local", paradigm="semi_supervised").set_index("node")["n_train_rows"]
    extra = extra - run.arm("local", paradigm="unsupervised").set_index("node")["n_train_rows"]
    assert set(extra) == {6}, "the burst of six rows in the lent part joins the normal rows"


def test_the_lent_fraction_is_a_parameter(run_fleet, tables: Callable, tmp_path: Path) -> None:
    folder = without_labels_before_the_test_part(tables, tmp_path / "borrowing")
    run = run_fleet("paradigms=[supervised]", "prepare.lend_fraction=0.25", folder=folder)
    assert set(run.results["n_test_rows"]) == {N_TEST - 13}


def test_the_paper_protocol_splits_at_random_and_ranks_on_the_test_part(run_fleet) -> None:
    run = run_fleet("protocol=paper", "paradigms=[unsupervised,semi_supervised,supervised]")
    assert run.report["split"]["rule"] == "random"
    fleet = read_fleet(run.out / "stages" / "fleet")
    test = fleet.time[fleet.rows(0, TEST)]
    assert test.min() < CUT / 2 < CUT < test.max()
    for paradigm in ("unsupervised", "supervised"):
        assert (run.results.loc[run.results["paradigm"] == paradigm, "threshold"] == 0.5).all()
        ranking = pd.read_csv(run.out / "stages" / "local" / f"{paradigm}-seed0" / "ranking.csv")
        test_f1 = run.arm("local", paradigm=paradigm).set_index("node").loc[list(fleet.node_ids), "f1"]
        np.testing.assert_array_equal(ranking["f1"], test_f1)
    assert (run.results.loc[run.results["paradigm"] == "semi_supervised", "threshold"] != 0.5).all()
    assert set(run.summary["protocol"]) == {"paper"}


def test_the_papers_own_recipe_runs(run_fleet) -> None:
    """RMSprop with eps inside the root, 1e-6, batch 10, no validation slice, decoder initialised anew."""
    run = run_fleet(
        "protocol=paper",
        "prepare={missing: drop_rows, transform: none, clip_low: 0.0, clip_high: 1.0, gap: 0, validation_fraction: 0}",
        "training={batch_size: 10, max_steps_per_epoch: null}",
        "optimizer={name: rmsprop, learning_rate: 1e-6, eps: 1e-7, alpha: 0.9, eps_inside_root: true}",
        "supervision={semi_loss: include_as_normal, supervised_loss: mse, class_weight: none}",
        "transfer.decoder_init=reinitialise",
        "detection.score=mse",
        "paradigms=[unsupervised,semi_supervised,supervised]",
    )
    assert set(run.arm("transfer")["paradigm"]) == set(PARADIGMS)


def test_the_encoder_can_end_behind_the_narrowest_layer(run_fleet, tmp_path: Path) -> None:
    """The paper's latent 40: what transfer leaves frozen is one layer more, the network is the same."""
    shapes = []
    for latent in (4, 6):
        run = run_fleet(f"model.latent={latent}", out=tmp_path / str(latent))
        shapes.append(
            {name: value.shape for name, value in load_file(global_models(run.out)).items() if "weight" in name}
        )
    assert sum(name.startswith("encoder") for name in shapes[1]) == 1 + sum(n.startswith("encoder") for n in shapes[0])
    assert sorted(shapes[0].values()) == sorted(shapes[1].values())


def global_models(out: Path) -> Path:
    return out / "stages" / "federated" / "unsupervised-seed0" / "global.safetensors"


def scores_of(out: Path, arm: str) -> np.ndarray:
    """Of one seed and paradigm, in the order of the file."""
    folder = "transfer" if arm in WITH_COHORT | {"single_source", "centralised"} else "local"
    table = pq.read_table(out / "stages" / folder / "unsupervised-seed0" / "scored.parquet").to_pandas()
    return np.concatenate(table.loc[table["arm"] == arm, "scores"].to_list())


def test_a_decoder_initialised_anew_gives_another_model_to_targets_alone(run_fleet, tmp_path: Path) -> None:
    kept = run_fleet(out=tmp_path / "keep")
    anew = run_fleet("transfer.decoder_init=reinitialise", out=tmp_path / "reinitialise")
    for arm in ("local", "local_long", "zero_shot", "full_fine_tune", "centralised"):
        np.testing.assert_array_equal(scores_of(kept.out, arm), scores_of(anew.out, arm), err_msg=arm)
    for arm in ("transfer", "single_source"):
        assert (scores_of(kept.out, arm) != scores_of(anew.out, arm)).mean() > 0.9, arm


def test_rules_of_alarms_train_nothing_again(run_fleet) -> None:
    plain = run_fleet(dump_scores=True)
    models, before = global_models(plain.out).stat(), pd.read_parquet(plain.out / "scores.parquet")
    smooth = run_fleet("detection.smoothing_half_life=4", "detection.percentile=90", dump_scores=True)
    assert global_models(smooth.out).stat().st_mtime_ns == models.st_mtime_ns
    after = pd.read_parquet(smooth.out / "scores.parquet")
    pd.testing.assert_frame_equal(before[["arm", "node", "step"]], after[["arm", "node", "step"]])
    assert (before["threshold"] > after["threshold"]).mean() > 0.9, "a lower percentile flags more"
    some = before[before["arm"].isin(["local", "transfer", "centralised"])]
    for rows in some.groupby(["arm", "policy", "draw", "node"], dropna=False, observed=True).groups.values():
        raw, smoothed = before.loc[rows, "score"], after.loc[rows, "score"]
        assert (raw != smoothed).mean() > 0.9
        assert smoothed.diff().abs().mean() < 0.8 * raw.diff().abs().mean(), "smoother scores move less"


@pytest.mark.parametrize("setting", ["federate.client_state=kept", "federate.weighting=uniform"])
def test_settings_of_the_federation_reach_the_global_model(run_fleet, tmp_path: Path, setting: str) -> None:
    usual, other = run_fleet(out=tmp_path / "usual"), run_fleet(setting, out=tmp_path / "other")
    # Two participants of unequal length, so that rows weigh otherwise than nodes.
    differ = global_models(usual.out).read_bytes() != global_models(other.out).read_bytes()
    assert differ
    np.testing.assert_array_equal(scores_of(usual.out, "local"), scores_of(other.out, "local"))


def test_local_training_beyond_the_control_is_the_control(run_fleet) -> None:
    """Where local trains longer than federation and fine-tuning together, local_long has nothing to add."""
    run = run_fleet("local.n_epochs=5")
    np.testing.assert_array_equal(scores_of(run.out, "local"), scores_of(run.out, "local_long"))
    assert (run.arm("local")["n_train_steps"].to_numpy() == run.arm("local_long")["n_train_steps"].to_numpy()).all()


def test_a_seed_and_a_paradigm_alone_give_what_they_give_in_company(whole_run, run_fleet) -> None:
    alone = run_fleet("select.n_participants=[2,3]")
    company = whole_run.results.query("paradigm == 'unsupervised' and seed == 0 and arm not in @BASELINES")
    assert results_digest(alone.results) == results_digest(company)


# Once more


def test_a_second_run_takes_up_everything(run_fleet) -> None:
    first = run_fleet()
    before = {path: path.stat().st_mtime_ns for path in (first.out / "stages").rglob("*.safetensors")}
    before |= {path: path.stat().st_mtime_ns for path in (first.out / "stages").rglob("scored.parquet")}
    tables = [(first.out / name).read_bytes() for name in ("results.parquet", "summary.csv", "rounds.csv")]
    run_fleet()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [(first.out / name).read_bytes() for name in ("results.parquet", "summary.csv", "rounds.csv")] == tables


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_same_seed_gives_the_same_bits_in_another_folder(
    whole_run, run_fleet, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("FTL_WORKERS", workers)
    again = run_fleet("select.n_participants=[2,3]", "seeds=[0,1]", "paradigms=[supervised]")
    once = whole_run.results[whole_run.results["paradigm"] == "supervised"]
    assert results_digest(again.results) == results_digest(once)


def test_another_seed_gives_other_results(whole_run) -> None:
    local = whole_run.arm("local").query("paradigm != 'supervised'")  # whose threshold is fixed
    threshold = local.pivot(index=["paradigm", "node"], columns="seed", values="threshold")
    assert (threshold[0] != threshold[1]).all()


def test_other_cohorts_do_not_retrain_local_models(run_fleet) -> None:
    out = run_fleet().out
    local = out / "stages" / "local"
    before = (stage_key(local), [(path, path.stat().st_mtime_ns) for path in sorted(local.rglob("*.*"))])
    federated = stage_key(out / "stages" / "federated")
    run = run_fleet("select.n_participants=[3]")
    assert (stage_key(local), [(path, path.stat().st_mtime_ns) for path in sorted(local.rglob("*.*"))]) == before
    assert stage_key(out / "stages" / "federated") != federated
    assert set(run.arm("transfer")["n_participants"]) == {3}


def test_a_paradigm_left_out_in_a_second_run_leaves_nothing_behind(run_fleet, whole_run) -> None:
    run_fleet("baselines=[pca]", dump_scores=True)
    run = run_fleet("paradigms=[supervised]", "baselines=[pca]")
    assert set(run.results["paradigm"]) == {"supervised"}
    assert set(run.results["arm"]) == WITHOUT_COHORT | WITH_COHORT


def test_scores_of_other_results_are_not_left_beside_new_ones(run_fleet) -> None:
    scores = run_fleet(dump_scores=True).out / "scores.parquet"
    run_fleet()
    assert scores.exists(), "they are still those of the results"
    run_fleet("seeds=[1]")
    assert not scores.exists()


def test_what_was_made_of_an_earlier_runs_scores_is_not_left_beside_new_ones(fleet_folder: Path, run_fleet) -> None:
    def run(*settings: str) -> FleetRun:
        done = run_fleet(*settings)
        again = FleetRun(FleetFolder(fleet_folder), done.params, done.out)
        again.prepare()
        return again

    first = run("paradigms=[unsupervised,supervised]")
    first.export({})
    rethreshold(first.out, first.out / "rethresholded" / "pot", {"threshold": "pot"})
    run("paradigms=[unsupervised,supervised]", "detection.threshold=conformal")
    assert (first.out / "rethresholded" / "pot" / "summary.csv").exists(), "its scores are still those of the run"
    second = run("paradigms=[unsupervised]", "local.n_epochs=1")
    assert not (first.out / "rethresholded" / "pot").exists()
    second.export({})
    assert [path.name for path in (first.out / "detectors" / "small").iterdir()] == ["unsupervised"]


def test_an_interrupted_evaluation_does_not_pass_for_results(run_fleet, monkeypatch) -> None:
    done = run_fleet()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftl.experiment.results_writer.write_analysis", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_fleet("local.n_epochs=1")
    with pytest.raises(UserError, match=r"fleets\.json is missing.* where that was interrupted, run it again"):
        read_results_folder(done.out)


def test_what_federated_pca_moves_is_known(whole_run) -> None:
    moved = whole_run.arm("federated_pca")[["bytes_sent", "bytes_received"]].drop_duplicates()
    n_features = 4
    n_components = (moved["bytes_received"] / 8 - 2 * n_features) / n_features - 2
    assert moved["bytes_sent"].tolist() == [8 * (2 * n_features + 1 + n_features + n_features**2)]
    assert n_components.between(1, n_features).all()


def test_how_many_nodes_are_trained_in_one_stack_changes_nothing(run_fleet, tmp_path: Path, monkeypatch) -> None:
    whole = run_fleet(out=tmp_path / "whole")
    monkeypatch.setattr("ftl.experiment.local.MAX_STACK", 4)
    parts = run_fleet(out=tmp_path / "parts")
    same = [column for column in whole.results.columns if column != "training_seconds"]
    pd.testing.assert_frame_equal(whole.results[same], parts.results[same])
