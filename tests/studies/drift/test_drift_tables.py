"""Means, effects, curves, gate and verdict of a drift study."""

import numpy as np
import pandas as pd
import pytest

from ftl.studies.drift.combination import ALL, CURVES, DETECTORS, RECOMMENDED
from ftl.studies.drift.fold import false_alarms_per_node_day
from ftl.studies.drift.tables import (
    ALL_DETECTORS,
    ALONE,
    ON_TOP,
    all_differences,
    curve_table,
    drifting_nodes,
    gate_table,
    recall_at,
    summary_table,
)
from ftl.studies.drift.verdict import verdict_sentences
from tests.studies.drift.drift_rows import drift_rows


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return drift_rows()


@pytest.fixture(scope="module")
def effects(rows: pd.DataFrame) -> pd.DataFrame:
    return all_differences(rows, {}, over_detectors_alone=True)


def _one(effects: pd.DataFrame, mechanism: str, context: str | None, metric: str) -> pd.Series:
    here = effects[(effects["mechanism"] == mechanism) & (effects["metric"] == metric)]
    here = here[here["context"] == context] if context else here
    assert len(here) == 1
    return here.iloc[0]


def test_a_false_alarm_is_a_run_of_flagged_rows_without_an_anomaly() -> None:
    flagged = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1, 0], bool)
    label = np.array([0, 0, 0, 0, 1, 0, 0, 1, 0, 0])
    assert false_alarms_per_node_day(flagged, label, np.arange(10), 8640.0) == pytest.approx(2.0)  # ten rows are a day
    assert np.isnan(false_alarms_per_node_day(flagged[:1], label[:1], np.arange(1), 60.0))


def test_a_summary_has_every_combination_of_every_detector_at_the_usual_percentile(rows: pd.DataFrame) -> None:
    summary = summary_table(rows)
    assert len(summary) == len(DETECTORS) * len(ALL)
    assert (summary["n_nodes"] == 4).all()


def test_an_effect_is_the_paired_difference_with_everything_else_equal(effects: pd.DataFrame) -> None:
    for context in (ALONE, ON_TOP):
        assert _one(effects, "smoothing", context, "auroc")["delta"] == pytest.approx(0.05)
        assert _one(effects, "rebase_drifting", context, "auroc")["delta"] == pytest.approx(0.1 / 4)
        assert _one(effects, "rebase_all", context, "auroc")["delta"] == pytest.approx((0.1 - 3 * 0.05) / 4)
        assert _one(effects, "trailing", context, "event_recall")["delta"] == pytest.approx(-0.1)
    assert _one(effects, "recommended", None, "auroc")["delta"] == pytest.approx(0.05 + 0.1 / 4)
    assert set(effects["detector"]) == {ALL_DETECTORS}


def test_fewer_false_alarms_are_better(effects: pd.DataFrame) -> None:
    assert _one(effects, "smoothing", ALONE, "false_alarms_per_node_day")["verdict"] == "better"
    assert _one(effects, "smoothing", ALONE, "event_recall")["verdict"] == "worse"


def test_a_curve_has_every_percentile_and_tells_what_is_reached_at_a_budget(rows: pd.DataFrame) -> None:
    curve = curve_table(rows)
    assert len(curve) == len(DETECTORS) * len(CURVES) * 3
    assert np.allclose(curve["false_alarms_per_week_of_100_nodes"], 700 * curve["false_alarms_per_node_day"])
    here = curve[(curve["detector"] == "pca") & (curve["curve"] == "nothing")]
    assert recall_at(here, 3.0) == pytest.approx(0.9 - 8 / 50)  # the usual percentile raises 2.005 a day
    assert recall_at(here, 2.0) == pytest.approx(0.9 - 9 / 50)
    assert np.isnan(recall_at(here, 0.1))


def test_the_gate_is_judged_by_what_re_basing_did(rows: pd.DataFrame) -> None:
    gate = gate_table(rows).set_index(["detector", "fired"])
    assert tuple(gate.loc[("pca", True), ["n_nodes", "n_helped"]]) == (1, 1)
    assert tuple(gate.loc[("pca", False), ["n_nodes", "n_helped"]]) == (3, 0)
    assert gate.loc[(ALL_DETECTORS, False), "delta_auroc"] == pytest.approx(-0.05)


def test_a_verdict_says_what_was_bought_and_what_it_cost(rows: pd.DataFrame, effects: pd.DataFrame) -> None:
    said = verdict_sentences(rows, effects)
    text = "\n".join(said)
    assert "fired on 1 of 4 nodes" in said[0]
    smoothing = next(one for one in said if one.startswith("Causal smoothing"))
    bought, cost = smoothing.split("; on top")[0].split(", and cost ")
    assert "AUROC +0.050" in bought
    assert "false alarms per node-day -1.20" in bought
    assert "event recall -0.100" in cost
    rebasing = next(one for one in said if one.startswith("Re-basing of nodes whose drift test fires"))
    assert "bought nothing that can be told from chance" in rebasing
    assert "where it fired, re-basing raised AUROC on 1 of 1 nodes" in text
    assert "where it did not fire, re-basing raised AUROC on 0 of 3 nodes" in text


def test_a_test_that_fires_nowhere_or_cannot_tell_is_said(rows: pd.DataFrame, effects: pd.DataFrame) -> None:
    quiet = rows.assign(drifts=False, drift_share=np.where(rows["node"] == "a", np.nan, 0.01))
    assert drifting_nodes(quiet) == (0, 1, 4)
    first = verdict_sentences(quiet, effects)[0]
    assert "fired on 0 of 4 nodes and could not tell on 1" in first
    assert "is doing nothing" in first


def test_nodes_without_anomalies_leave_a_verdict_on_false_alarms(rows: pd.DataFrame, effects: pd.DataFrame) -> None:
    blind = rows.assign(auroc=np.nan, auprc=np.nan, f1=np.nan, event_recall=np.nan)
    unknown = effects["metric"].isin(["auroc", "auprc", "f1", "event_recall"])
    numbers = ["delta", "ci_low", "ci_high", "mean", "reference"]
    empty = effects[unknown].assign(verdict=None, **dict.fromkeys(numbers, np.nan))
    said = verdict_sentences(blind, pd.concat([effects[~unknown], empty]))
    assert any("false alarms per node-day" in one for one in said)
    assert any("No node has anomalies" in one for one in said)


def test_what_is_recommended_switches_everything_on() -> None:
    assert vars(RECOMMENDED) == {"rebase": "drifting", "smoothed": True, "threshold": "trailing"}
