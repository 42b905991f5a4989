from pathlib import Path

import pandas as pd
import pytest

from ftl.data.alignment import ALIGNMENTS, align, alignment_costs, columns_of, core_slots
from ftl.errors import TelemetryError

COLUMNS = {"n1": ["c", "a", "b"], "n2": ["a", "c", "d"], "n3": ["a", "b", "c", "d"]}


@pytest.mark.parametrize("rule", ALIGNMENTS)
def test_every_node_has_every_feature_that_a_rule_keeps_or_is_said_to_lack_it(rule: str) -> None:
    alignment = align(rule, COLUMNS)
    assert alignment.features
    assert len(set(alignment.features)) == len(alignment.features)
    for node_id, present in COLUMNS.items():
        assert set(alignment.features) - set(present) == set(alignment.imputed.get(node_id, ()))


def test_the_intersection_keeps_the_order_of_the_first_node() -> None:
    assert align("intersection", COLUMNS).features == ("c", "a")


def test_what_is_dropped_is_named_per_node_and_per_column() -> None:
    alignment = align("intersection", COLUMNS)
    assert alignment.dropped == {"n1": ["b"], "n2": ["d"], "n3": ["b", "d"]}
    assert alignment.lacking == {"b": ["n2"], "d": ["n1"]}


def test_nodes_without_a_common_column_are_refused_by_name() -> None:
    with pytest.raises(
        TelemetryError, match="node n4: none of its 1 non-empty feature columns is in all nodes before it"
    ):
        align("intersection", {**COLUMNS, "n4": ["z"]})


CORES = {
    "n1": ["p0_core9_temp_avg", "p0_core9_temp_max", "p0_core2_temp_avg", "p1_core17_temp", "p0_power_avg"],
    "n2": ["p0_core10_temp_avg", "p0_core23_temp_avg", "p1_core0_temp", "p0_power_avg"],
}


def test_reporting_cores_become_the_slots_of_their_socket_counted_upwards() -> None:
    assert core_slots(CORES["n1"]) == [
        "p0_c01_temp_avg",
        "p0_c01_temp_max",
        "p0_c00_temp_avg",
        "p1_c00_temp",
        "p0_power_avg",
    ]
    alignment = align("slots", CORES)
    assert alignment.features == ("p0_c01_temp_avg", "p0_c00_temp_avg", "p1_c00_temp", "p0_power_avg")
    assert alignment.dropped == {"n1": ["p0_c01_temp_max"]}
    assert align("intersection", CORES).features == ("p0_power_avg",)


def test_slots_beyond_those_of_every_node_are_dropped_and_named() -> None:
    alignment = align("slots", {**CORES, "n3": ["p0_core4_temp_avg", "p1_core1_temp", "p0_power_avg"]})
    assert alignment.features == ("p0_c00_temp_avg", "p1_c00_temp", "p0_power_avg")
    assert alignment.lacking["p0_c01_temp_avg"] == ["n3"]


def test_all_statistics_of_a_core_go_to_one_slot() -> None:
    """Also where one of them is empty for a core, which would shift it."""
    columns = ["p0_core1_temp_std", "p0_core3_temp_avg", "p0_core3_temp_std"]
    assert core_slots(columns) == ["p0_c00_temp_std", "p0_c01_temp_avg", "p0_c01_temp_std"]


@pytest.mark.parametrize(
    "name", ["p0_core1_power", "xp0_core1_temp", "p0_core_temp", "p0_core1_temperature", "p0_core1"]
)
def test_other_columns_are_no_cores(name: str) -> None:
    assert core_slots([name, "p0_core5_temp"]) == [name, "p0_c00_temp"]


def test_a_slot_whose_name_is_taken_is_refused_by_node() -> None:
    with pytest.raises(TelemetryError, match="node n1: column 'p0_c00_temp' and a core renamed to it"):
        align("slots", {"n1": ["p0_c00_temp", "p0_core7_temp"]})


def test_a_union_keeps_what_enough_nodes_have_and_names_what_the_others_lack() -> None:
    alignment = align("union", COLUMNS, min_node_share=0.6)
    assert alignment.features == ("c", "a", "b", "d")
    assert alignment.imputed == {"n1": ["d"], "n2": ["b"]}
    assert align("union", COLUMNS, min_node_share=1.0).features == ("c", "a")
    with pytest.raises(TelemetryError, match=r"no column is in 100% of the 2 nodes.*lower prepare.min_node_share"):
        align("union", {"n1": ["a"], "n2": ["b"]}, min_node_share=1.0)


@pytest.mark.parametrize("rule", ALIGNMENTS)
def test_features_are_found_in_the_nodes_table_again(rule: str) -> None:
    for node_id, present in CORES.items():
        table = ["empty", "p0_core0_temp_avg", *present]
        features = align(rule, CORES).features
        columns = columns_of(rule, table, [False, False, *[True] * len(present)], features)
        named = ALIGNMENTS[rule].rename(present)
        assert [None if column is None else named[column - 2] for column in columns] == [
            name if name in named else None for name in features
        ], node_id


def test_what_every_rule_would_keep_and_lose_is_counted() -> None:
    costs = alignment_costs(CORES, min_node_share=0.5)
    assert costs["intersection"] == {"features": 1, "lost_columns": 7, "imputed": {}}
    assert costs["slots"] == {"features": 4, "lost_columns": 1, "imputed": {}}
    assert costs["union"] == {"features": 8, "lost_columns": 0, "imputed": {"n1": 3, "n2": 4}}
    assert "none of its 1" in alignment_costs({"n1": ["a"], "n2": ["b"]}, 0.5)["intersection"]["refused"]


def test_what_the_rules_make_of_real_nodes(checkout: Path) -> None:
    """16 nodes of Marconi100; of their 32 reporting cores the sample holds those that node 4 has, 20 or more."""
    sample = checkout.parent / "shared" / "data" / "m100_rack0_sample" / "rack0_10windows_avg.parquet"
    if not sample.is_file():
        pytest.skip("the sample of Marconi100's rack 0 is not beside this checkout")
    rows = pd.read_parquet(sample).drop(columns=["timestamp", "rack_id", "value"])
    columns = {
        str(node): list(table.drop(columns="node").dropna(axis=1, how="all")) for node, table in rows.groupby("node")
    }
    costs = alignment_costs(columns, min_node_share=0.5)
    assert costs["intersection"] == {"features": 56, "lost_columns": 32, "imputed": {}}  # no core at all
    assert costs["slots"] == {"features": 76, "lost_columns": 12, "imputed": {}}
    assert costs["union"]["features"] == 88
    assert set(costs["union"]["imputed"]) == {*columns} - {"4"}
    cores = [name for name in align("slots", columns).features if name.startswith(("p0_c", "p1_c"))]
    assert sorted(cores) == [f"p{socket}_c{slot:02d}_temp_avg" for socket in (0, 1) for slot in range(10)]
