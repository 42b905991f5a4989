import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.data.rebasing import REBASE_RULES, Rebasing, rebased, trailing_median, window_of
from ftl.errors import ConfigError


def rows(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows at irregular times, with two silences."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.choice([1, 1, 2, 5], size=n))
    time[n // 2 :] += 40
    time[3 * n // 4 :] += 1000
    return rng.normal(size=(n, 3)).astype(np.float32), time.astype(np.int64)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), window=st.sampled_from([0.5, 3.0, 17.5, 60.0, 1e6]), with_missing=st.booleans())
def test_the_trailing_median_is_that_of_the_rows_of_the_window(seed: int, window: float, with_missing: bool) -> None:
    x, time = rows(60, seed)
    if with_missing:
        x[np.random.default_rng(seed).random(x.shape) < 0.2] = np.nan
    for row, found in enumerate(trailing_median(x, time, window)):
        held = x[(time > time[row] - window) & (time <= time[row])].astype(np.float64)
        for feature in range(x.shape[1]):
            known = held[~np.isnan(held[:, feature]), feature]
            expected = np.float32(np.median(known)) if len(known) else np.float32(np.nan)
            np.testing.assert_array_equal(found[feature], expected)


@pytest.mark.parametrize("first", [0, 1, 120, 190, 199, 200])
def test_the_last_rows_alone_equal_those_of_the_whole(first: int) -> None:
    x, time = rows()
    np.testing.assert_array_equal(trailing_median(x, time, 30.0, first), trailing_median(x, time, 30.0)[first:])


def test_later_rows_change_no_earlier_one() -> None:
    x, time = rows()
    changed = x.copy()
    changed[150:] = 1e6
    np.testing.assert_array_equal(rebased(x, time, 50.0)[:150], rebased(changed, time, 50.0)[:150])
    np.testing.assert_array_equal(rebased(x[:150], time[:150], 50.0), rebased(x, time, 50.0)[:150])


def test_after_a_silence_longer_than_the_window_the_median_starts_anew() -> None:
    x, time = rows()
    again = 150
    np.testing.assert_array_equal(rebased(x, time, 500.0)[again:], rebased(x[again:], time[again:], 500.0))
    assert not rebased(x, time, 500.0)[again].any()


def test_a_level_that_moves_is_taken_off_and_indicators_are_not() -> None:
    x, time = rows()
    x[:, 2] = 1.0
    moved = x + np.array([0.0, 50.0, 0.0], np.float32) * (time >= time[40])[:, None]
    found = Rebasing(20.0, 2)(moved, time)
    np.testing.assert_allclose(found[80:, 1], rebased(x, time, 20.0)[80:, 1], atol=1e-5)
    np.testing.assert_array_equal(found[:, 2], 1.0)


def test_a_window_must_be_positive_and_times_belong_to_rows() -> None:
    x, time = rows()
    with pytest.raises(ValueError, match="window: the length of the past must be positive"):
        trailing_median(x, time, 0.0)
    with pytest.raises(ValueError, match="time: 199 for 200 rows"):
        trailing_median(x, time[1:], 5.0)


def test_hours_become_units_of_time_or_are_refused() -> None:
    assert window_of(24, "seconds", None) == 86400
    assert window_of(24, "steps", 300.0) == 288
    with pytest.raises(ConfigError, match=r"steps of unknown length.*window_minutes in fleet\.yaml"):
        window_of(24, "steps", None)


@pytest.mark.parametrize(
    ("rule", "fired", "expected"),
    [
        ("none", [1, 1, 1, 1], [0, 0, 0, 0]),
        ("drifting", [1, 0, 0, 1], [1, 0, 0, 1]),
        ("fleet", [1, 0, 0, 1], [1, 1, 1, 1]),
        ("fleet", [1, 0, 0, 0], [0, 0, 0, 0]),
        ("all", [0, 0, 0, 0], [1, 1, 1, 1]),
    ],
)
def test_a_rule_says_which_nodes_are_rebased(rule: str, fired: list[int], expected: list[int]) -> None:
    assert REBASE_RULES[rule](np.array(fired, bool)).tolist() == [bool(value) for value in expected]
