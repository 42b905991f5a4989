"""Means over nodes and paired differences of a study, on tables with known answers."""

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.significance import holm, wilcoxon_p
from ftl.studies.tables import COMPARED, SUMMARISED, differences, means, node_means

NO_RACKS: dict[str, str | None] = {}


def rows_of(arm: str, by_node: dict[str, list[float]], hours: float = 4.0, **metrics: float) -> pd.DataFrame:
    """A row per node and seed; the number is F1 unless a metric is named."""
    rows = []
    for node, values in by_node.items():
        for seed, value in enumerate(values):
            row = dict.fromkeys(SUMMARISED, 0.5) | {"f1": value} | metrics
            rows.append({"hours": hours, "arm": arm, "node": node, "seed": seed, **row})
    return pd.DataFrame(rows)


def test_seeds_are_averaged_within_a_node_before_nodes_are() -> None:
    rows = rows_of("local", {"a": [0.0, 0.2, 0.4], "b": [1.0]})
    assert node_means(rows, ["arm"])["f1"].tolist() == pytest.approx([0.2, 1.0])
    table = means(rows, ["arm"])
    assert table["f1"].tolist() == pytest.approx([0.6])  # not 0.4, the mean of the rows
    assert table["n_nodes"].tolist() == [2]


def test_nodes_without_f1_are_left_out_of_it_and_count_for_false_alarms() -> None:
    rows = pd.concat([rows_of("local", {"a": [0.4]}, fpr=0.1), rows_of("local", {"b": [np.nan]}, fpr=0.3)])
    (row,) = means(rows, ["arm"]).itertuples()
    assert (row.f1, row.fpr, row.n_nodes) == (pytest.approx(0.4), pytest.approx(0.2), 1)


def test_a_key_may_be_nan() -> None:
    rows = pd.concat([rows_of("local", {"a": [0.4]}, hours=np.nan), rows_of("local", {"a": [0.8]}, hours=2.0)])
    assert means(rows, ["hours", "arm"])["f1"].tolist() == pytest.approx([0.4, 0.8])


BEFORE = {"a": [0.1], "b": [0.2], "c": [0.3], "d": [0.4]}
AFTER = {"b": [0.45], "a": [0.3], "d": [0.62], "c": [0.51], "e": [0.99]}
"""In another order, and of one node more."""


def both(**of_after: float) -> pd.DataFrame:
    return pd.concat([rows_of("local", BEFORE), rows_of("transfer", AFTER, **of_after)], ignore_index=True)


def test_differences_are_paired_over_the_nodes_that_both_have() -> None:
    table = differences(both(), ["hours"], "arm", "local", NO_RACKS).set_index("metric")
    assert set(table.index) == set(COMPARED)
    row = table.loc["f1"]
    assert (row["arm"], row["against"], row["n_nodes"], row["hours"]) == ("transfer", "local", 4, 4.0)
    assert row["delta"] == pytest.approx((0.2 + 0.25 + 0.21 + 0.22) / 4)
    assert (row["mean"], row["reference"]) == (pytest.approx(0.47), pytest.approx(0.25))
    assert 0.19 < row["ci_low"] < row["delta"] < row["ci_high"] < 0.26
    assert row["verdict"] == "better"
    assert row["p_wilcoxon"] == pytest.approx(wilcoxon_p(np.array([0.2, 0.25, 0.21, 0.22])))
    assert table.loc["auroc", "verdict"] == "no difference"


@pytest.mark.parametrize(("fpr", "verdict"), [(0.4, "better"), (0.6, "worse"), (0.5, "no difference")])
@pytest.mark.parametrize("metric", ["fpr", "alarms_per_node_day"])
def test_fewer_false_alarms_are_better(metric: str, fpr: float, verdict: str) -> None:
    table = differences(both(**{metric: fpr}), ["hours"], "arm", "local", NO_RACKS).set_index("metric")
    assert table.loc[metric, "verdict"] == verdict
    assert table.loc[metric, "delta"] == pytest.approx(fpr - 0.5)  # the difference keeps its sign


def test_more_of_everything_else_is_better() -> None:
    for metric in set(COMPARED) - {"fpr", "alarms_per_node_day", "f1"}:
        table = differences(both(**{metric: 0.7}), ["hours"], "arm", "local", NO_RACKS).set_index("metric")
        assert table.loc[metric, "verdict"] == "better"


def test_every_length_of_history_is_compared_with_its_own_reference() -> None:
    rows = pd.concat([both(), rows_of("local", AFTER, hours=np.nan), rows_of("transfer", BEFORE, hours=np.nan)])
    f1 = differences(rows, ["hours"], "arm", "local", NO_RACKS).query("metric == 'f1'")
    assert f1["verdict"].tolist() == ["better", "worse"]
    assert f1["hours"].tolist() == [4.0, pytest.approx(np.nan, nan_ok=True)]


def test_p_values_are_corrected_over_all_rows_of_a_metric() -> None:
    rows = pd.concat([both(), rows_of("other", {node: [0.05 * n] for n, node in enumerate("abcd")})])
    table = differences(rows, ["hours"], "arm", "local", NO_RACKS)
    f1 = table[table["metric"] == "f1"]
    assert len(f1) == 2
    np.testing.assert_allclose(f1["p_holm"], holm(f1["p_wilcoxon"].to_numpy()))
    assert (f1["p_holm"] > f1["p_wilcoxon"]).all()


def test_without_a_key_all_rows_are_one_place() -> None:
    table = differences(both(), [], "arm", "local", NO_RACKS)
    assert table.query("metric == 'f1'")["n_nodes"].tolist() == [4]


def test_intervals_resample_racks_where_they_are_known() -> None:
    nodes = [f"{rack}{n}" for rack in "xyz" for n in range(4)]
    of_rack = {"x": 0.1, "y": 0.3, "z": 0.5}
    rows = pd.concat(
        [
            rows_of("local", {node: [0.2] for node in nodes}),
            rows_of("transfer", {node: [0.2 + of_rack[node[0]]] for node in nodes}),
        ]
    )
    width = {}
    for known in (False, True):
        racks = {node: node[0] if known else None for node in nodes}
        row = differences(rows, [], "arm", "local", racks).set_index("metric").loc["f1"]
        width[known] = row["ci_high"] - row["ci_low"]
    assert width[True] > 1.3 * width[False]
