import pytest

from ftl.data.alignment import ALIGNMENTS, align
from ftl.errors import TelemetryError

COLUMNS = {"n1": ["c", "a", "b"], "n2": ["a", "c", "d"], "n3": ["a", "b", "c", "d"]}


@pytest.mark.parametrize("rule", ALIGNMENTS)
def test_every_node_has_every_feature_that_a_rule_keeps(rule: str) -> None:
    features = align(rule, COLUMNS).features
    assert features
    assert len(set(features)) == len(features)
    assert all(set(features) <= set(columns) for columns in COLUMNS.values())


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
