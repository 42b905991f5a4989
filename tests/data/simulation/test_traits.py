import numpy as np
import pytest

from ftl.data.simulation.traits import SLOTS, draw_traits, is_special, slot_of


def test_a_full_rack_fills_every_slot_from_the_floor_up():
    assert [slot_of(index, SLOTS) for index in range(40)] == [*range(20), *range(20)]


@pytest.mark.parametrize(("nodes_per_rack", "slots"), [(1, [10]), (2, [5, 15]), (5, [2, 6, 10, 14, 18])])
def test_fewer_nodes_are_spread_over_the_height_of_a_rack(nodes_per_rack, slots):
    assert [slot_of(index, nodes_per_rack) for index in range(nodes_per_rack)] == slots


def test_air_is_warmer_at_the_top_of_a_rack():
    low, high = (
        np.mean([draw_traits(np.random.default_rng(seed), slot, False).inlet_offset for seed in range(100)])
        for slot in (2, 17)
    )
    assert high - low == pytest.approx(4.4, abs=0.6)


def test_one_rack_of_49_has_special_nodes():
    special = np.array([is_special(0, "d2", index, SLOTS) for index in range(980)])
    assert special.sum() == 6
    assert len(set(np.flatnonzero(special) // SLOTS)) == 1
    assert draw_traits(np.random.default_rng(0), 3, True).users.idle_share > 0.8


def test_sixteen_of_24_cores_report_in_pairs_that_differ_between_dies():
    cores = [draw_traits(np.random.default_rng(seed), 0, False).cores for seed in range(30)]
    for socket in np.concatenate(cores):
        assert len(set(socket)) == 16
        assert (socket[0::2] % 2 == 0).all()
        assert (socket[1::2] == socket[0::2] + 1).all()
    assert len({tuple(socket) for socket in np.concatenate(cores)}) > 50
