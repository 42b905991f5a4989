import numpy as np
from hypothesis import given

from ftl.federation.selection import Candidates, label_free, random_n, top_n
from ftl.randomness import generator
from tests.federation.selection.scenes import NAN, candidates


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


def test_label_free_takes_the_lowest_loss_and_looks_at_no_f1():
    known = Candidates(np.array([0.9, 0.1, NAN, 0.5]), np.zeros(4), unlabelled_loss=np.array([3.0, 1.0, NAN, 1.0]))
    assert label_free(known, 1, generator(0)).tolist() == [1]
    assert label_free(known, 2, generator(0)).tolist() == [1, 3]
    assert label_free(known, 3, generator(0)).tolist() == [0, 1, 3]
