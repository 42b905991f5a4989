from dataclasses import replace

import numpy as np
import pytest

from ftl.reporting.gates import warnings_of
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture(scope="module")
def run():
    paradigms = ("unsupervised", "supervised")
    run = synthetic_run(n_nodes=12, n_participants=(2, 3), datasets=("d1",), paradigms=paradigms)
    return replace(run, summary=run.summary.assign(ci_method="nodes"))


def changed(run, arm, column, value, paradigm="unsupervised"):
    """The run with one column of an arm's summary rows set to a value."""
    summary = run.summary.copy()
    summary.loc[(summary["arm"] == arm) & (summary["paradigm"] == paradigm), column] = value
    return replace(run, summary=summary)


def test_a_sound_run_gets_no_warning(run):
    assert warnings_of(run) == []


@pytest.mark.parametrize("arm", ["local", "transfer"])
def test_recall_1_nearly_everywhere_is_doubted(run, arm):
    (warning,) = warnings_of(changed(run, arm, "share_recall_one", 0.95))
    assert warning.startswith(f"d1, unsupervised, rigorous protocol: {arm} has recall 1 on 95% of the nodes")
    assert warnings_of(changed(run, arm, "share_recall_one", 0.9)) == []


def test_local_models_below_chance_are_doubted(run):
    (warning,) = warnings_of(changed(run, "local", "auroc_after", 0.4321, "supervised"))
    assert "d1, supervised" in warning
    assert "AUROC 0.432 < 0.5" in warning
    assert warnings_of(changed(run, "local", "auroc_after", np.nan)) == []


def test_a_random_scorer_off_chance_is_doubted(run):
    results = run.results.copy()
    results.loc[results["arm"] == "random", "auroc"] += 0.2
    (warning,) = warnings_of(replace(run, results=results))
    assert "the random scorer's AUROC is 0.698" in warning
    assert "which leaves out 0.5" in warning


def test_intervals_over_a_handful_of_racks_are_doubted(run):
    by_rack = replace(run, summary=run.summary.assign(ci_method="racks"))
    (warning,) = warnings_of(by_rack)
    assert warning.startswith("d1, rigorous protocol: intervals resample whole racks, and there are ")
    card = {**run.fleets["d1"], "racks": {f"node-{k:03d}": f"rack-{k}" for k in range(12)}}
    assert warnings_of(replace(by_rack, fleets={"d1": card})) == []
