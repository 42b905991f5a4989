import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.federation.selection import DRAWN_POLICIES, SELECTION_POLICIES, Candidates, random_n, top_n
from ftl.randomness import generator

EACH = pytest.mark.parametrize("policy", SELECTION_POLICIES.values(), ids=SELECTION_POLICIES)
NAN = float("nan")
scores = st.one_of(st.just(NAN), st.sampled_from([0.0, 0.5, 0.9]), st.floats(0, 1, allow_subnormal=False))


@st.composite
def candidates(draw):
    n = draw(st.integers(1, 12))
    f1, loss = (np.array(draw(st.lists(scores, min_size=n, max_size=n))) for _ in range(2))
    return Candidates(f1, loss), draw(st.integers(1, n))


@EACH
@given(given_=candidates(), seed=st.integers(0, 100))
def test_a_policy_returns_n_distinct_known_nodes_in_ascending_order(policy, given_, seed):
    known, n = given_
    chosen = policy(known, n, generator(seed))
    assert chosen.shape == (n,)
    assert np.issubdtype(chosen.dtype, np.integer)
    assert (np.diff(chosen) > 0).all()
    assert chosen.min() >= 0
    assert chosen.max() < len(known.f1)


@EACH
@given(given_=candidates(), seed=st.integers(0, 100))
def test_a_policys_choice_is_determined_by_its_candidates_and_its_generator(policy, given_, seed):
    known, n = given_
    before = (known.f1.copy(), known.loss.copy())
    np.testing.assert_array_equal(policy(known, n, generator(seed)), policy(known, n, generator(seed)))
    np.testing.assert_array_equal((known.f1, known.loss), before)


@EACH
def test_all_nodes_are_chosen_where_all_are_asked_for(policy):
    known = Candidates(np.array([0.3, NAN, 0.1, 0.3]), np.array([1.0, 2.0, NAN, 4.0]))
    assert policy(known, 4, generator(0)).tolist() == [0, 1, 2, 3]


@EACH
def test_a_policy_is_drawn_exactly_if_its_choice_depends_on_the_generator(policy):
    known = Candidates(np.linspace(0, 1, 20), np.linspace(1, 0, 20))
    choices = {tuple(policy(known, 3, generator(seed))) for seed in range(5)}
    name = next(name for name, value in SELECTION_POLICIES.items() if value is policy)
    assert (len(choices) > 1) == (name in DRAWN_POLICIES)


def top(n, f1, loss=None):
    known = Candidates(np.array(f1, float), np.array([1.0] * len(f1) if loss is None else loss, float))
    return top_n(known, n, generator(0)).tolist()


def test_top_n_takes_the_highest_f1():
    assert top(2, [0.1, 0.9, 0.3, 0.8]) == [1, 3]


def test_top_n_gives_ties_to_the_lower_loss_and_then_to_the_earlier_node():
    assert top(2, [0.5, 0.5, 0.5, 0.4], loss=[3, 1, 2, 0]) == [1, 2]
    assert top(2, [0.5, 0.5, 0.5], loss=[1, 1, 1]) == [0, 1]


def test_top_n_puts_an_undefined_f1_behind_every_defined_one_even_zero():
    assert top(2, [NAN, 0.0, NAN, 0.2], loss=[0, 9, 0, 9]) == [1, 3]


def test_top_n_ranks_nodes_without_a_defined_f1_by_loss_and_an_undefined_loss_last():
    assert top(3, [NAN, NAN, NAN, 0.2], loss=[5, NAN, 1, 9]) == [0, 2, 3]
    assert top(1, [NAN, NAN], loss=[NAN, 4]) == [1]


@given(given_=candidates())
def test_no_node_left_out_by_top_n_has_a_higher_f1_than_one_chosen(given_):
    known, n = given_
    chosen = top_n(known, n, generator(0))
    f1 = np.nan_to_num(known.f1, nan=-1.0)
    left_out = np.setdiff1d(np.arange(len(f1)), chosen)
    if len(left_out):
        assert f1[chosen].min() >= f1[left_out].max()


@given(given_=candidates())
def test_smaller_top_cohorts_are_part_of_larger_ones(given_):
    known, n = given_
    for smaller in range(1, n):
        assert set(top_n(known, smaller, generator(0))) <= set(top_n(known, n, generator(0)))


def test_random_n_reaches_every_node_about_equally_often():
    known = Candidates(np.linspace(0, 1, 10), np.zeros(10))
    counts = np.bincount(np.concatenate([random_n(known, 3, generator(seed)) for seed in range(500)]), minlength=10)
    assert counts.sum() == 1500
    assert counts.min() > 110  # 150 expected, standard deviation 10
    assert counts.max() < 190


def test_random_n_looks_at_no_score():
    one, other = (Candidates(np.array(f1), np.zeros(4)) for f1 in ([0.9, 0.1, 0.2, 0.3], [NAN, NAN, 1.0, 0.0]))
    for seed in range(5):
        np.testing.assert_array_equal(random_n(one, 2, generator(seed)), random_n(other, 2, generator(seed)))
