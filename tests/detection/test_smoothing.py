import numpy as np
import pytest

from ftl.detection import smooth, smooth_train_test


@pytest.fixture
def score() -> np.ndarray:
    return np.random.default_rng(0).exponential(size=60)


def by_hand(score: np.ndarray, half_life: float, starts: set[int]) -> np.ndarray:
    weight, smoothed = 1 - 2 ** (-1 / half_life), np.empty(len(score))
    for row, value in enumerate(score):
        smoothed[row] = value if row in starts else smoothed[row - 1] + weight * (value - smoothed[row - 1])
    return smoothed


def test_smoothing_equals_the_recursion_done_by_hand_and_starts_anew_behind_gaps(score):
    time = np.arange(60) * 300
    time[20:] += 5 * 300  # six spacings: a gap
    time[40:] += 3 * 300  # four spacings: not yet one
    np.testing.assert_allclose(smooth(score, time, 3.0), by_hand(score, 3.0, {0, 20}), rtol=1e-12)


def test_the_number_of_windows_that_make_a_gap_is_an_option(score):
    time = np.arange(60)
    time[40:] += 3
    np.testing.assert_allclose(smooth(score, time, 3.0, gap_windows=2), by_hand(score, 3.0, {0, 40}), rtol=1e-12)


def test_a_step_halves_its_distance_within_the_half_life():
    score = np.concatenate([np.zeros(10), np.ones(10)])
    smoothed = smooth(score, np.arange(20), 5.0)
    assert smoothed[14] == pytest.approx(0.5)


def test_smoothing_never_looks_ahead(score):
    time = np.arange(60) * 60
    time[30:] += 3600
    whole = smooth(score, time, 4.0, spacing=60.0)
    row_by_row = [smooth(score[: row + 1], time[: row + 1], 4.0, spacing=60.0)[-1] for row in range(60)]
    np.testing.assert_array_equal(whole, row_by_row)


def test_a_half_life_of_zero_changes_nothing(score):
    np.testing.assert_array_equal(smooth(score, np.arange(60), 0.0), score)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_a_few_rows_are_smoothed_too(n_rows, score):
    np.testing.assert_allclose(smooth(score[:n_rows], np.arange(n_rows), 2.0), by_hand(score[:n_rows], 2.0, {0}))


def test_smoothing_leaves_its_input_alone(score):
    before = score.copy()
    smooth(score, np.arange(60), 2.0)
    np.testing.assert_array_equal(score, before)


@pytest.mark.parametrize(
    ("time", "options", "message"),
    [
        (np.arange(5), {"half_life": 1.0}, "same shape"),
        (np.arange(60)[::-1], {"half_life": 1.0}, "strictly increasing"),
        (np.zeros(60), {"half_life": 1.0}, "strictly increasing"),
        (np.arange(60), {"half_life": -1.0}, "half_life"),
        (np.arange(60), {"half_life": float("nan")}, "half_life"),
        (np.arange(60), {"half_life": 1.0, "gap_windows": 0}, "gap_windows"),
    ],
)
def test_what_cannot_be_smoothed_is_refused(time, options, message, score):
    with pytest.raises(ValueError, match=message):
        smooth(score, time, **options)


def test_the_mean_runs_on_from_training_into_the_test(score):
    train, test = smooth_train_test(score[:40], score[40:], np.arange(40), np.arange(40, 60), 3.0)
    np.testing.assert_allclose(np.concatenate([train, test]), by_hand(score, 3.0, {0}), rtol=1e-12)


def test_the_mean_starts_anew_where_a_gap_lies_between_training_and_test(score):
    _, test = smooth_train_test(score[:40], score[40:], np.arange(40), np.arange(50, 70), 3.0)
    np.testing.assert_allclose(test, by_hand(score[40:], 3.0, {0}), rtol=1e-12)


def test_under_a_random_split_neither_part_sees_the_other(score):
    train_rows, test_rows = np.arange(0, 60, 2), np.arange(1, 60, 2)
    train, test = smooth_train_test(score[train_rows], score[test_rows], train_rows, test_rows, 3.0)
    np.testing.assert_allclose(train, by_hand(score[train_rows], 3.0, {0}), rtol=1e-12)
    np.testing.assert_allclose(test, by_hand(score[test_rows], 3.0, {0}), rtol=1e-12)


def test_test_scores_do_not_depend_on_later_test_rows(score):
    time = np.concatenate([np.arange(50), 50 + 7 * np.arange(10)])  # the test is sampled more thinly than training
    _, whole = smooth_train_test(score[:40], score[40:], time[:40], time[40:], 3.0)
    _, first_half = smooth_train_test(score[:40], score[40:50], time[:40], time[40:50], 3.0)
    np.testing.assert_array_equal(whole[:10], first_half)
