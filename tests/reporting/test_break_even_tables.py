from dataclasses import replace

import pytest

from ftl.evaluation.break_even import break_even_table
from ftl.reporting.break_even_tables import break_even_rows, break_even_tables, fleet_size, fleet_words
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture(scope="module")
def run():
    return synthetic_run(n_nodes=6, n_participants=(2, 3), datasets=("d1",), n_rounds=5)


def test_without_costs_a_fleet_pays_once_its_saved_steps_make_up_for_the_participants(run):
    rows = break_even_rows(replace(run, costs=None)).set_index(["paradigm", "policy", "n_participants"])
    row = rows.loc[("unsupervised", "random_n", 3)]
    assert row["unit"] == "steps"
    n_nodes = row["nodes_vs_local"]
    assert n_nodes * 60 > 3 * 100 + (n_nodes - 3) * 20
    assert (n_nodes - 1) * 60 <= 3 * 100 + (n_nodes - 4) * 20
    assert rows.loc[("unsupervised", "top_n", 3), "nodes_vs_local"] == float("inf")  # ranking has spent it all
    assert rows.loc[("unsupervised", "top_n", 3), "nodes_vs_local_long"] == 7


def test_steps_that_nobody_knows_have_no_break_even(run):
    without = replace(run, costs=None, results=run.results[run.results["arm"] != "local_long"])
    rows = break_even_rows(without)
    assert len(rows)
    assert rows["nodes_vs_local"].isna().all()


def test_a_fleet_has_one_target_at_least():
    assert fleet_size(3, 0.0) == 4
    assert fleet_size(3, float("inf")) == float("inf")
    assert fleet_words(fleet_size(3, float("nan"))) == "-"


def test_break_even_is_in_what_was_measured_and_agrees_with_the_evaluation(run):
    rows = break_even_rows(run)
    assert set(rows["unit"]) == {"cpu_seconds"}
    epochs, federate = run.params["local"]["n_epochs"], run.params["federate"]
    truth = break_even_table(run.results, run.costs, epochs, federate["n_rounds"], federate["n_local_epochs"])
    cell = ["paradigm", "policy", "n_participants"]
    truth = truth[(truth["unit"] == "cpu_seconds") & (truth["against"] == "local_long")].set_index(cell)
    for key, row in rows.set_index(cell).iterrows():
        assert row["nodes_vs_local_long"] == fleet_size(key[2], truth.loc[key, "n_targets"])
        assert row["federation"] == truth.loc[key, "federation"]


def test_a_paradigm_without_measured_costs_is_counted_in_steps(run):
    some = replace(run, costs=run.costs[run.costs["paradigm"] != "supervised"])
    rows = break_even_rows(some)
    assert set(rows.loc[rows["paradigm"] == "supervised", "unit"]) == {"steps"}
    assert set(rows.loc[rows["paradigm"] == "unsupervised", "unit"]) == {"cpu_seconds"}
    assert len(break_even_tables(some)) == 2


def test_energy_has_a_table_of_its_own_where_it_was_measured(run):
    measured = run.costs.assign(energy_wh=0.25, energy_source="rapl")
    captions = [table.caption for table in break_even_tables(replace(run, costs=measured))]
    assert ["CPU time" in captions[0], "energy (Wh)" in captions[1], len(captions)] == [True, True, 2]


def test_every_cohort_has_its_break_even(run):
    (table,) = break_even_tables(replace(run, costs=None))
    assert "gradient steps" in table.caption
    assert len(table.shown) == 3 * 2 * 2
    first = table.shown.set_index(["Paradigm", "Policy", "N"]).loc[("unsupervised", "random_n", "3")]
    assert first["Cheaper than local from"] == "7 nodes"
    assert first["Federation, all participants"] == "300"
