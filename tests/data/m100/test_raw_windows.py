"""The windowing kernel, against plain numpy and against what must hold whatever the order of samples."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.data.m100.windows import STATISTICS, Samples, WindowSums, window_values

N_NODES, N_WINDOWS, WINDOW = 3, 4, 900_000
ALL = tuple(STATISTICS)


def samples(node, time, value) -> Samples:
    node, time = np.asarray(node, np.int64), np.asarray(time, np.int64) * 1000
    return Samples(node * N_WINDOWS + time // WINDOW, time, np.asarray(value, np.float64))


def windows(batches: list[Samples], max_samples: int = 10) -> np.ndarray:
    sums = WindowSums(N_NODES, N_WINDOWS, extremes=True)
    for batch in batches:
        sums.add(batch)
    for mask in sums.untidy_groups(max_samples):
        parts = [batch[mask[batch.bins]] for batch in batches]
        sums.recount(
            mask, Samples(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("bins", "time", "value")))
        )
    block = window_values(sums, ALL)
    values = np.full((N_NODES, N_WINDOWS, len(ALL)), np.nan, np.float32)
    n_nodes, n_windows, _ = block.values.shape
    values[block.first_node :, block.first_window :][:n_nodes, :n_windows] = block.values
    return values


def plain(rows: list[tuple[int, int, float]]) -> np.ndarray:
    """Window by window: the set of distinct samples, and numpy's statistics of it."""
    result = np.full((N_NODES, N_WINDOWS, len(ALL)), np.nan)
    for node in range(N_NODES):
        for window in range(N_WINDOWS):
            inside = [v for n, t, v in sorted(set(rows)) if n == node and t // 900 == window]
            if inside:
                result[node, window] = [np.mean(inside), np.std(inside), min(inside), max(inside), len(inside)]
    return result


rows_of_samples = st.lists(
    st.tuples(
        st.integers(0, N_NODES - 1),
        st.integers(0, 900 * N_WINDOWS - 1) | st.sampled_from([0, 899, 900, 901]),
        st.integers(-50, 50).map(float) | st.sampled_from([3.0, 3.5]),
    ),
    max_size=60,
)


@given(rows_of_samples, st.integers(1, 7), st.booleans())
def test_windows_are_those_of_distinct_samples_in_any_order_and_any_batches(rows, size, in_order):
    rows = sorted(rows) if in_order else rows
    batches = [samples(*zip(*rows[i : i + size], strict=True)) for i in range(0, len(rows), size)]
    np.testing.assert_allclose(windows(batches), plain(rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [329_871_872.0, 0.1, 1e-30, 1 / 3, 1.6e9 + 1 / 7])
def test_a_constant_sensor_has_standard_deviation_zero(value):
    time = np.arange(0, 3600, 20)
    batches = [samples(np.zeros(7), time[i : i + 7], np.full(7, value)) for i in range(0, 175, 7)]
    result = windows(batches)[0]
    assert (result[:, ALL.index("std")] == 0).all()
    assert (result[:, ALL.index("avg")] == np.float32(value)).all()


def test_a_small_spread_on_a_large_value_is_kept():
    time, value = np.arange(0, 900, 20), 329_871_872 + np.arange(45) % 2
    result = windows([samples(np.zeros(20), time[:20], value[:20]), samples(np.zeros(25), time[20:], value[20:])])
    np.testing.assert_allclose(result[0, 0, ALL.index("std")], np.std(value - value[0]), rtol=1e-6)


def test_an_outlier_first_does_not_spoil_the_spread():
    value = np.array([1e9, *np.random.default_rng(0).normal(0, 1, 200)])
    result = windows([samples(np.zeros(201), np.arange(201), value)])
    np.testing.assert_allclose(result[0, 0, ALL.index("std")], np.std(value), rtol=1e-6)


def test_tidy_samples_are_read_once():
    """Sorted by node, sorted by time, and with nodes back and forth: nothing can occur twice."""
    node, time = np.repeat(np.arange(N_NODES), 90), np.tile(np.arange(0, 1800, 20), N_NODES)
    by_time = np.argsort(time, kind="stable")
    blocks = np.arange(270).reshape(N_NODES, 9, 10).transpose(1, 0, 2).ravel()
    for order in (np.arange(270), by_time, blocks):
        sums = WindowSums(N_NODES, N_WINDOWS)
        for part in np.split(order, 6):
            sums.add(samples(node[part], time[part], np.ones(45)))
        assert not sums.untidy.any()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_samples_left_out_are_counted_by_bin_however_they_are_cut_into_batches(size):
    batch = samples([1, 1, 1, 1, 0], [910, 910, 910, 950, 10], [5, 6, 5, 7, 1])
    batches = [batch[np.arange(i, min(i + size, 5))] for i in range(0, 5, size)]
    sums = WindowSums(N_NODES, N_WINDOWS)
    for each in batches:
        sums.add(each)
    for mask in sums.untidy_groups(100):
        sums.recount(mask, batch[mask[batch.bins]])
    assert (np.flatnonzero(sums.repeated).tolist(), np.flatnonzero(sums.unlike).tolist()) == ([5], [5])
    assert (sums.repeated[5], sums.unlike[5], sums.count[5]) == (1, 1, 3)


def test_untidy_bins_are_read_again_in_groups_of_bounded_size():
    sums = WindowSums(N_NODES, N_WINDOWS)
    node, time = np.repeat(np.arange(N_NODES), 20), np.tile(np.arange(0, 3600, 180), N_NODES)
    for _ in range(2):
        sums.add(samples(node, time, np.zeros(60)))  # every sample twice, 10 in each of the 12 bins
    groups = list(sums.untidy_groups(30))
    assert [int(sums.count[mask].sum()) for mask in groups] == [20, 30, 30, 30, 10]
    assert (np.sum(groups, axis=0) == sums.untidy).all()


def test_memory_is_bounded_by_the_bins_and_not_by_the_samples():
    sums = WindowSums(N_NODES, N_WINDOWS)
    batch = samples(np.zeros(3000), np.arange(3000), np.arange(3000))
    sums.add(batch)
    tracemalloc.start()
    for _ in range(50):
        sums.add(Samples(batch.bins, batch.time, batch.value))
    current, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 20_000
    assert peak < 40 * 8 * 3000


def test_extremes_have_to_be_asked_for():
    sums = WindowSums(1, 1)
    sums.add(Samples(np.zeros(1, int), np.zeros(1, int), np.ones(1)))
    with pytest.raises(ValueError, match="extremes"):
        window_values(sums, ("max",))
