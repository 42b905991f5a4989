import numpy as np
import pandas as pd

from ftl.reporting import RunTables
from ftl.reporting.harm import distribution, distribution_tables, worst_nodes, worst_tables


def gains_of(*rows):
    """(paradigm, N, node, ΔF1) each, of dataset d1 under top_n."""
    table = pd.DataFrame(rows, columns=["paradigm", "n_participants", "node", "delta_f1"])
    key = {"dataset": "d1", "protocol": "rigorous", "policy": "top_n", "arm": "transfer"}
    return table.assign(**key, delta_f1_vs_local_long=table["delta_f1"] - 0.1).astype({"n_participants": "Int64"})


GAINS = gains_of(
    ("unsupervised", 3, "a", -0.4), ("unsupervised", 3, "b", 0.0), ("unsupervised", 3, "c", 0.05),
    ("unsupervised", 3, "d", 0.3), ("unsupervised", 5, "a", 0.2), ("unsupervised", 5, "b", -0.2),
)  # fmt: skip


def run_of(gains):
    results = pd.DataFrame({"dataset": "d1", "node": gains["node"]})
    summary = gains[["dataset", "protocol"]].drop_duplicates()
    card = {"origin": "real", "node_ids": ["a", "b"], "racks": ["r7", None]}
    return RunTables(results, summary, fleets={"d1": card})


def test_every_node_of_a_cell_is_harmed_unchanged_or_improved():
    cell = distribution(GAINS).iloc[0]
    assert cell[["n_nodes", "n_harmed", "n_unchanged", "n_improved"]].tolist() == [4, 1, 1, 2]
    assert cell["share_harmed"] == 0.25
    assert cell["share_harmed_vs_local_long"] == 0.75
    assert cell[["worst", "median", "best"]].tolist() == [-0.4, 0.025, 0.3]


def test_without_local_long_no_share_is_made_up():
    assert np.isnan(distribution(GAINS.assign(delta_f1_vs_local_long=np.nan))["share_harmed_vs_local_long"]).all()


def test_the_worst_nodes_are_those_that_lose_on_average_over_their_cells():
    worst = worst_nodes(GAINS)
    assert worst["node"].tolist() == ["a", "b"]
    assert worst["mean_delta_f1"].round(9).tolist() == [-0.1, -0.1]
    assert worst.loc[0, ["n_cells_harmed", "n_cells", "worst_delta_f1"]].tolist() == [1, 2, -0.4]


def test_no_more_nodes_than_asked_for_are_listed_per_paradigm():
    rows = [(paradigm, 3, f"n{k}", -k / 10) for paradigm in ("unsupervised", "supervised") for k in range(1, 9)]
    worst = worst_nodes(gains_of(*rows), most=2)
    assert worst.groupby("paradigm")["node"].apply(list).to_dict() == {
        "supervised": ["n8", "n7"], "unsupervised": ["n8", "n7"]
    }  # fmt: skip


def test_the_table_of_the_worst_nodes_names_their_rack_where_one_is_known():
    (table,) = worst_tables(run_of(GAINS), GAINS)
    assert table.shown[["Node", "Rack", "Cells harmed"]].values.tolist() == [
        ["a", "r7", "1 of 2"],
        ["b", "-", "1 of 2"],
    ]
    assert "d1 (real, 4 nodes), rigorous protocol" in table.caption


def test_the_distribution_is_shown_cell_by_cell():
    (table,) = distribution_tables(run_of(GAINS), GAINS)
    assert table.shown["N"].tolist() == ["3", "5"]
    assert table.shown.loc[0, ["Harmed", "Share harmed", "vs local_long", "ΔF1 worst"]].tolist() == [
        "1", "25%", "75%", "-0.40"
    ]  # fmt: skip
