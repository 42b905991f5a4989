from dataclasses import replace

import pandas as pd
import pytest

from ftl.reporting.blocks import Notice
from ftl.reporting.opening import best_baseline, headline_cells, holm_words, opening_blocks, short_answers, verdict
from ftl.reporting.pictures.subject import node_gains
from tests.reporting.synthetic_run import STATE_BYTES, synthetic_run


@pytest.fixture(scope="module")
def run():
    paradigms = ("unsupervised", "supervised")
    run = synthetic_run(n_nodes=10, n_participants=(2, 3, 4, 5), datasets=("d1",), paradigms=paradigms)
    return replace(run, summary=run.summary.assign(ci_method="nodes"))


@pytest.mark.parametrize(
    ("local", "long", "words"),
    [
        ("better", "better", "gain over both"),
        ("no difference", "no difference", "no difference shown"),
        ("worse", "worse", "loss against both"),
        ("better", "worse", "no gain: better than local and worse than local_long"),
        ("better", "no difference", "no gain: better than local and not shown to differ from local_long"),
        ("better", None, "cannot be judged"),
    ],
)
def test_a_gain_is_one_over_both_controls_alone(local, long, words):
    assert verdict(pd.Series({"verdict_vs_local": local, "verdict_vs_local_long": long})) == words


def test_headline_cells_are_top_n_at_the_middle_n_the_lower_of_two(run):
    cells = headline_cells(run)
    assert cells[["paradigm", "policy", "n_participants"]].values.tolist() == [
        ["unsupervised", "top_n", 3], ["supervised", "top_n", 3]
    ]  # fmt: skip


def test_the_baseline_is_judged_on_the_nodes_of_the_cell(run):
    cell = headline_cells(run).iloc[0]
    nodes = pd.Series(["node-004", "node-007"])
    runs = run.results[run.results["node"].isin(nodes) & run.results["arm"].isin(["pca", "ecod"])]
    expected = runs.groupby("arm")["auroc"].mean()
    assert best_baseline(run, cell, nodes) == (expected.idxmax(), pytest.approx(expected.max()))


def test_other_paradigms_are_held_against_the_same_baselines_unless_they_have_fewer_test_rows(run):
    cell, nodes = headline_cells(run).iloc[1], pd.Series(["node-004"])
    for borrowed, known in ((False, True), (True, False)):
        card = {**run.fleets["d1"], "labels_borrowed": borrowed}
        assert (best_baseline(replace(run, fleets={"d1": card}), cell, nodes) is not None) is known


def test_harm_and_cost_stand_in_a_sentence_each(run):
    harm, cost = short_answers(run, headline_cells(run), node_gains(run.results))
    assert harm.startswith("**Harmed** on d1: over all cells, ")
    assert f"a participant sends {5 * STATE_BYTES / 1000:.1f} kB in 5 rounds (180.0 kB each)" in cost
    assert "a participant makes 100 gradient steps and a target 20, where training alone takes 60" in cost
    assert cost.endswith("; in CPU time no size of the fleet makes federation cheaper than local training.")
    (_, counted) = short_answers(replace(run, costs=None), headline_cells(run), node_gains(run.results))
    assert "; in gradient steps no size of the fleet" in counted


def test_gains_of_single_intervals_are_told_from_those_that_survive_correction():
    both = {"verdict_vs_local": "better", "verdict_vs_local_long": "better"}
    lost = {"verdict_vs_local": "better", "verdict_vs_local_long": "no difference"}
    cells = pd.DataFrame([both | {"p_holm": 1.0}, both | {"p_holm": 0.01}, lost | {"p_holm": 0.01}])
    assert "1 of them is a significant gain" in holm_words(cells)
    assert "none of them is a significant gain" in holm_words(cells.iloc[:1])
    assert holm_words(cells.iloc[2:]) == ""


def test_costs_that_nobody_knows_are_left_out(run):
    bare = replace(run, results=run.results[run.results["arm"] != "local_long"].drop(columns="bytes_sent"))
    assert len(short_answers(bare, headline_cells(run), node_gains(run.results))) == 1


def test_warnings_stand_in_a_box_above_the_verdict(run):
    summary = run.summary.copy()
    summary.loc[summary["arm"] == "local", "auroc_after"] = 0.3
    bought, data, notice, *_ = opening_blocks(replace(run, summary=summary), node_gains(run.results))
    assert isinstance(notice, Notice)
    assert len(notice.lines) == 2
    assert len(bought.lines) == 3
    assert "simulated telemetry" in data.lines[0]
    assert not any(isinstance(block, Notice) for block in opening_blocks(run, node_gains(run.results)))
