"""The drift study: what re-basing, smoothing and thresholds do is told apart, and nothing looks ahead."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from ftl.baselines.pca import fit_pca
from ftl.cli.study_drift import drift
from ftl.data.fleet import TEST, TRAIN, VALIDATION, read_fleet
from ftl.detection.settings import ScoringSettings
from ftl.errors import UserError
from ftl.studies.drift.combination import ALL, CURVES, DETECTORS, RECOMMENDED, Combination
from ftl.studies.drift.experiment import drift_stage
from ftl.studies.drift.fold import DriftStudy, flags
from ftl.studies.drift.limits import Limits
from ftl.studies.drift.tables import at, gate_table, main_rows
from ftl.studies.judging import judge
from ftl.studies.telemetry import without_level
from tests.studies.drift.conftest import Studied
from tests.studies.drift.drifting_fleet import A_DAY, N_NODES, WANDERING

SWITCHES = ["rebase", "smoothed", "threshold"]


def test_the_command_writes_its_tables_and_says_what_each_mechanism_did(studied: Studied) -> None:
    assert "wandering (simulated, 4 nodes), local, whole history" in studied.output
    assert "The drift test fired on 2 of 4 nodes." in studied.output
    for name in ("summary", "differences", "curve", "gate"):
        assert set(pd.read_csv(studied.out / f"drift_{name}.csv")["dataset"]) == {"wandering"}, name
    assert not list(studied.out.glob("*.half"))


def test_its_help_has_an_example() -> None:
    app = typer.Typer()
    app.command()(drift)
    assert "Example: ftl study drift" in " ".join(CliRunner().invoke(app, ["--help"]).output.split())


def test_every_node_is_judged_once_under_every_combination(studied: Studied) -> None:
    rows = main_rows(studied.rows)
    assert len(rows) == N_NODES * len(DETECTORS) * len(ALL)
    assert not rows.duplicated(["node", "detector", *SWITCHES]).any()
    swept = studied.rows[studied.rows["swept"]]
    assert len(swept) == N_NODES * len(DETECTORS) * len(CURVES)  # one percentile beside the usual one
    assert set(swept["percentile"]) == {90.0}


def test_the_test_fires_on_nodes_that_wander_and_on_no_other(studied: Studied) -> None:
    fired = studied.rows.groupby("node")["drifts"].agg(["min", "max"])
    assert set(fired.index[fired["min"]]) == set(fired.index[fired["max"]]) == set(WANDERING)


def test_re_basing_helps_nodes_that_wander(studied: Studied) -> None:
    rows = studied.rows[studied.rows["node"].isin(WANDERING) & studied.rows["detector"].isin(["pca", "local"])]
    before, after = (at(main_rows(rows), Combination(rebase=rebase)) for rebase in ("none", "all"))
    assert before["fpr"].min() > 0.5
    assert after["fpr"].max() < 0.15
    assert (after["f1"].to_numpy() > before["f1"].to_numpy()).all()
    gate = gate_table(studied.rows).set_index(["detector", "fired"])
    assert gate.loc[("local", True), "delta_auroc"] > 0.1
    assert gate.loc[("local", True), "n_helped"] == len(WANDERING)
    assert gate.loc[("local", False), "delta_auroc"] < 0.01


def test_re_basing_drifting_nodes_is_all_for_them_and_none_for_the_others(studied: Studied) -> None:
    values = ["f1", "fpr", "auroc", "auprc", "event_recall", "alarms_per_node_day"]
    rows = main_rows(studied.rows).set_index(["node", "detector", "smoothed", "threshold"])
    for node in sorted(studied.rows["node"].unique()):
        same = "all" if node in WANDERING else "none"
        of_node = rows.loc[node]
        gated, like = (of_node[of_node["rebase"] == rebase][values] for rebase in ("drifting", same))
        pd.testing.assert_frame_equal(gated.sort_index(), like.sort_index())


def test_nothing_switched_on_is_the_plain_percentile_of_a_nodes_own_scores(studied: Studied) -> None:
    """Against a PCA fitted by the baseline, on rows in the node's own range."""
    fleet, nothing = read_fleet(studied.fleet), at(main_rows(studied.rows), Combination())
    for number, node in enumerate(fleet.node_ids):
        history = fleet.rows(number, TRAIN, VALIDATION)
        known = np.asarray(fleet.x[history[fleet.label[history] != 1]])
        low, span = known.min(axis=0), np.ptp(known, axis=0)
        test = np.asarray(fleet.x[fleet.rows(number, TEST)])
        score = fit_pca((known - low) / span, 0, ScoringSettings("nres", 1e-4))
        threshold = np.percentile(score((known - low) / span), 98)
        of_node = studied.telemetry.node(number)
        expected = judge(of_node, score(np.clip((test - low) / span, -4, 5)), float(threshold), 1800.0)
        found = nothing[(nothing["node"] == node) & (nothing["detector"] == "pca")].iloc[0]
        for metric in ("f1", "fpr", "auroc", "event_recall", "alarms_per_node_day"):
            assert found[metric] == pytest.approx(expected[metric], abs=0.02), (node, metric)


def test_no_flag_depends_on_a_later_row(studied: Studied) -> None:
    """Whatever the rest of the test part holds, the flags up to a row are what they were."""
    telemetry, study, fold = studied.telemetry, studied.study, studied.folds[0]
    limits = Limits(study.detection, telemetry.seconds_per_unit, telemetry.window)
    participants, targets = telemetry.nodes(fold.participants), telemetry.nodes(fold.targets)
    cut = 150
    spoilt = [replace(node, test=_with_tail(node.test, cut)) for node in targets]
    flagged = []
    for version in (targets, spoilt):
        kinds = {
            False: study.scores(telemetry, participants, version, fold),
            True: study.scores(
                telemetry,
                [without_level(n, A_DAY) for n in participants],
                [without_level(n, A_DAY) for n in version],
                fold,
            ),
        }
        found = {}
        for detector in DETECTORS:
            for combination in ALL:
                for percentile in (None, 90.0) if combination == RECOMMENDED else (None,):
                    score, threshold = flags(0, detector, combination, True, kinds, limits, percentile)
                    found[detector, combination, percentile] = score > threshold
        flagged.append(found)
    before, after = flagged
    for key in before:
        np.testing.assert_array_equal(before[key][:cut], after[key][:cut], err_msg=str(key))
    assert any((before[key][cut:] != after[key][cut:]).any() for key in before)


def _with_tail(test: np.ndarray, cut: int) -> np.ndarray:
    """The rows with others from `cut` on."""
    spoilt = test.copy()
    spoilt[cut:] = np.random.default_rng(0).normal(0, 5, spoilt[cut:].shape)
    return spoilt


def test_an_interrupted_study_goes_on_where_it_stopped(studied: Studied, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FTL_WORKERS", "1")
    asked: list[str] = []

    def stored(self, fold, report):
        """The finished study's rows of a fold, since what is computed is not the question here."""
        asked.append(fold.name)
        if asked == ["seed0-fold0", "seed0-fold1"]:
            raise KeyboardInterrupt
        rows = studied.rows[studied.rows["fold"] == fold.number]
        return rows.drop(columns=["dataset", "protocol", "seed", "fold"])

    monkeypatch.setattr(DriftStudy, "__call__", stored)
    with pytest.raises(KeyboardInterrupt):
        studied.again(tmp_path)
    again = studied.again(tmp_path)
    assert asked == ["seed0-fold0", "seed0-fold1", "seed0-fold1"]
    pd.testing.assert_frame_equal(again, studied.rows)
    studied.again(tmp_path)
    assert len(asked) == 3


def test_a_re_based_fleet_is_refused(studied: Studied, tmp_path) -> None:
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    for path in studied.fleet.iterdir():
        (fleet / path.name).symlink_to(path)
    card = json.loads((studied.fleet / "fleet.json").read_text())
    card["report"]["settings"]["rebase"] = "all"
    (fleet / "fleet.json").unlink()
    (fleet / "fleet.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"prepared with prepare\.rebase=all"):
        drift_stage(studied.params, fleet, tmp_path / "stage", tmp_path / "work")


def test_trailing_days_that_are_too_few_are_refused_before_anything_is_trained(studied: Studied, tmp_path) -> None:
    params = {**studied.params, "detection": {**studied.params["detection"], "trailing_days": 1.0}}
    with pytest.raises(UserError, match=r"detection\.trailing_days"):
        drift_stage(params, studied.fleet, tmp_path / "stage", tmp_path / "work")
    assert not (tmp_path / "work").exists()
