"""Residual variances from sums are those of the rows, and shrinking is counting rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ftl.detection import residual_variance
from ftl.sharing import median_variance, residual_sums, shrunk_variance

RANDOM = np.random.default_rng(0)
residuals = st.integers(1, 12).flatmap(lambda n: arrays(np.float64, (n, 3), elements=st.floats(-50, 50)))


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(residuals, min_size=1, max_size=4))
def test_sums_of_parts_have_the_variance_of_the_pooled_rows(parts):
    total = residual_sums(parts[0])
    for rows in parts[1:]:
        total += residual_sums(rows)
    np.testing.assert_allclose(total.variance, np.concatenate(parts).var(axis=0), atol=1e-9)
    assert (total.variance >= 0).all()


def test_the_variance_is_around_the_rows_own_mean_as_that_of_the_score():
    rows = RANDOM.normal(5.0, 2.0, (200, 4)).astype(np.float32)
    np.testing.assert_array_equal(residual_sums(rows).variance, residual_variance(rows))
    np.testing.assert_allclose(residual_sums(rows).variance, rows.astype(np.float64).var(axis=0), rtol=1e-9)


def test_the_fleets_variance_is_the_median_over_nodes_whatever_their_sizes():
    tables = [RANDOM.normal(0, spread, (n, 3)) for n, spread in ((1000, 1), (5, 2), (30, 9))]
    expected = np.median([rows.var(axis=0) for rows in tables], axis=0)
    np.testing.assert_allclose(median_variance([residual_sums(rows) for rows in tables]), expected)


def test_nodes_without_rows_or_without_the_feature_have_no_say():
    one, other = RANDOM.normal(size=(2, 40, 3))
    absent = np.array([False, True, False])
    heard = [residual_sums(one), residual_sums(other, absent), residual_sums(np.empty((0, 3)))]
    expected = np.mean([one.var(axis=0), other.var(axis=0)], axis=0)
    expected[1] = one.var(axis=0)[1]
    np.testing.assert_allclose(median_variance(heard), expected)
    assert np.isnan(median_variance([residual_sums(one, np.ones(3, bool))])).all()


@settings(max_examples=60, deadline=None)
@given(own=residuals, fleet=arrays(np.float64, 3, elements=st.floats(0, 100)), pseudo_rows=st.floats(0, 1e4))
def test_a_shrunk_variance_lies_between_the_nodes_and_the_fleets(own, fleet, pseudo_rows):
    of_node = residual_sums(own).variance
    shrunk = shrunk_variance(residual_sums(own), fleet, pseudo_rows)
    slack = 1e-9 * (1 + np.maximum(of_node, fleet))
    assert (shrunk >= np.minimum(of_node, fleet) - slack).all()
    assert (shrunk <= np.maximum(of_node, fleet) + slack).all()


def test_pseudo_rows_count_as_rows_of_the_fleets_variance():
    own, fleet = residual_sums(RANDOM.normal(size=(100, 2))), np.array([4.0, 0.5])
    np.testing.assert_allclose(shrunk_variance(own, fleet, 300), 0.25 * own.variance + 0.75 * fleet)
    np.testing.assert_array_equal(shrunk_variance(own, fleet, 0), own.variance)


def test_without_rows_of_its_own_a_node_has_the_fleets_variance():
    fleet = np.array([4.0, 0.5])
    np.testing.assert_array_equal(shrunk_variance(None, fleet, 300), fleet)
    np.testing.assert_array_equal(shrunk_variance(residual_sums(np.empty((0, 2))), fleet, 300), fleet)


def test_what_one_side_does_not_know_the_other_tells_and_what_nobody_knows_is_zero():
    own = residual_sums(RANDOM.normal(size=(50, 3)), np.array([True, False, True]))
    shrunk = shrunk_variance(own, np.array([2.0, np.nan, np.nan]), 10)
    np.testing.assert_array_equal(shrunk, [2.0, own.variance[1], 0.0])


@pytest.mark.parametrize("pseudo_rows", [-1.0, np.nan, np.inf])
def test_pseudo_rows_must_be_a_number_of_rows(pseudo_rows):
    with pytest.raises(ValueError, match="pseudo_rows"):
        shrunk_variance(residual_sums(np.ones((2, 1))), np.ones(1), pseudo_rows)


def test_nothing_known_at_all_is_refused():
    with pytest.raises(ValueError, match="pseudo_rows must be positive"):
        shrunk_variance(None, np.ones(1), 0)
    with pytest.raises(ValueError, match="at least one node"):
        median_variance([])


def test_bytes_are_those_of_the_arrays_that_are_sent():
    sent = residual_sums(np.zeros((9, 5)))
    assert sent.n_bytes == np.int64(9).nbytes + sent.total.nbytes + sent.squares.nbytes
