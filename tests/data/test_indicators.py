import numpy as np

from ftl.data.cleaning import MissingCells
from ftl.data.indicators import INDICATOR_SHARE, count_together, indicator_features, indicator_values

FEATURES = ("power_avg", "power_std", "ambient_avg", "load", "user")


def together_in(missing: list[tuple[int, ...]], n_rows: int = 100) -> np.ndarray:
    """One node whose row r lacks the features in missing[r]; the others are complete."""
    values = np.zeros((n_rows, len(FEATURES)), np.float32)
    for row, columns in enumerate(missing):
        values[row, list(columns)] = np.nan
    gaps = MissingCells.of(values).gaps(list(range(len(FEATURES))))
    return count_together(gaps, np.ones(n_rows, bool), FEATURES)


def test_an_indicator_stands_for_all_statistics_of_a_metric_that_is_missing_often_enough() -> None:
    together = together_in([(0, 1), (0, 1), (3,)])
    assert indicator_features(FEATURES, together, 100, 0.0) == {"missing:power": [0, 1], "missing:load": [3]}
    assert indicator_features(FEATURES, together, 101, 0.0) == {"missing:power": [0, 1]}
    assert "missing:row" in indicator_features(FEATURES, together, 100, INDICATOR_SHARE)


def test_metrics_that_go_missing_together_share_one() -> None:
    mostly = [(0, 1, 3, 4)] * 9 + [(3,)]
    assert indicator_features(FEATURES, together_in(mostly), 100, 0.0) == {"missing:power+2": [0, 1, 3, 4]}
    seldom = [(0, 1, 3, 4)] * 7 + [(3,)] * 3
    found = indicator_features(FEATURES, together_in(seldom), 100, 0.0)
    assert found == {"missing:power+1": [0, 1, 4], "missing:load": [3]}


def test_rows_without_any_value_and_rows_that_do_not_train_say_nothing_of_a_metric() -> None:
    values = np.zeros((10, 2), np.float32)
    values[2] = np.nan
    values[5, 0] = values[8, 0] = np.nan
    gaps = MissingCells.of(values).gaps([0, 1])
    np.testing.assert_array_equal(count_together(gaps, np.arange(10) < 7, ("a", "b")), [[1, 0], [0, 0]])


def test_a_fleet_in_which_nothing_is_missing_has_none() -> None:
    assert indicator_features(FEATURES, together_in([]), 100, 0.0) == {}
    assert indicator_features(("a",), np.zeros((1, 1), np.int64), 0, 0.0) == {}


def test_indicators_say_what_was_missing() -> None:
    values = np.array([[1, 1], [np.nan, 1], [np.nan, np.nan], [1, 1]], np.float32)
    gaps = MissingCells.of(values).gaps([0, None, 1])
    assert indicator_values(gaps, [0, 1]).tolist() == [0, 1, 1, 0]
    assert indicator_values(gaps, [2]).tolist() == [0, 0, 1, 0]
    assert indicator_values(gaps, []).tolist() == [0, 0, 1, 0]  # the whole row
