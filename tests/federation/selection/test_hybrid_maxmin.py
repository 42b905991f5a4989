import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.federation.selection import Candidates, HybridMaxMin, top_n
from ftl.randomness import generator
from tests.federation.selection.scenes import without_ties


def on_a_line(places, f1):
    """Nodes whose similarity falls with their distance on a line."""
    places = np.array(places, float)
    return Candidates(np.array(f1, float), np.zeros(len(f1)), similarity=1 - np.abs(places[:, None] - places) / 10)


def chosen(known, n, **settings_):
    return HybridMaxMin(**settings_)(known, n, generator(0)).tolist()


def test_after_the_best_node_comes_the_one_farthest_from_those_chosen():
    known = on_a_line([0, 1, 4, 10], [0.9, 0.8, 0.1, 0.2])
    assert chosen(known, 2) == [0, 3]
    assert chosen(known, 3) == [0, 2, 3]  # 4 is farther from {0, 10} than 1 is


def test_as_many_nodes_as_are_set_are_taken_by_rank():
    known = on_a_line([0, 1, 4, 10], [0.9, 0.8, 0.1, 0.2])
    assert chosen(known, 3, n_quality_seeds=2) == [0, 1, 3]
    assert chosen(known, 2, n_quality_seeds=5) == [0, 1]


def test_a_tie_goes_to_the_earlier_node():
    assert chosen(on_a_line([5, 0, 10], [0.9, 0.1, 0.2]), 2) == [0, 1]


@settings(max_examples=30)
@given(n_nodes=st.integers(3, 10), seed=st.integers(0, 500))
def test_no_node_left_out_is_farther_from_the_chosen_than_the_last_one_was(n_nodes, seed):
    """The max-min rule, checked on the whole set: its smallest distance is at least any other node's distance to it."""
    known, n = without_ties(n_nodes, seed), 2 + seed % (n_nodes - 2)
    inside = HybridMaxMin()(known, n, generator(0))
    distance = 1 - known.similarity
    among = distance[np.ix_(inside, inside)][~np.eye(n, dtype=bool)].min()
    outside = np.setdiff1d(np.arange(n_nodes), inside)
    assert set(top_n(known, 1, generator(0))) <= set(inside)
    if len(outside):
        assert distance[np.ix_(outside, inside)].min(axis=1).max() <= among + 1e-12
