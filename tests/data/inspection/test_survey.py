import numpy as np

from ftl.data.inspection import inspect_fleet
from ftl.data.node_table import NodeTable

MISSING = np.nan


def test_rows_labels_and_events_are_counted(node, fleet) -> None:
    label = np.array([0, 1, 1, 0, 1, -1, 0, 0, 1, 1], np.int8)
    split = np.array([0] * 7 + [1] * 3, np.int8)
    found = inspect_fleet(fleet(node(n=10, label=label, split=split))).nodes[0]
    assert (found.n_rows, found.n_later, found.has_split) == (10, 3, True)
    counted = (found.labels.normal, found.labels.anomalous, found.labels.unknown)
    assert counted == (4, 5, 1)
    assert found.labels.events == 3
    assert found.labels.anomalous_later == 2
    assert found.labels.rate == 5 / 9


def test_without_a_split_the_last_fifth_of_a_nodes_rows_is_the_later_part(node, fleet) -> None:
    label = np.arange(100) >= 79
    found = inspect_fleet(fleet(node(n=100, label=label))).nodes[0]
    assert (found.n_later, found.labels.anomalous, found.labels.anomalous_later) == (20, 21, 20)


def test_incomplete_rows_are_counted_with_and_without_sparse_columns(node, fleet) -> None:
    rows = np.arange(100)
    label = rows < 10
    table = node(
        n=100,
        label=label,
        dense=np.where(rows % 10 == 0, MISSING, 1.0),  # 10 rows, one of them anomalous
        sparse=np.where(rows < 30, MISSING, 1.0),  # 30 rows, all anomalous ones among them
        empty=MISSING,  # a column that the node does not really have
        a=None,
        b=None,
    )
    found = inspect_fleet(fleet(table)).nodes[0]
    assert (found.incomplete, found.labels.incomplete) == (37, 10)
    assert (found.incomplete_without_sparse, found.labels.incomplete_without_sparse) == (10, 1)
    assert found.silent == 3  # rows 0, 10 and 20


def test_a_row_without_any_value_is_silent(node, fleet) -> None:
    gone = np.arange(50) < 7
    found = inspect_fleet(fleet(node(n=50, a=np.where(gone, MISSING, 1), b=np.where(gone, MISSING, 2)))).nodes[0]
    assert found.silent == 7


def test_nodes_that_cannot_be_read_are_collected_and_the_others_read(node, memory) -> None:
    source = memory({"n1": "n1.csv: broken", "n2": node("n2"), "n3": "n3.csv: broken too", "n4": node("n4")})
    seen = []
    found = inspect_fleet(source, lambda done, total, what: seen.append((done, total, what)))
    assert dict(found.unreadable) == {"n1": "n1.csv: broken", "n3": "n3.csv: broken too"}
    assert [each.node_id for each in found.nodes] == ["n2", "n4"]
    assert [(done, total) for done, total, what in seen if what == "Reading nodes"] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_node_is_read_once_and_only_one_is_kept_at_a_time(node, memory) -> None:
    class Counting(memory):
        def read_node(self, node_id: str) -> NodeTable:
            reads.append(node_id)
            return super().read_node(node_id)

    reads: list[str] = []
    source = Counting({name: node(name) for name in ("n1", "n2", "n3")})
    found = inspect_fleet(source)
    assert reads == ["n1", "n2", "n3"]
    kept = [array for each in found.nodes for array in vars(each.columns).values() if isinstance(array, np.ndarray)]
    assert max(array.size for array in kept) == 2  # one number per column


def test_nodes_with_different_columns_are_laid_side_by_side(node, fleet) -> None:
    found = inspect_fleet(fleet(node("n1", a=1.0), node("n2", a=3.0, b=None, c=4.0)))
    assert found.features == ("a", "b", "c")
    mean = found.per_column("mean")
    assert mean[:, 0].tolist() == [1, 3]
    assert np.isnan(mean).tolist() == [[False, False, True], [False, True, False]]
    assert mean[1, 2] == 4


def test_a_node_of_one_row_lies_in_the_same_bins_as_the_others(node, fleet) -> None:
    one = node("first", n=1)
    found = inspect_fleet(fleet(one, node("n2", n=50), node("n3", n=50)))
    assert found.grid.counts[:, 0].sum(axis=1).tolist() == [1, 50, 50]
    assert found.grid.counts[0, 0, 0] == 1  # both begin at the same time


def test_treatments_are_added_up_over_nodes(node, fleet) -> None:
    tables = [node("n1"), node("n2", treatments={"late": 2}), node("n3", treatments={"late": 3, "twice": 1})]
    assert inspect_fleet(fleet(*tables)).treatments == {"late": (5, 2, "n2"), "twice": (1, 1, "n3")}


def test_notes_and_units_of_the_source_are_taken_over(node, fleet) -> None:
    found = inspect_fleet(fleet(node(), notes=("one file left out",), units={"a": "W"}))
    assert found.notes == ("one file left out",)
    assert found.units == {"a": "W"}
