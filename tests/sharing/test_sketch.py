"""A sketch says how far off it can be, and is no further off, whatever the scores."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.sharing import merge, pooled_quantile, sketch
from ftl.sharing.sketch import N_POINTS

LEVELS = (0.0, 0.003, 0.1, 0.5, 0.9, 0.98, 0.995, 1.0)
RANDOM = np.random.default_rng(0)
FLEETS = {
    "alike": [RANDOM.gamma(2, 1, n) for n in (400, 500, 600)],
    "unequal sizes": [RANDOM.gamma(2, 1, 30_000), RANDOM.gamma(9, 3, 140), RANDOM.gamma(20, 3, 2)],
    "one far away": [RANDOM.normal(0, 1, 300), RANDOM.normal(1e6, 1, 300)],
    "heavy ties": [RANDOM.integers(0, 3, 1000) * 1.0, np.zeros(700), RANDOM.integers(1, 3, 50) * 1.0],
    "all equal": [np.full(999, 4.25), np.full(130, 4.25)],
    "single values": [RANDOM.normal(size=1) for _ in range(200)],
    "one score": [np.array([3.0])],
    "heavy tail": [np.exp(RANDOM.normal(0, 5, n)) for n in (2000, 129, 128, 127)],
}


def off_by_no_more(value, pooled, q, error):
    """Whether a value lies between the exact quantiles at q - error - 1/n and q + error + 1/n."""
    slack = error + 1 / len(pooled)
    low = np.quantile(pooled, max(q - slack, 0.0), method="lower")
    high = np.quantile(pooled, min(q + slack, 1.0), method="higher")
    return low <= value <= high


@pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)
@pytest.mark.parametrize("q", LEVELS)
def test_quantiles_of_many_nodes_are_off_by_no_more_than_is_said(fleet, q):
    pooled, sketches = np.concatenate(fleet), [sketch(scores) for scores in fleet]
    assert off_by_no_more(pooled_quantile(sketches, q), pooled, q, 1 / (2 * N_POINTS))
    merged = merge(sketches)
    assert merged.error <= 2 / (2 * N_POINTS)
    assert off_by_no_more(merged.quantile(q), pooled, q, merged.error)
    one_by_one = sum(sketches[1:], start=sketches[0])
    assert one_by_one.n == len(pooled)
    assert off_by_no_more(one_by_one.quantile(q), pooled, q, one_by_one.error)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 700), min_size=1, max_size=5).filter(any),
    n_values=st.sampled_from([2, 40, 10_000]),
    seed=st.integers(0, 1000),
    q=st.floats(0, 1),
)
def test_the_bound_holds_for_nodes_unlike_each_other(sizes, n_values, seed, q):
    random = np.random.default_rng(seed)
    fleet = [random.integers(0, n_values, n) * random.uniform(0.1, 10) for n in sizes]
    pooled, merged = np.concatenate(fleet), merge(sketch(scores) for scores in fleet)
    assert off_by_no_more(merged.quantile(q), pooled, q, merged.error)


@pytest.mark.parametrize("q", LEVELS)
def test_few_scores_are_kept_as_they_are_and_their_quantiles_exact(q):
    fleet = [RANDOM.normal(size=n) for n in (60, 1, 67)]
    merged = merge(sketch(scores) for scores in fleet)
    assert merged.error == 0
    assert merged.quantile(q) == pytest.approx(np.quantile(np.concatenate(fleet), q), abs=1e-12)


def test_the_share_of_scores_up_to_a_value_is_off_by_a_256th_at_most():
    scores = RANDOM.gamma(1, 1, 777)
    of_sketch = sketch(scores).points
    for value in np.concatenate([of_sketch, scores[:100]]):
        assert abs((of_sketch <= value).mean() - (scores <= value).mean()) <= 1 / 256 + 1e-12


def test_a_sketch_is_of_fixed_size_and_without_chance():
    long, short = sketch(RANDOM.normal(size=100_000)), sketch(np.arange(5.0))
    assert (long.n_bytes, short.n_bytes) == (8 * (2 + 128), 8 * (2 + 5))
    assert (long + long).n_bytes == long.n_bytes
    scores = RANDOM.normal(size=500)
    np.testing.assert_array_equal(sketch(scores).points, sketch(scores[::-1]).points)


def test_the_order_in_which_nodes_are_merged_at_once_does_not_matter():
    sketches = [sketch(scores) for scores in FLEETS["unequal sizes"]]
    first = merge(sketches)
    for order in itertools.permutations(sketches):
        np.testing.assert_array_equal(merge(order).points, first.points)


def test_a_node_without_a_finite_score_changes_nothing():
    scores = sketch(RANDOM.normal(size=300))
    nothing = sketch(np.array([np.nan, np.inf]))
    assert nothing.n == 0
    assert merge([scores, nothing, nothing]) is scores
    assert (nothing + nothing).n == 0
    with pytest.raises(ValueError, match="at least one finite score"):
        nothing.quantile(0.5)
    with pytest.raises(ValueError, match=r"q must be in \[0, 1\]"):
        scores.quantile(98)
