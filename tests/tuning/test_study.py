"""Studies come to the same trials whoever judges them, go on after a kill, and never see a row of the test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftl.data.fleet import GAP, TEST, read_fleet, write_fleet
from ftl.errors import ConfigError, UserError
from ftl.tracking import lineage_of
from ftl.tracking.study_records import study_records
from ftl.tuning import TrialFact, finish_study, open_study, run_study, study_storage
from ftl.tuning.study import baseline_values, facts_of
from tests.tuning.conftest import RULES, MakePlan, RunStudy, journal, told


def test_two_workers_come_to_the_same_trials_as_one(run: RunStudy, tmp_path: Path) -> None:
    space = "tune.space={detection.percentile: {low: 90.0, high: 99.9}, transfer.n_epochs: {low: 1, high: 2}}"
    many = (space, "tune.n_trials=16", "tune.pruning=[]")  # ten at random, then those that learn from them
    one = run(*many, "tune.n_workers=1", out=tmp_path / "one", anew=True)
    two = run(*many, "tune.n_workers=2", out=tmp_path / "two", anew=True)
    assert len(one) == 16
    assert told(one) == told(two)
    assert len({fact.values for fact in one}) > 2  # else this would say nothing


def test_trials_know_nothing_of_the_test_part(fleet: Path, run: RunStudy, tmp_path: Path) -> None:
    """Every test label and every test row replaced: the same values, trials and best parameters."""
    whole = read_fleet(fleet)
    changed = replace(whole, x=np.array(whole.x), label=np.array(whole.label))
    test = np.isin(whole.part, (TEST, GAP))
    changed.x[test] = np.random.default_rng(0).normal(size=changed.x[test].shape)
    changed.label[test] = 1 - (whole.label[test] == 1)
    write_fleet(changed, tmp_path / "changed")
    facts = run(RULES, out=tmp_path / "one")
    assert told(facts) == told(run(RULES, on=tmp_path / "changed", out=tmp_path / "two"))
    assert {fact.state for fact in facts} == {"COMPLETE"}


def test_the_parameters_of_now_are_tried_first_then_the_papers(run: RunStudy) -> None:
    space = (
        "tune.space={detection.percentile: {low: 90.0, high: 99.9}, "
        "transfer.decoder_init: {choices: [keep, reinitialise]}}"
    )
    facts = run(space, "tune.n_trials=3", "tune.pruning=[]")
    assert [fact.why for fact in facts] == ["baseline", "paper", "proposed"]
    assert dict(facts[0].params) == {"detection.percentile": 98.0, "transfer.decoder_init": "keep"}
    assert dict(facts[1].params) == {"detection.percentile": 98.0, "transfer.decoder_init": "reinitialise"}


def test_a_baseline_outside_of_the_space_is_judged_all_the_same(plan: MakePlan) -> None:
    planned = plan("tune.space={detection.percentile: {low: 80.0, high: 90.0}}", "tune.n_trials=1")
    with study_storage(journal(planned)) as storage:
        study = open_study(planned, storage)
        facts = list(run_study(planned, study))
        assert [fact.why for fact in facts] == ["proposed"]
        assert len(baseline_values(study)) == 1


def test_a_killed_study_goes_on_to_the_same_trials(run: RunStudy, plan: MakePlan, tmp_path: Path, monkeypatch) -> None:
    """Killed after the first of a batch of four: its other three ran in a process that is gone."""
    whole = run(RULES, "tune.n_trials=10", out=tmp_path / "whole")
    cut = run(RULES, "tune.n_trials=10", out=tmp_path / "cut", stop=5)
    monkeypatch.setattr("ftl.tuning.study.is_gone", lambda owner: True)
    run(RULES, "tune.n_trials=10", out=tmp_path / "cut")
    planned = plan(RULES, "tune.n_trials=10", out=tmp_path / "cut")
    with study_storage(journal(planned)) as storage:
        study = open_study(planned, storage)
        facts, states = facts_of(study), [trial.state.name for trial in study.trials]
    assert told(cut) == told(whole[:5])
    assert states.count("FAIL") == 3
    assert "RUNNING" not in states
    assert told(facts) == told(whole)


def test_a_trial_of_a_living_process_is_left_to_it(run: RunStudy, plan: MakePlan) -> None:
    run(RULES, stop=1)  # by this process, which lives
    run(RULES)
    planned = plan(RULES)
    with study_storage(journal(planned)) as storage:
        states = [trial.state.name for trial in open_study(planned, storage).trials]
    assert states.count("RUNNING") == 3
    assert "FAIL" not in states


def test_a_study_that_is_complete_runs_nothing_more(run: RunStudy) -> None:
    assert len(run(RULES)) == 6
    assert run(RULES) == []
    assert len(run(RULES, "tune.n_trials=8")) == 2


def test_another_study_of_the_same_name_is_refused(run: RunStudy) -> None:
    run(RULES, "tune.n_trials=1")
    other = "training.batch_size=16"
    with pytest.raises(ConfigError, match=r"training\.batch_size was 32, is 16; give another --study NAME, or --fresh"):
        run(RULES, other, "tune.n_trials=1")
    assert len(run(RULES, other, "tune.n_trials=1", fresh=True)) == 1


def test_a_diverged_trial_fails_and_the_study_goes_on(run: RunStudy) -> None:
    space = "tune.space={optimizer.learning_rate: {choices: [0.001, 1.0e+30]}}"
    facts = run(space, "tune.n_trials=4", "tune.pruning=[]")
    failed = [fact for fact in facts if fact.state == "FAIL"]
    assert facts[0].state == "COMPLETE"
    assert failed
    assert all(fact.params["optimizer.learning_rate"] == 1e30 for fact in failed)
    assert "diverged" in (failed[0].error or "")


def test_a_baseline_that_cannot_be_judged_ends_the_study(run: RunStudy) -> None:
    with pytest.raises(UserError, match=r"the parameters as they are now cannot be judged.*diverged"):
        run(RULES, "optimizer.learning_rate=1e30")


def test_a_bad_learning_rate_is_pruned_between_rounds(run: RunStudy) -> None:
    space = "tune.space={optimizer.learning_rate: {choices: [0.02, 0.021, 1.0e-8]}}"
    learning = ("optimizer.learning_rate=0.02", "federate.n_local_epochs=4")  # so that something is learned here
    facts = run(space, "tune.n_trials=9", "tune.pruning=[rounds]", "tune.objective=auprc", *learning)
    later = [fact for fact in facts[4:] if fact.params["optimizer.learning_rate"] == 1e-8]
    assert later, "no proposal to be pruned"
    assert {fact.state for fact in later} == {"PRUNED"}
    assert all(fact.params["optimizer.learning_rate"] != 1e-8 for fact in facts if (fact.values or (0.0,))[0] > 0.9)


def test_workers_of_two_commands_share_a_database(plan: MakePlan, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    planned = plan(RULES)
    with study_storage(url) as here, study_storage(url) as there:
        first, second = run_study(planned, open_study(planned, here)), run_study(planned, open_study(planned, there))
        numbers = [next(first).number, next(second).number]
        numbers += [fact.number for fact in (*first, *second)]
    assert sorted(numbers) == list(range(6))


def test_the_result_names_what_changed_and_tests_it_once(plan: MakePlan, tmp_path: Path) -> None:
    planned = plan(RULES, "tune.n_trials=8", "detection.percentile=99.9")  # which almost nothing passes
    with study_storage(journal(planned)) as storage:
        study = open_study(planned, storage)
        list(run_study(planned, study))
        first = finish_study(planned, study, tmp_path / "out")
        later = plan(RULES, "tune.n_trials=8", "detection.percentile=99.9", "tune.n_workers=2")
        again = finish_study(later, study, tmp_path / "out")
    content = first.content
    assert content == again.content
    assert content["test_looks"] == 1
    before, best = content["baseline"]["validation"]["f1"], content["best"]["validation"]["f1"]
    assert content["improved"] == (best > before)
    assert content["improved"], "a lower percentile is better, and easily found"
    assert set(first.overlay) == {"detection"}
    lineage = lineage_of(planned.base, {"small": read_fleet(planned.split.tuning)})
    records = study_records(content, planned.base, lineage, first.folder)
    assert [record.tags["level"] for record in records] == ["trial"] * 8 + ["study"]
    assert len({record.identity for record in records}) == 9
    assert [record.points[0].value for record in records[:8]] == [value for _, value, _ in content["history"]]
    assert set(records[-1].artifacts) == {"tuning.json", "tuning.md", "best.yaml"}
    tested = content["best"]["test_difference"]
    assert tested["delta_f1"] == pytest.approx(content["best"]["test"]["f1"] - content["baseline"]["test"]["f1"])
    assert len(tested["nodes"]) == tested["n_nodes"] == 4


def test_with_a_cost_the_front_holds_what_no_other_trial_beats(plan: MakePlan, tmp_path: Path) -> None:
    space = "tune.space={federate.n_rounds: {choices: [1, 2]}, detection.percentile: {low: 90.0, high: 99.9}}"
    planned = plan(space, "tune.cost=bytes", "tune.n_trials=6")
    with study_storage(journal(planned)) as storage:
        study = open_study(planned, storage)
        facts = list(run_study(planned, study))
        content = finish_study(planned, study, tmp_path / "out").content
    assert content["objectives"] == ["f1", "bytes"]
    assert content["directions"] == ["maximize", "minimize"]
    assert sorted(trial["number"] for trial in content["pareto"]) == sorted(trial.number for trial in study.best_trials)
    assert {fact.values[1] for fact in facts if fact.values} == {of_rounds(facts, 1), of_rounds(facts, 2)}
    assert of_rounds(facts, 1) < of_rounds(facts, 2)


def of_rounds(facts: list[TrialFact], n_rounds: int) -> float:
    """Bytes of the trials with so many rounds."""
    return next(fact.values[1] for fact in facts if fact.values and fact.params["federate.n_rounds"] == n_rounds)
