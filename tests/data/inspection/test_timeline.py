import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.data.inspection.timeline import (
    MOST_BINS,
    count_in_bins,
    find_timeline,
    longest_silence,
    on_one_grid,
    usual_step,
)

START = 1_609_459_200


def bins(time: np.ndarray, base: int = 900):
    return count_in_bins(time, np.zeros(len(time), np.int8), np.ones(len(time), bool), base)


def test_gaps_are_counted_in_windows_and_the_longest_is_placed() -> None:
    quarter = np.array([0, 1, 2, 4, 5, 6, 7, 20, 21])
    line = find_timeline(START + 900 * quarter, seconds=True)
    assert (line.window, line.n_gaps, line.missing_windows) == (900, 2, 1 + 12)
    assert (line.longest_gap, line.longest_gap_after) == (13 * 900, START + 7 * 900)
    assert (line.irregular, line.implausible) == (0, 0)


def test_times_off_the_grid_are_counted_as_irregular() -> None:
    time = START + 900 * np.arange(100)
    time[50] += 300  # the distance before it and the one after it
    assert find_timeline(time, seconds=True).irregular == 2
    time[50] += 5 - 300  # within 1 % of a window
    assert find_timeline(time, seconds=True).irregular == 0


@pytest.mark.parametrize(
    ("steps", "usual"), [([900, 900, 300], 900), ([7, 8, 9, 10, 11], 9), ([], None), ([1, 1, 5, 6, 7], 1)]
)
def test_the_usual_step_is_the_most_frequent_one_or_the_median(steps: list[int], usual: int | None) -> None:
    assert usual_step(np.array(steps, np.int64)) == usual


def test_no_row_and_one_row_have_no_window() -> None:
    assert find_timeline(np.empty(0, np.int64), seconds=True).first is None
    line = find_timeline(np.array([START]), seconds=True)
    assert (line.first, line.last, line.window, line.n_gaps) == (START, START, None, 0)


def test_rows_of_a_wrong_clock_are_counted_where_times_are_seconds() -> None:
    time = np.array([5, START, START + 900, 9_999_999_999])
    assert find_timeline(time, seconds=True).implausible == 2
    assert find_timeline(time, seconds=False).implausible == 0


def test_rows_are_counted_by_kind() -> None:
    label = np.array([0, 1, -1, 1], np.int8)
    complete = np.array([True, False, True, True])
    counts = count_in_bins(900 * np.array([0, 1, 1, 2]), label, complete, 900).counts
    assert counts.tolist() == [[1, 2, 1], [0, 1, 1], [0, 1, 0], [0, 1, 0]]


@given(
    rows=st.lists(st.lists(st.integers(0, 300_000), min_size=0, max_size=30, unique=True), min_size=1, max_size=4),
    base=st.sampled_from([1, 60, 900]),
)
def test_coarse_bins_lose_no_row_and_keep_each_in_its_place(rows: list[list[int]], base: int) -> None:
    times = [np.sort(np.array(node, np.int64)) for node in rows]
    nodes = [bins(time, base) for time in times]
    grid = on_one_grid(nodes)
    assert grid.counts.shape[2] <= MOST_BINS + 1
    assert grid.counts[:, 0].sum() + grid.left_out == sum(map(len, times))
    if grid.left_out:
        return
    for time, counts in zip(times, grid.counts, strict=True):
        expected = np.bincount((time - grid.start) // grid.width, minlength=grid.counts.shape[2])
        np.testing.assert_array_equal(counts[0], expected)


def test_a_long_period_becomes_at_most_400_bins_of_one_width() -> None:
    long, short = START + 900 * np.arange(86_650), START + 900 * np.arange(5000, 5010)
    grid = on_one_grid([bins(long), bins(short)])
    assert 200 <= grid.counts.shape[2] <= MOST_BINS
    assert grid.width % 900 == 0
    assert grid.counts[:, 0].sum(axis=1).tolist() == [86_650, 10]


def test_one_wrong_clock_does_not_squeeze_the_others() -> None:
    good = START + 900 * np.arange(1000)
    jumped = good.copy()
    jumped[-5:] += 10 * 365 * 86400
    lost = np.arange(5) * 900  # 1970
    grid = on_one_grid([bins(good), bins(jumped), bins(lost)])
    assert grid.left_out == 10
    assert grid.width * grid.counts.shape[2] < 1.2 * 900 * 1000


def test_a_fleet_without_rows_has_no_bins() -> None:
    assert on_one_grid([bins(np.empty(0, np.int64))]).counts.shape == (1, 4, 0)


def test_the_longest_silence_of_all_nodes_is_told_to_the_row_although_bins_are_coarse() -> None:
    one = START + 900 * np.concatenate([np.arange(5000), np.arange(9000, 14_000)])
    other = START + 900 * np.concatenate([np.arange(100), np.arange(3000, 5111), np.arange(8002, 14_000)])
    grid = on_one_grid([bins(one), bins(other)])
    assert grid.width > 900
    found = longest_silence(grid, [find_timeline(time, seconds=True) for time in (one, other)])
    assert found[:2] == (START + 900 * 5110, START + 900 * 8002)
    assert found[2] == pytest.approx(2892 / 13_999)


def test_one_node_that_reports_throughout_leaves_no_silence() -> None:
    times = [START + 900 * np.concatenate([np.arange(100), np.arange(900, 1000)]), START + 900 * np.arange(1000)]
    lines = [find_timeline(time, seconds=True) for time in times]
    assert longest_silence(on_one_grid([bins(time) for time in times]), lines) is None
