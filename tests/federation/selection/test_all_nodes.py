from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.federation.selection import AllNodes
from ftl.randomness import generator
from tests.federation.selection.scenes import without_ties


def halves(n_nodes, seed=0, racks=None):
    found = AllNodes().federations(replace(without_ties(n_nodes), racks=racks), 3, generator(seed))
    return [(one.participants.tolist(), one.served.tolist()) for one in found]


@given(n_nodes=st.integers(2, 15), seed=st.integers(0, 100))
def test_two_halves_serve_each_other(n_nodes, seed):
    one, other = halves(n_nodes, seed)
    assert one == other[::-1]
    assert sorted(one[0] + one[1]) == list(range(n_nodes))
    assert abs(len(one[0]) - len(one[1])) <= 1


def test_the_halves_are_drawn():
    assert len({tuple(halves(12, seed)[0][0]) for seed in range(5)}) > 1


@given(racks=st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=2, max_size=15), seed=st.integers(0, 20))
def test_a_rack_is_in_one_half(racks, seed):
    one, other = (participants for participants, _ in halves(len(racks), seed, tuple(racks)))
    shared = {racks[node] for node in one} & {racks[node] for node in other}
    assert not shared if len(set(racks)) > 1 else len(one) >= 1 <= len(other)


def test_racks_are_dealt_out_evenly():
    sizes = [len(participants) for participants, _ in halves(9, racks=tuple("aaaabbbcc"))]
    assert sorted(sizes) == [4, 5]


def test_one_node_can_serve_nobody():
    with pytest.raises(ValueError, match="at least 2 nodes"):
        halves(1)


def test_each_half_is_sorted_as_positions_are():
    for participants, served in halves(11, seed=3):
        assert participants == sorted(participants)
        assert served == sorted(served)
    assert np.concatenate(halves(11)[0]).dtype.kind == "i"
