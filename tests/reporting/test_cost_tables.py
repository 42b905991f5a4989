from dataclasses import replace

import numpy as np
import pytest

from ftl.reporting.cost_tables import (
    mean_steps,
    node_cost_tables,
    rounds_of,
    stage_cost_tables,
)
from tests.reporting.synthetic_run import STATE_BYTES, STEPS, synthetic_run

MADE = {"local": 60.0, "long": 120.0, "tuned": 20.0, "federated": 100.0}


@pytest.fixture(scope="module")
def run():
    return synthetic_run(n_nodes=6, n_participants=(2, 3), datasets=("d1",), n_rounds=5)


def test_steps_of_federation_are_those_that_local_long_takes_beyond_fine_tuning(run):
    assert mean_steps(run.results) == {**MADE, "local": STEPS["local"]}
    without = mean_steps(run.results[run.results["arm"] != "local_long"])
    assert np.isnan(without["federated"])


def test_what_is_sent_to_be_ranked_is_that_of_one_policy(run):
    results = run.results.copy()
    ranked = (results["policy"] == "top_n") & (results["arm"] == "transfer") & (results["role"] == "target")
    results.loc[ranked, "bytes_sent"] = 8
    shown = node_cost_tables(replace(run, results=results))[0].shown.set_index("Step")
    assert shown.loc["fine-tuning of the decoder (transfer)", "Bytes sent"] == "8 B"


def test_a_round_is_a_share_of_the_whole_in_steps_bytes_and_time(run):
    (table, *_) = node_cost_tables(run)
    costs = table.numbers.set_index("step")
    one = costs.loc["one federated round of a participant"]
    whole = costs.loc["federated training of a participant, 5 rounds"]
    assert one["bytes_sent"] == STATE_BYTES
    assert whole["bytes_sent"] == 5 * STATE_BYTES
    assert one["gradient_steps"] == 20
    cohort_rounds = 2 * 5 * (2 + 3 + 2 * (2 + 3))  # seeds x rounds x participants of top_n and two draws of random_n
    assert one["cpu_seconds"] == pytest.approx(2 * 3.5 / cohort_rounds)
    assert "baseline pca" in costs.index
    assert table.shown.set_index("Step").loc["one federated round of a participant", "Bytes sent"] == "180.0 kB"


def test_pooled_training_is_no_nodes_own(run):
    shown = node_cost_tables(run)[0].shown.set_index("Step")
    assert shown.loc["pooled training on a server (centralised): raw rows sent", "Gradient steps"] == "-"


def test_energy_that_was_not_measured_is_said_to_be_so(run):
    (table,) = stage_cost_tables(run)
    assert table.shown["Stage"].unique().tolist() == ["prepare", "local", "federate", "transfer"]
    assert set(table.shown["Energy"]) == {"not measured here"}
    measured = run.costs.assign(energy_wh=0.25, energy_source="rapl")
    (table,) = stage_cost_tables(replace(run, costs=measured))
    assert table.shown["Energy"].tolist()[1] == "0.500 Wh (rapl)"  # of two seeds


def test_costs_of_an_older_run_are_empty_not_wrong(run):
    older = replace(run, costs=None, params={}, results=run.results.drop(columns=["bytes_sent", "bytes_received"]))
    assert stage_cost_tables(older) == []
    shown = node_cost_tables(older)[0].shown
    assert set(shown["Bytes sent"]) == {"-"}
    assert rounds_of(older, "d1") == 5  # counted
    assert rounds_of(replace(older, rounds=None), "d1") == 0
