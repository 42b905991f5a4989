"""Rules side by side, and trials of thresholds: the numbers that a whole evaluation under each rule would give."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.data.fleet import read_fleet
from ftl.detection import THRESHOLDS, DetectionSettings
from ftl.errors import ConfigError, UserError
from ftl.evaluation.node_metrics import node_metrics
from ftl.evaluation.summary import read_summary
from ftl.experiment.alarms import judged
from ftl.experiment.results_folder import SUMMARY_FILE
from ftl.experiment.rethreshold import rethreshold
from ftl.experiment.rule_comparison import ALARM_METRICS, compare_rules, headline_cells, rule_rows, summary_of
from ftl.experiment.scored import ScoredNode, read_scored
from ftl.experiment.threshold_trials import trial, trial_nodes


@pytest.fixture(scope="module")
def fleet(whole_run):
    """Of windows of a quarter of an hour, so that rules can count days."""
    return replace(read_fleet(whole_run.out / "stages" / "fleet"), window_seconds=900.0)


@pytest.fixture(scope="module")
def scored(whole_run) -> list[ScoredNode]:
    stages = whole_run.out / "stages"
    folders = (stages / "transfer" / "unsupervised-seed0", stages / "local" / "supervised-seed0")
    return [node for folder in folders for node in read_scored(folder)]


@pytest.mark.parametrize("half_life", [0.0, 2.0])
@pytest.mark.parametrize("name", ["protocol", *THRESHOLDS])
def test_a_trial_gives_the_thresholds_and_metrics_of_evaluation(fleet, scored, name: str, half_life: float) -> None:
    detection = DetectionSettings(threshold=name, smoothing_half_life=half_life)
    ready = trial_nodes(fleet, scored, half_life)
    evaluated = judged(fleet, lambda: scored, detection)
    for (node, threshold), alarms in zip(trial(ready, detection, fleet.protocol), evaluated, strict=True):
        assert node.scored is alarms.scored
        known = fleet.label[alarms.rows] >= 0
        np.testing.assert_array_equal(np.broadcast_to(threshold, known.sum()), alarms.thresholds[known])
        label, time = fleet.label[alarms.rows][known], fleet.time[alarms.rows][known]
        expected = node_metrics(alarms.scores[known], label, threshold, time, 900.0)
        found = node.metrics(threshold)
        assert found["fpr"] == pytest.approx(1 - expected["tnr"])
        for metric in ("f1", "recall", "event_recall", "alarms_per_node_day"):
            assert found[metric] == pytest.approx(expected[metric], nan_ok=True)


def test_trials_count_alarms_per_day_as_the_results_do(fleet, scored) -> None:
    for node in trial_nodes(fleet, scored[:5], 0.0):
        time = fleet.time[fleet.rows(node.scored.node, 2)]
        expected = node_metrics(node.scores, node.label, np.median(node.scores), time, 900.0)
        assert node.metrics(np.median(node.scores))["alarms_per_node_day"] == pytest.approx(
            expected["alarms_per_node_day"]
        )


def test_a_comparison_gives_the_numbers_of_whole_evaluations(whole_run, tmp_path: Path) -> None:
    """Also of a rule by which targets hear participants, which are scored under an arm that is not compared."""
    smoothed = {"threshold": "fleet_percentile", "percentile": 90, "smoothing_half_life": 2.0}
    rules = {"as run": {}, "fleet": smoothed}
    table = compare_rules(whole_run.out, rules).table
    assert list(table["rule"].unique()) == ["as run", "fleet"]
    whole = rethreshold(whole_run.out, tmp_path / "fleet", smoothed)[0].summary
    for rule, summary in (("as run", whole_run.summary), ("fleet", whole)):
        expected = rule_rows(summary, rule).set_index(["paradigm", "arm"])[list(ALARM_METRICS)]
        found = table[table["rule"] == rule].set_index(["paradigm", "arm"])[list(ALARM_METRICS)]
        pd.testing.assert_frame_equal(found.sort_index(), expected.sort_index(), check_index_type=False, rtol=1e-12)
    assert not np.allclose(*(table.loc[table["rule"] == rule, "f1"] for rule in rules))


def test_the_headline_cells_are_local_models_and_one_cohort(whole_run) -> None:
    cells = headline_cells(whole_run.summary)
    assert set(cells["arm"]) == {"local", "local_long", "transfer"}
    cohort = cells[cells["arm"] == "transfer"]
    assert set(zip(cohort["policy"], cohort["n_participants"], strict=True)) == {("top_n", 2)}
    assert len(cells) == 3 * cells["paradigm"].nunique() == 9


def test_a_rule_that_cannot_be_used_is_left_out_with_its_reason(whole_run) -> None:
    comparison = compare_rules(whole_run.out, {"percentile": {}, "alarm_budget": {"threshold": "alarm_budget"}})
    assert set(comparison.table["rule"]) == {"percentile"}
    assert "window_minutes" in comparison.refused["alarm_budget"]
    with pytest.raises(UserError, match="window_minutes"):
        compare_rules(whole_run.out, {"alarm_budget": {"threshold": "alarm_budget"}})


def test_a_comparison_reports_how_far_it_is(whole_run) -> None:
    seen = []
    compare_rules(whole_run.out, {"as run": {}}, lambda done, total, what: seen.append((done, total)))
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    assert seen


def test_a_comparison_refuses_what_needs_training(whole_run) -> None:
    with pytest.raises(ConfigError, match="made by training"):
        compare_rules(whole_run.out, {"mse": {"score": "mse"}})


def test_a_missing_summary_is_named(whole_run, tmp_path: Path) -> None:
    for name in ("fleets.json", "params.json"):
        (tmp_path / name).write_bytes((whole_run.out / name).read_bytes())
    with pytest.raises(UserError, match=r"summary\.csv: cannot be read"):
        summary_of(tmp_path)
    (tmp_path / SUMMARY_FILE).write_text("not,a,summary\n1,2,3\n")
    with pytest.raises(UserError, match=r"summary\.csv: damaged"):
        summary_of(tmp_path)
    assert len(read_summary(whole_run.out / SUMMARY_FILE)) == len(summary_of(whole_run.out))
