from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ftl.errors import ConfigError
from ftl.learning.batches import BatchSettings, EpochLoader, StackRows, row_order
from tests.learning.toy_stack import BATCHES, toy_rows

SORTED = (40, 23, 7)  # 8, 5 and 2 steps of 5 rows


def batches_of(rows, settings=BATCHES, epoch=0):
    return list(EpochLoader(rows, settings, lambda: epoch))


def rows_seen(rows, batches, model):
    """Entries of a model with a share in some batch, in the order of the epoch."""
    seen = [entry[model][share[model] > 0] for entry, share in batches if model < len(entry)]
    return torch.cat(seen).tolist()


stacks = st.tuples(
    st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 12), st.one_of(st.none(), st.integers(1, 4))
)


@given(stack=stacks, epoch=st.integers(0, 3))
def test_without_a_cap_an_epoch_sees_each_row_exactly_once(stack, epoch):
    n_rows, size, _ = stack
    rows = toy_rows(sorted(n_rows, reverse=True))
    batches = batches_of(rows, BatchSettings(size, None), epoch)
    for model in range(rows.n_models):
        assert sorted(rows_seen(rows, batches, model)) == list(range(rows.start[model], rows.start[model + 1]))


@given(stack=stacks)
def test_a_capped_epoch_sees_the_first_rows_of_its_order_and_none_twice(stack):
    n_rows, size, cap = stack
    rows = toy_rows(sorted(n_rows, reverse=True))
    settings = BatchSettings(size, cap)
    batches = batches_of(rows, settings)
    for model, n in enumerate(rows.n_rows()):
        order = rows.start[model] + row_order(n, rows.seeds[model], 0)
        expected = order if cap is None else order[: cap * size]
        assert rows_seen(rows, batches, model) == expected.tolist()
        assert sum(model < len(entry) for entry, _ in batches) == settings.n_steps(n)


@given(stack=stacks)
def test_each_nodes_shares_of_a_batch_sum_to_one_and_padding_has_none(stack):
    n_rows, size, cap = stack
    rows = toy_rows(sorted(n_rows, reverse=True))
    for number, (entry, share) in enumerate(batches_of(rows, BatchSettings(size, cap))):
        assert entry.shape == share.shape == (len(entry), size)
        torch.testing.assert_close(share.sum(dim=1), torch.ones(len(share), dtype=torch.float64))
        for model in range(len(entry)):
            n_real = min(size, rows.n_rows()[model] - number * size)
            assert (share[model] > 0).sum() == n_real
            assert (share[model, n_real:] == 0).all()
            inside = (entry[model] >= rows.start[model]) & (entry[model] < rows.start[model + 1])
            assert inside.all(), "padding must be a row of the node itself"


def test_only_nodes_that_still_have_rows_stand_in_a_batch():
    assert [len(entry) for entry, _ in batches_of(toy_rows(SORTED))] == [3, 3, 2, 2, 2, 1, 1, 1]


def test_the_order_of_an_epoch_does_not_depend_on_how_often_it_was_iterated():
    """Lightning asks for one more iterator than there are epochs."""
    loader = EpochLoader(toy_rows(SORTED), BATCHES, lambda: 4)
    first, again = list(loader), list(loader)
    assert len(first) == len(loader) == 8
    for (entry, share), (entry_again, share_again) in zip(first, again, strict=True):
        assert torch.equal(entry, entry_again)
        assert torch.equal(share, share_again)


def test_another_epoch_has_another_order_and_so_has_another_seed():
    rows = toy_rows(SORTED)
    other = replace(rows, seeds=(rows.seeds[0], 999, rows.seeds[2]))
    now, later, reseeded = batches_of(rows), batches_of(rows, epoch=1), batches_of(other)
    assert rows_seen(rows, now, 0) != rows_seen(rows, later, 0)
    assert rows_seen(rows, now, 1) != rows_seen(rows, reseeded, 1)
    assert rows_seen(rows, now, 2) == rows_seen(rows, reseeded, 2), "a node's order is its own seed's alone"


def test_a_row_order_is_a_permutation_that_seed_and_epoch_determine():
    order = row_order(50, 3, 7)
    np.testing.assert_array_equal(np.sort(order), np.arange(50))
    np.testing.assert_array_equal(order, row_order(50, 3, 7))
    assert not np.array_equal(order, row_order(50, 3, 8))
    assert not np.array_equal(order, row_order(50, 4, 7))


def test_a_stack_that_is_not_sorted_by_steps_is_refused():
    with pytest.raises(ValueError, match="longest first"):
        EpochLoader(toy_rows((7, 23)), BATCHES, lambda: 0)


def test_reordered_rows_are_the_same_rows_of_the_same_nodes():
    rows = replace(toy_rows(weighted=True), codes=torch.arange(70.0)[:, None])
    turned = rows.reordered([2, 0])
    assert (turned.n_models, turned.seeds, turned.n_rows()) == (2, (102, 100), [40, 23])
    for new, old in ((0, 2), (1, 0)):
        for field in ("rows", "label", "weight", "codes"):
            assert torch.equal(getattr(turned, field)[turned.entries(new)], getattr(rows, field)[rows.entries(old)]), (
                field
            )
    assert turned.x is rows.x


def test_telemetry_is_shared_and_not_copied_per_model():
    x = torch.rand(10, 3)
    mine = np.array([1, 4, 5])
    rows = StackRows.of(x, [mine, mine], [np.zeros(3)] * 2, [np.ones(3)] * 2, [0, 1])
    assert rows.x is x
    assert rows.rows.tolist() == [1, 4, 5, 1, 4, 5]
    assert rows.start == (0, 3, 6)


@pytest.mark.parametrize(("n_rows", "steps"), [(1, 1), (5, 1), (6, 2), (40, 8), (41, 8), (1000, 8)])
def test_an_epoch_has_as_many_steps_as_rows_and_cap_allow(n_rows, steps):
    assert BatchSettings(5, 8).n_steps(n_rows) == steps


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"batch_size": 0}, "training.batch_size"),
        ({"batch_size": -3}, "training.batch_size"),
        ({"max_steps_per_epoch": 0}, "training.max_steps_per_epoch"),
    ],
    ids=str,
)
def test_wrong_batch_settings_are_refused_by_name(wrong, named):
    with pytest.raises(ConfigError, match=named):
        BatchSettings(**wrong)
