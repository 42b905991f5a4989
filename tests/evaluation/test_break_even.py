"""Break-even points are sums that can be done by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.evaluation.break_even import break_even, break_even_table
from ftl.evaluation.results import results_frame


def test_the_papers_own_numbers_break_even_at_hundreds_of_targets() -> None:
    """Its Table 7: 1000 rounds of 18 to 24 s, and 31 to 47 s saved by a target."""
    assert break_even(18_000, 8, 55).n_targets == 383
    assert break_even(24_000, 11, 42).n_targets == 775  # 24 000 / 31 is 774.2
    assert break_even(18_000, 8, 55).words == "from 383 targets on"


def test_where_every_node_trains_to_be_ranked_nothing_is_ever_saved() -> None:
    found = break_even(18_000, 8, 55, n_participants=10, ranking_per_node=55)
    assert found.n_targets == math.inf
    assert found.words.startswith("never")


def test_participants_that_train_nothing_else_are_credited() -> None:
    assert break_even(100, 1, 11, n_participants=5).n_targets == 5  # 100 - 5 * 11 = 45 to be earned, 10 by each
    assert break_even(100, 1, 11, n_participants=20).n_targets == 0


def test_what_was_not_measured_has_no_break_even() -> None:
    for costs in ((math.nan, 1, 2), (1, math.nan, 2), (1, 1, math.nan)):
        assert math.isnan(break_even(*costs).n_targets)
        assert break_even(*costs).words == "not measured"


costs = st.integers(0, 1000)


@given(federation=costs, tuning=costs, local=costs, ranking=costs, n_participants=st.integers(0, 20))
def test_from_the_break_even_on_federation_is_cheaper_and_just_below_it_is_not(
    federation: int, tuning: int, local: int, ranking: int, n_participants: int
) -> None:
    def federation_is_cheaper(n: float) -> bool:
        nodes = n_participants + n
        return federation + ranking * nodes + tuning * n < local * nodes

    n = break_even(federation, tuning, local, n_participants, ranking).n_targets
    if math.isinf(n):
        assert not federation_is_cheaper(10_000_000)
        return
    assert all(federation_is_cheaper(n + more) for more in (0, 1, 50))
    assert n == 0 or not federation_is_cheaper(n - 1)


@pytest.fixture
def results(result_row, cohort) -> pd.DataFrame:
    """Four nodes; local models made 2 epochs of 10 steps (n3: 20), in 1 s each; a cohort of two per policy."""

    def row(arm: str, node: str, steps: int, seconds: float, **more: Any) -> dict[str, Any]:
        spent = {"n_train_steps": steps, "training_seconds": seconds}
        return result_row(arm, node, (1, 0, 1, 0), **spent, **more)

    steps = {"n0": 20, "n1": 20, "n2": 20, "n3": 40}
    rows = [row("local", node, steps[node], 1.0) for node in steps]
    rows += [row("local_long", node, 6 * steps[node], 6.0) for node in steps]
    for policy, participants in (("top_n", ("n0", "n1")), ("random_n", ("n2", "n3"))):
        for node in steps:
            taking = cohort("participant" if node in participants else "target", policy, 2)
            rows.append(row("zero_shot", node, 0, 0.0, **taking))
            if node not in participants:
                rows.append(row("transfer", node, steps[node] // 2, 0.5, **taking))
    return results_frame(rows)


def costs_table(**columns: Any) -> pd.DataFrame:
    """As it is read from costs.csv, a baseline's row with its empty seed among it."""
    stages = ["baselines", "local", "federate", "transfer"]
    paradigm = [None, *["unsupervised"] * 3]
    return pd.DataFrame(
        {"dataset": "d1", "stage": stages, "paradigm": paradigm, "seed": [np.nan, 0, 0, 0], "cpu_seconds": 50.0}
        | {"energy_wh": np.nan}
        | columns
    )


def of(table: pd.DataFrame, policy: str, against: str, unit: str = "cpu_seconds") -> "pd.Series[Any]":
    rows = table[(table["policy"] == policy) & (table["against"] == against) & (table["unit"] == unit)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_cohorts_share_of_the_federate_stage_goes_by_steps(results: pd.DataFrame) -> None:
    table = break_even_table(results, costs_table(), local_epochs=2, n_rounds=5, n_local_epochs=1)
    # 100 steps by the first cohort, 150 by the second, 100 by the centralised model: 50 s are shared out among 350.
    assert of(table, "top_n", "local")["federation"] == pytest.approx(50 * 100 / 350)
    assert of(table, "random_n", "local")["federation"] == pytest.approx(50 * 150 / 350)
    found = of(table, "random_n", "local")
    # 21.43 s, less 2 s that the participants are spared, at half a second that a target saves
    assert (found["n_targets"], found["words"]) == (39, "from 39 targets on")
    assert of(table, "random_n", "local_long")["n_targets"] == 2  # 21.43 - 12 s, at 5.5 s


def test_ranking_costs_every_node_its_local_model(results: pd.DataFrame) -> None:
    table = break_even_table(results, costs_table(), local_epochs=2, n_rounds=5, n_local_epochs=1)
    assert of(table, "top_n", "local")["n_targets"] == math.inf
    found = of(table, "top_n", "local_long")
    assert found["ranking_per_node"] == 1.0
    assert found["n_targets"] == math.floor((50 * 100 / 350 - 2 * 5) / 4.5) + 1


def test_energy_breaks_even_where_every_stage_was_measured(results: pd.DataFrame) -> None:
    some = break_even_table(results, costs_table(energy_wh=[1, 1, 1, np.nan]), 2, 5, 1)
    assert of(some, "random_n", "local", "energy_wh")["words"] == "not measured"
    every = break_even_table(results, costs_table(energy_wh=[1, 5, 5, 5]), 2, 5, 1)  # 0.1 Wh per second
    found = of(every, "random_n", "local", "energy_wh")
    assert found["federation"] == pytest.approx(5 * 150 / 350)
    assert found["n_targets"] == 39


def test_results_without_costs_say_so(results: pd.DataFrame) -> None:
    table = break_even_table(results, costs_table().iloc[:0], 2, 5, 1)
    assert set(table["words"]) == {"not measured"}
    assert len(table) == 8
