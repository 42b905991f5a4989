import numpy as np
import pytest

from ftl.data.inspection.column_statistics import column_statistics, population_stability


def statistics(values: np.ndarray, label: np.ndarray | None = None):
    rows = np.arange(len(values))
    label = np.zeros(len(values), np.int8) if label is None else label
    cut = round(0.8 * len(values))
    names = tuple(f"c{k}" for k in range(values.shape[1]))
    return column_statistics(names, values.astype(np.float32), label, rows[:cut], rows[cut:])


def test_moments_are_those_of_numpy_with_missing_values_left_out() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(1e4, 3, (500, 70)) * rng.uniform(0.1, 10, 70)).astype(np.float32)  # more than one block
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:, 5] = np.nan
    found = statistics(values)
    some = np.arange(70) != 5
    exact = values[:, some].astype(np.float64)
    np.testing.assert_array_equal(found.present[some], (~np.isnan(exact)).sum(axis=0))
    np.testing.assert_allclose(found.mean[some], np.nanmean(exact, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation[some], np.nanstd(exact, axis=0), rtol=1e-9)
    np.testing.assert_array_equal(found.lowest[some], np.nanmin(exact, axis=0))
    np.testing.assert_array_equal(found.highest[some], np.nanmax(exact, axis=0))
    assert found.empty().tolist() == (~some).tolist()
    assert np.isnan([found.mean[5], found.deviation[5], found.lowest[5], found.psi[5]]).all()


def test_constant_and_empty_columns_are_told_apart() -> None:
    values = np.stack([np.full(9, 0.1), np.full(9, np.nan), np.arange(9), [0.1] + [np.nan] * 8], axis=1)
    found = statistics(values)
    assert found.constant().tolist() == [True, False, False, True]
    assert found.empty().tolist() == [False, True, False, False]
    assert found.deviation[0] == 0


def test_correlation_with_the_label_is_pearsons_over_labelled_rows() -> None:
    rng = np.random.default_rng(1)
    label = rng.choice(np.array([0, 1, -1], np.int8), 400)
    values = np.stack([rng.normal(size=400) + label, 3 - 2.0 * label, np.full(400, 7.0)], axis=1)
    values[rng.random(400) < 0.2, 0] = np.nan
    found = statistics(values, label).label_correlation
    used = (label >= 0) & ~np.isnan(values[:, 0])
    assert found[0] == pytest.approx(np.corrcoef(values[used, 0], label[used])[0, 1], abs=1e-6)
    assert found[1] == pytest.approx(-1)
    assert np.isnan(found[2])
    assert np.isnan(statistics(values, np.zeros(400, np.int8)).label_correlation).all()


def test_samples_of_one_distribution_are_stable_and_a_shifted_one_is_not() -> None:
    rng = np.random.default_rng(2)
    values = 4 * rng.normal(size=(5000, 3))
    values[4000:, 1] += 4.0
    values[4000:, 2] *= 3.0  # another shape, the same mean
    found = statistics(values)
    assert found.psi[0] < 0.05
    assert found.shift[0] == pytest.approx(0, abs=0.1)
    assert found.psi[1] > 0.5
    assert found.shift[1] == pytest.approx(1, abs=0.1)
    assert found.psi[2] > 0.5
    assert found.shift[2] == pytest.approx(0, abs=0.2)


def test_a_column_of_few_values_is_compared_value_by_value() -> None:
    half = np.repeat([0.0, 1.0], 500)
    assert population_stability(half, half) == pytest.approx(0)
    shares = np.array([0.9, 0.1])
    later = np.repeat([0.0, 1.0], (shares * 1000).astype(int))
    by_hand = np.sum((shares - 0.5) * np.log(shares / 0.5))
    assert population_stability(half, later) == pytest.approx(by_hand, rel=0.02)


def test_a_column_that_starts_to_change_has_drifted_without_a_shift_in_its_own_units() -> None:
    values = np.full((1000, 2), 5.0)
    values[900:, 0] = 6.0
    found = statistics(values)
    assert found.psi[0] > 1
    assert np.isnan(found.shift[0])  # there is no deviation to measure it in
    assert found.psi[1] == pytest.approx(0, abs=0.01)
    assert found.shift[1] == 0


def test_too_few_rows_on_one_side_give_no_drift() -> None:
    found = statistics(np.random.default_rng(3).normal(size=(190, 1)))  # 38 later rows
    assert np.isnan(found.psi[0])
    assert np.isfinite(statistics(np.random.default_rng(3).normal(size=(200, 1))).psi[0])


def test_a_node_without_rows_or_columns_has_empty_statistics() -> None:
    found = statistics(np.empty((0, 2)))
    assert found.present.tolist() == [0, 0]
    assert np.isnan(found.mean).all()
    assert statistics(np.empty((5, 0))).present.shape == (0,)
