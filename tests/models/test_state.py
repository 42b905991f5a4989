import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ftl.models.state import join, n_models, repeat, split_off, take, weighted_mean


def assert_close(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], **tolerance)


@st.composite
def states_and_weights(draw):
    """N client states with two parameters, and their numbers of rows."""
    n = draw(st.integers(1, 6))
    numbers = st.floats(-100, 100, width=32, allow_subnormal=False)
    state = {
        name: torch.from_numpy(draw(arrays.arrays("float64", (n, *shape), elements=numbers)))
        for name, shape in (("encoder.0.weight", (2, 3)), ("decoder.0.bias", (1, 3)))
    }
    weights = draw(st.lists(st.integers(0, 10_000), min_size=n, max_size=n).filter(any))
    return state, torch.tensor(weights, dtype=torch.float64)


def test_fedavg_is_the_mean_weighted_by_rows_worked_by_hand():
    states = {"w": torch.tensor([[1.0, 0.0], [5.0, 2.0], [3.0, -6.0]]), "b": torch.tensor([[0.0], [4.0], [8.0]])}
    mean = weighted_mean(states, torch.tensor([10, 30, 60]))
    # w: .1 * 1 + .3 * 5 + .6 * 3 = 3.4; .3 * 2 - .6 * 6 = -3; b: .3 * 4 + .6 * 8 = 6
    assert_close(mean, {"w": torch.tensor([[3.4, -3.0]]), "b": torch.tensor([[6.0]])})


@given(states_and_weights(), st.randoms(use_true_random=False))
def test_fedavg_ignores_the_order_of_clients(given_, random):
    states, weights = given_
    order = list(range(len(weights)))
    random.shuffle(order)
    assert_close(weighted_mean(states, weights), weighted_mean(take(states, order), weights[order]))


@given(states_and_weights(), st.integers(1, 8))
def test_the_mean_of_equal_models_is_that_model(given_, n):
    model = take(given_[0], [0])
    weights = torch.arange(1, n + 1)
    assert_close(weighted_mean(repeat(model, n), weights), model, rtol=1e-14, atol=1e-14)


@given(states_and_weights(), st.integers(1, 1000))
def test_fedavg_sees_shares_and_not_numbers_of_rows(given_, factor):
    states, weights = given_
    assert_close(weighted_mean(states, weights), weighted_mean(states, factor * weights), rtol=1e-12, atol=1e-12)


@given(states_and_weights())
def test_the_mean_lies_between_the_clients(given_):
    states, weights = given_
    for name, value in weighted_mean(states, weights).items():
        assert value.shape == states[name][:1].shape
        assert (value[0] <= states[name].amax(dim=0) + 1e-9).all()
        assert (value[0] >= states[name].amin(dim=0) - 1e-9).all()


@given(states_and_weights())
def test_clients_averaged_in_two_groups_give_the_same_as_at_once(given_):
    states, weights = given_
    cut = len(weights) // 2
    groups = [list(range(cut)), list(range(cut, len(weights)))]
    groups = [group for group in groups if weights[group].sum() > 0]
    parts = join([weighted_mean(take(states, group), weights[group]) for group in groups])
    of_parts = weighted_mean(parts, torch.stack([weights[group].sum() for group in groups]))
    assert_close(of_parts, weighted_mean(states, weights), rtol=1e-12, atol=1e-10)


def test_a_client_without_rows_has_no_say():
    states = {"w": torch.tensor([[1.0], [100.0]])}
    assert weighted_mean(states, torch.tensor([5, 0]))["w"].tolist() == [[1.0]]


def test_the_mean_keeps_the_clients_type():
    for dtype in (torch.float32, torch.float64):
        states = {"w": torch.ones(2, 3, dtype=dtype)}
        assert weighted_mean(states, torch.tensor([1.0, 2.0]))["w"].dtype == dtype


@pytest.mark.parametrize("weights", [torch.ones(2), torch.ones(4), torch.ones(3, 1)], ids=lambda w: str(tuple(w.shape)))
def test_one_weight_per_client_is_asked_for(weights):
    with pytest.raises(ValueError, match=r"expected shape \(3,\)"):
        weighted_mean({"w": torch.ones(3, 2)}, weights)


@given(states_and_weights(), st.data())
def test_taking_and_joining_models_is_a_round_trip(given_, data):
    states, _ = given_
    n = n_models(states)
    cut = data.draw(st.integers(0, n))
    parts = [take(states, list(range(cut))), take(states, list(range(cut, n)))]
    for name, value in join(parts).items():
        assert torch.equal(value, states[name])


def test_taken_and_repeated_models_are_copies_in_the_order_asked_for():
    state = {"w": torch.tensor([[1.0], [2.0], [3.0]])}
    taken, repeated = take(state, [2, 0, 2]), repeat(take(state, [1]), 4)
    taken["w"][0] = repeated["w"][1] = 9
    assert taken["w"].tolist() == [[9], [1], [3]]
    assert repeated["w"].tolist() == [[2], [9], [2], [2]]
    assert state["w"].tolist() == [[1], [2], [3]]
    assert n_models(repeated) == 4


def test_only_one_model_can_be_repeated():
    with pytest.raises(ValueError, match="a stack of one model; got 3"):
        repeat({"w": torch.ones(3, 2)}, 2)


def test_a_state_splits_into_what_belongs_and_the_rest():
    state = {"encoder.0.weight": torch.ones(1), "encoder.0.bias": torch.ones(1), "decoder.0.weight": torch.ones(1)}
    encoder, rest = split_off(state, lambda name: name.startswith("encoder."))
    assert (list(encoder), list(rest)) == (["encoder.0.weight", "encoder.0.bias"], ["decoder.0.weight"])
    assert encoder | rest == state
