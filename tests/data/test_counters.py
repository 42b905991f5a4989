import numpy as np
import pytest

from ftl.data.counters import count_steps, find_counters, increases


def test_a_column_that_only_grows_is_a_counter_and_a_sensor_is_not():
    rng = np.random.default_rng(0)
    grows = np.cumsum(rng.integers(0, 3, 300))
    restarts = np.concatenate([grows[:200], grows[200:] - grows[200]])
    train = np.stack([grows, restarts, rng.normal(size=300), -grows, np.full(300, 7.0)], axis=1)
    np.testing.assert_array_equal(find_counters(*count_steps(train)), [True, True, False, False, False])


def test_a_constant_that_changed_a_few_times_is_no_counter():
    changed = np.repeat([0.0, 1.0, 2.0], 100)[:, None]
    ups, downs = count_steps(changed)
    assert (ups[0], downs[0]) == (2, 0)
    assert not find_counters(ups, downs)[0]
    assert find_counters(5 * ups, downs)[0]  # five nodes of which each says the same


def test_what_counts_is_the_fleet():
    """One node whose sensor happened to rise for a while does not make it a counter."""
    rising, falling = count_steps(np.arange(20.0)[:, None]), count_steps(-np.arange(20.0)[:, None])
    assert find_counters(*rising)[0]
    assert not find_counters(rising[0] + falling[0], rising[1] + falling[1])[0]


def test_the_increase_is_per_window_and_starts_again_after_a_reset():
    time = np.array([0, 900, 1800, 4500, 5400])
    grown = increases(np.array([10.0, 12, 12, 18, 5]), np.ones(5, bool), time, 900.0)
    np.testing.assert_allclose(grown, [0, 2, 0, 2, 5])


def test_rows_in_which_it_was_not_read_do_not_count():
    time = 900 * np.arange(5)
    measured = np.array([False, True, False, False, True])
    grown = increases(np.array([0.0, 100, 0, 0, 106]), measured, time, 900.0)
    np.testing.assert_allclose(grown, [0, 0, 0, 0, 2])


@pytest.mark.parametrize("n_read", [0, 1])
def test_without_two_readings_nothing_is_known_to_have_grown(n_read):
    measured = np.arange(3) < n_read
    np.testing.assert_array_equal(increases(np.array([5.0, 6, 7]), measured, np.arange(3), 1.0), np.zeros(3))
