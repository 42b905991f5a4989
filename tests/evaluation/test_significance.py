from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from ftl.evaluation.significance import bootstrap_interval, compare, equivalence_p, holm, wilcoxon_p

SCORES = st.floats(0, 1).map(lambda value: round(value, 3))


def test_a_worked_example():
    """Differences .5, 0, .25: mean .25, SD .25; with df = 2 the t-test is p = 1 - t / sqrt(2 + t^2)."""
    found = compare(np.array([0.5, 0.5, 0.5]), np.array([1.0, 0.5, 0.75]))
    assert found.delta == 0.25
    assert found.cohens_d == pytest.approx(1.0)
    assert found.cohens_d_av == pytest.approx(2.0)  # spreads 0 before and .25 after
    assert found.hedges_g == pytest.approx(4 / 7)
    assert found.p_t == pytest.approx(1 - sqrt(3) / sqrt(5))
    assert found.p_wilcoxon == 0.5  # two positive differences: 2 x 1/4
    assert (found.n_nodes, found.degenerate) == (3, None)


@given(arrays(np.float64, st.integers(2, 30), elements=SCORES), st.integers(0, 5))
def test_p_t_is_scipys_one_sample_test(before, seed):
    after = np.random.default_rng(seed).random(len(before))
    found = compare(before, after)
    assert found.p_t == pytest.approx(stats.ttest_1samp(after - before, 0).pvalue, abs=1e-12)
    assert found.p_t == pytest.approx(stats.ttest_rel(after, before).pvalue, abs=1e-12)


def test_swapping_before_and_after_turns_the_signs_and_keeps_the_p_values():
    before, after = np.random.default_rng(3).random((2, 15))
    there, back = compare(before, after), compare(after, before)
    assert (there.delta, there.cohens_d) == pytest.approx((-back.delta, -back.cohens_d))
    assert (there.p_t, there.p_wilcoxon) == pytest.approx((back.p_t, back.p_wilcoxon))


def test_nodes_undefined_on_either_side_are_left_out():
    before = np.array([0.5, np.nan, 0.5, 0.2, 0.5])
    after = np.array([1.0, 0.3, 0.5, np.nan, 0.75])
    kept = [0, 2, 4]
    assert compare(before, after) == compare(before[kept], after[kept])
    racks = ["x", "gone", "y", "gone", "z"]
    assert compare(before, after, racks).interval == bootstrap_interval((after - before)[kept], ["x", "y", "z"])


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ([], [], "no node with anomalies"),
        ([np.nan], [np.nan], "no node with anomalies"),
        ([0.5], [0.75], "single node"),
        ([0.5, 0.5], [0.5, 0.5], "zero variance"),
        ([0.1, 0.2, 0.7], [0.4, 0.5, 1.0], "zero variance"),  # .3 each, but not to the last bit
    ],
)
def test_degenerate_cells_say_why_and_have_no_test(before, after, reason):
    found = compare(np.array(before), np.array(after))
    assert found.degenerate == reason
    numbers = (found.p_t, found.p_wilcoxon, found.cohens_d, found.cohens_d_av, found.hedges_g)
    assert all(isnan(number) for number in numbers)


def test_equal_models_are_no_difference_and_a_single_node_no_verdict():
    same = np.array([0.3, 0.4, 0.9])
    assert compare(same, same).interval.verdict == "no difference"
    assert compare(same, same + 1e-15).interval.verdict == "no difference"
    assert compare(np.array([0.1]), np.array([0.9])).interval.verdict is None


# Wilcoxon -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 50), st.integers(0, 20))
def test_wilcoxon_without_ties_is_scipys_exact_test(n, seed):
    difference = np.random.default_rng(seed).normal(0.3, 1, n)
    assert wilcoxon_p(difference) == pytest.approx(stats.wilcoxon(difference, method="exact").pvalue, abs=1e-9)


@given(arrays(np.float64, st.integers(1, 9), elements=st.integers(-3, 3).map(float)))
def test_wilcoxon_with_ties_counts_all_signs(difference):
    difference = difference[difference != 0]
    if len(difference) == 0:
        assert isnan(wilcoxon_p(difference))
        return
    ranks = stats.rankdata(np.abs(difference))
    signs = np.array(np.meshgrid(*[[0, 1]] * len(ranks))).reshape(len(ranks), -1)
    sums, seen = ranks @ signs, ranks[difference > 0].sum()
    assert wilcoxon_p(difference) == pytest.approx(min(1, 2 * min((sums <= seen).mean(), (sums >= seen).mean())))


def test_wilcoxon_ties_differences_that_are_equal_but_for_rounding():
    differences = np.array([0.3 - 0.2, 0.7 - 0.8, 0.1, 0.7, 1e-17])
    assert len(set(np.abs(differences[:3]))) == 3
    assert wilcoxon_p(differences) == wilcoxon_p(np.array([0.1, -0.1, 0.1, 0.7]))


def test_wilcoxon_of_many_nodes_is_scipys_approximation():
    difference = np.round(np.random.default_rng(0).normal(0.1, 1, 80), 1)
    difference = difference[difference != 0]
    expected = stats.wilcoxon(np.round(difference, 12), method="asymptotic").pvalue
    assert wilcoxon_p(difference) == pytest.approx(expected, abs=1e-12)


# Holm -----------------------------------------------------------------------------------------------------------


def test_holm_of_a_worked_example():
    assert holm(np.array([0.04, 0.01, 0.03, 0.005])) == pytest.approx([0.06, 0.03, 0.06, 0.02])


def test_holm_leaves_undefined_cells_out_of_the_family():
    found = holm(np.array([0.02, np.nan, 0.04]))
    assert found[[0, 2]] == pytest.approx([0.04, 0.04])
    assert isnan(found[1])
    assert len(holm(np.array([]))) == 0


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1)))
def test_holm_never_lowers_p_and_keeps_the_order(p):
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()
    assert corrected.min() == pytest.approx(min(1, p.min() * len(p)))


# Bootstrap ------------------------------------------------------------------------------------------------------


def test_the_interval_is_the_same_every_time_and_follows_shift_and_scale():
    difference = np.random.default_rng(1).normal(size=12)
    first, moved = bootstrap_interval(difference), bootstrap_interval(2 * difference + 1)
    assert first == bootstrap_interval(difference.copy())
    assert (moved.low, moved.high) == pytest.approx((2 * first.low + 1, 2 * first.high + 1))


@pytest.mark.parametrize("n", [6, 20])
def test_the_interval_covers_the_mean_about_as_often_as_it_says(n):
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(size=n)) for _ in range(400)]
    assert 0.92 <= np.mean([interval.low <= 0 <= interval.high for interval in intervals]) <= 0.98


def test_nodes_of_one_rack_that_move_together_widen_the_interval():
    racks = [f"rack {i // 5}" for i in range(30)]
    difference = np.repeat(np.random.default_rng(0).normal(size=6), 5)
    by_node, by_rack = bootstrap_interval(difference), bootstrap_interval(difference, racks)
    assert (by_node.method, by_rack.method) == ("nodes", "racks")
    assert by_rack.high - by_rack.low > 1.5 * (by_node.high - by_node.low)


def test_racks_of_one_node_each_are_nodes():
    difference = np.random.default_rng(0).normal(size=5)
    by_rack = bootstrap_interval(difference, list("abcde"))
    assert (by_rack.low, by_rack.high) == (bootstrap_interval(difference).low, bootstrap_interval(difference).high)


@pytest.mark.parametrize("racks", [None, ["a", "a", "b", "b", "b"], ["a", "b", None, None, None]])
def test_below_three_known_racks_nodes_are_resampled(racks):
    difference = np.array([0.1, 0.2, 0.3, 0.1, 0.5])
    assert bootstrap_interval(difference, racks) == bootstrap_interval(difference)


def test_a_node_of_unknown_rack_is_a_unit_of_its_own():
    difference = np.array([0.1, 0.2, 0.3, 0.1, 0.5])
    mixed, named = ["a", "b", "c", None, None], ["a", "b", "c", "d", "e"]
    assert bootstrap_interval(difference, mixed) == bootstrap_interval(difference, named)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        ([0.2, 0.3, 0.25, 0.3], "better"),
        ([-0.2, -0.3, -0.25, -0.3], "worse"),
        ([-0.2, 0.3, -0.1, 0.1], "no difference"),
    ],
)
def test_the_verdict_is_whether_the_interval_leaves_out_zero(difference, verdict):
    assert bootstrap_interval(np.array(difference)).verdict == verdict


# Equivalence ----------------------------------------------------------------------------------------------------


def test_equivalence_needs_the_whole_interval_inside_the_margin():
    rng = np.random.default_rng(0)
    close = rng.normal(0, 0.01, 30)
    assert equivalence_p(close, 0.02) < 0.001
    assert equivalence_p(close + 0.05, 0.02) > 0.999
    assert equivalence_p(rng.normal(0, 0.5, 10), 0.02) > 0.3  # too few nodes to say anything


def test_equivalence_is_the_larger_of_two_one_sided_tests():
    difference = np.random.default_rng(2).normal(0.005, 0.02, 12)
    above = stats.ttest_1samp(difference, -0.02, alternative="greater").pvalue
    below = stats.ttest_1samp(difference, 0.02, alternative="less").pvalue
    assert equivalence_p(difference, 0.02) == pytest.approx(max(above, below), abs=1e-12)


def test_equivalence_is_undefined_for_one_node_and_refuses_a_margin_of_zero():
    assert isnan(equivalence_p(np.array([0.1]), 0.02))
    assert isnan(equivalence_p(np.zeros(5), 0.02))
    with pytest.raises(ValueError, match="margin must be positive; got 0"):
        equivalence_p(np.zeros(5), 0)
