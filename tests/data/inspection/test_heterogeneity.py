import numpy as np

from ftl.data.inspection import inspect_fleet
from ftl.data.inspection.heterogeneity import node_positions, robust_z


def test_the_node_that_differs_is_found_and_the_column_named(node, fleet) -> None:
    tables = [node(f"n{k}") for k in range(9)]
    found = node_positions(inspect_fleet(fleet(*tables, node("odd", a=90.0, b=5.0 + np.arange(200) % 2))))
    assert found.outlying.tolist() == [False] * 9 + [True]
    assert found.distance.argmax() == 9
    assert found.column[9] == "a"
    assert found.column_z[9] > 10


def test_components_separate_two_kinds_of_nodes(node, fleet) -> None:
    rng = np.random.default_rng(0)
    kinds = [node(f"n{k}", **{name: rng.normal(10.0 * (k % 2), 1, 200) for name in "abcdef"}) for k in range(8)]
    found = node_positions(inspect_fleet(fleet(*kinds)))
    first = found.coordinates[:, 0]
    low, high = sorted((first[::2], first[1::2]), key=np.mean)
    assert low.max() < high.min()
    assert 0.3 < found.explained[0] <= 1
    assert sum(found.explained) <= 1 + 1e-9


def test_short_nodes_and_fleets_of_one_have_no_position(node, fleet) -> None:
    found = node_positions(inspect_fleet(fleet(node("n1"), node("n2"), node("short", n=19))))
    assert np.isnan(found.distance).tolist() == [False, False, True]
    assert not found.outlying.any()
    assert np.isnan(node_positions(inspect_fleet(fleet(node()))).distance).all()
    assert node_positions(inspect_fleet(fleet())).distance.shape == (0,)


def test_nodes_without_a_common_column_cannot_be_compared(node, fleet) -> None:
    found = node_positions(inspect_fleet(fleet(node("n1", b=None), node("n2", a=None))))
    assert np.isnan(found.coordinates).all()


def test_equal_nodes_have_no_distance_however_large_their_values() -> None:
    assert not robust_z(np.full((5, 2), 1e9) + np.arange(5)[:, None] * 1e-6).any()
    few_differ = np.array([[1.0], [1.0], [1.0], [5.0]])  # more than half are equal
    assert robust_z(few_differ)[3, 0] > 1
