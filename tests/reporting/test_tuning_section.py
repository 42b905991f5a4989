import json
from dataclasses import replace

import pytest

from ftl.reporting.blocks import tables_in
from ftl.reporting.tuning_section import studies_of, study_blocks
from tests.reporting.synthetic_run import synthetic_run

STUDY = {
    "study": "threshold", "dataset": "d1", "objective": "f1", "direction": "maximize", "labels_from": "validation",
    "n_trials": 40, "n_pruned": 3, "n_failed": 1,
    "baseline": {"params": {"detection.percentile": 98.0}, "validation": {"f1": 0.41}, "test": {"f1": 0.36}},
    "best": {"params": {"detection.percentile": 99.4, "detection.threshold": "percentile"},
             "validation": {"f1": 0.46}, "test": {"f1": 0.35},
             "test_difference": {"delta_f1": -0.0123, "ci_low": -0.03, "ci_high": 0.01, "n_nodes": 14}},
    "overlay": {"detection": {"percentile": 99.4}}, "pareto": [],
    "history": [[0, 0.41, "complete"], [1, None, "pruned"]],
}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return synthetic_run(n_nodes=5, n_participants=(2,), seeds=(0,), datasets=("d1",), paradigms=("unsupervised",))


def blocks_of(run, **changes):
    (study,) = studies_of(replace(run, tuning=json.loads(json.dumps(STUDY | changes))))
    return study_blocks(run, study)


def words_of(run, **changes):
    return "\n".join(map(str, blocks_of(run, **changes)))


def test_the_study_and_what_it_saw_are_told(run):
    words = words_of(run)
    assert "Study **threshold** on d1: maximize `f1`." in words
    assert "40 trials, 3 of them pruned, 1 failed." in words
    assert "The objective saw the validation part; no trial saw a scored test label." in words
    assert "labels lent from the first test rows" in words_of(run, labels_from="lent")
    assert "maximize `f1`, minimize `bytes`" in words_of(run, objectives=["f1", "bytes"])
    assert "detection:\\n  percentile: 99.4" in words


def test_several_datasets_have_a_study_each_and_a_stage_that_is_off_has_none(run):
    several = STUDY | {"datasets": {"d1": STUDY, "d2": STUDY | {"dataset": "d2"}}}
    assert [study["dataset"] for study in studies_of(replace(run, tuning=several))] == ["d1", "d2"]
    for nothing in ({}, None, {"study": None}):
        assert studies_of(replace(run, tuning=nothing)) == []


def test_before_and_after_stand_side_by_side_for_both_parts(run):
    table = next(table for table in tables_in(blocks_of(run)) if table.name == "tuning")
    assert table.shown.values.tolist() == [
        ["validation", "f1", "0.4100", "0.4600", "+0.0500"], ["test", "f1", "0.3600", "0.3500", "-0.0100"]
    ]  # fmt: skip
    assert "d1 (simulated, 5 nodes), rigorous protocol" in table.caption


def test_only_parameters_that_the_best_trial_changes_are_told(run):
    best = STUDY["best"] | {"params": {"detection.percentile": 99.43219, "detection.pot_risk": 0.002}}
    overlay = {"detection": {"percentile": 99.43219}}
    table = next(t for t in tables_in(blocks_of(run, best=best, overlay=overlay)) if t.name == "tuning_parameters")
    assert table.shown.values.tolist() == [["detection.percentile", "98", "99.43"]]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((-0.0123, -0.03, 0.01), "-0.012 (95 % interval [-0.030, +0.010]) over 14 nodes"),
        ((-0.0123, -0.03, 0.01), "a difference that was not shown to be other than 0"),
        ((-0.02, -0.03, -0.01), "tuning **did harm**"),
        ((0.02, 0.01, 0.03), "tuning **helped**"),
        ((0.02, None, None), "too few nodes for an interval"),
        ((None, None, None), "could not be judged"),
    ],
)
def test_the_effect_on_the_test_part_is_told_good_or_bad(run, found, words):
    difference = dict(zip(("delta_f1", "ci_low", "ci_high"), found, strict=True), n_nodes=14)
    assert words in words_of(run, best=STUDY["best"] | {"test_difference": difference})


def test_a_study_without_a_finished_trial_has_no_best_parameters(run):
    assert "No trial was completed" in words_of(run, best=None)


def test_the_front_of_a_study_of_several_objectives_is_a_table(run):
    front = [
        {"number": 7, "values": [0.1, 2000.0], "params": {"n": 3}},
        {"number": 9, "values": [0.2, 9000.0], "params": {}},
    ]
    objectives = {"objective": ["delta_f1", "bytes"], "direction": ["maximize", "minimize"], "pareto": front}
    table = next(t for t in tables_in(blocks_of(run, **objectives)) if t.name == "tuning_pareto")
    assert table.shown.to_dict("records") == [
        {"Trial": "7", "delta_f1": "0.1000", "bytes": "2.0 kB", "n": "3"},
        {"Trial": "9", "delta_f1": "0.2000", "bytes": "9.0 kB", "n": "-"},
    ]


def test_the_cost_names_its_column_of_the_front(run):
    front = [{"number": 7, "values": [0.1, 2000.0], "params": {}}]
    table = next(
        t for t in tables_in(blocks_of(run, objectives=["f1", "bytes"], pareto=front)) if t.name == "tuning_pareto"
    )
    assert table.shown.to_dict("records") == [{"Trial": "7", "f1": "0.1000", "bytes": "2.0 kB"}]
