import numpy as np
import pytest

from ftl.data.inspection import inspect_fleet
from ftl.data.inspection.tables import common_features, feature_table, node_table, rack_table


def test_presence_emptiness_and_constancy_are_counted_over_nodes(node, fleet) -> None:
    source = fleet(
        node("n1", b=7.0),
        node("n2", b=np.nan),
        node("n3", b=None),
        node("n4", n=0, a=None, b=None),  # a node without rows lacks nothing
    )
    table = feature_table(inspect_fleet(source)).set_index("feature")
    assert table.loc["a", ["nodes", "absent", "empty", "constant", "first_without"]].tolist() == [3, 0, 0, 0, ""]
    assert table.loc["b", ["nodes", "absent", "empty", "constant", "first_without"]].tolist() == [1, 1, 1, 1, "n2"]


def test_the_missing_share_is_over_rows_of_nodes_that_have_the_column(node, fleet) -> None:
    half = np.where(np.arange(100) % 2, np.nan, 1.0)
    source = fleet(node("n1", n=100, b=half), node("n2", n=300, b=3.0), node("n3", n=500, b=None))
    table = feature_table(inspect_fleet(source)).set_index("feature")
    assert table.loc["b", "missing"] == pytest.approx(50 / 400)


def test_the_share_between_nodes_is_that_of_the_pooled_rows(node, fleet) -> None:
    source = fleet(node("n1", n=100, a=np.tile([0.0, 2.0], 50)), node("n2", n=300, a=np.tile([8.0, 12.0], 150)))
    table = feature_table(inspect_fleet(source)).set_index("feature")
    pooled = np.concatenate([np.tile([0.0, 2.0], 50), np.tile([8.0, 12.0], 150)])
    within = (100 * 1 + 300 * 4) / 400
    assert table.loc["a", "mean"] == pytest.approx(pooled.mean())
    assert table.loc["a", "deviation"] == pytest.approx(pooled.std())
    assert table.loc["a", "between"] == pytest.approx(1 - within / pooled.var())


def test_racks_add_up_their_nodes(node, fleet) -> None:
    source = fleet(
        node("n1", n=100, label=np.arange(100) < 10),
        node("n2", n=100, label=np.full(100, -1)),
        node("n3", n=100, label=np.zeros(100)),
        racks={"n1": "r1", "n2": "r2", "n3": "r1"},
    )
    racks = rack_table(inspect_fleet(source)).set_index("rack")
    assert racks.loc["r1", ["nodes", "rows", "anomalous", "unknown"]].tolist() == [2, 200, 10, 0]
    assert racks.loc["r1", "anomaly_rate"] == 0.05
    assert np.isnan(racks.loc["r2", "anomaly_rate"])
    assert rack_table(inspect_fleet(fleet(node()))).empty


def test_columns_common_to_all_nodes_do_not_depend_on_nodes_that_are_left_out(node, fleet) -> None:
    found = inspect_fleet(fleet(node("n1"), node("n2"), node("short", n=19, b=None)))
    assert common_features(found) == ["a", "b"]
    assert common_features(inspect_fleet(fleet(node("n1"), node("n2", b=np.nan)))) == ["a"]
    assert common_features(inspect_fleet(fleet())) == []


def test_a_node_has_a_row_also_when_it_has_none(node, fleet) -> None:
    table = node_table(inspect_fleet(fleet(node("n1", n=0), node("n2", n=10))))
    assert table["node"].tolist() == ["n1", "n2"]
    assert table["rows"].tolist() == [0, 10]
    assert table["first"].isna().tolist() == [True, False]
