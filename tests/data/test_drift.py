import math

import numpy as np
import pytest

from ftl.data.drift import MIN_ROWS, drift_share, drifts, node_drift

T = 2000


def normal(n_features: int = 12, n_rows: int = T, seed: int = 0) -> np.ndarray:
    """A daily cycle that all features follow, and noise; 96 rows a day, in units of all sizes."""
    rng = np.random.default_rng(seed)
    cycle = np.sin(2 * np.pi * np.arange(n_rows) / 96)[:, None] * rng.normal(size=n_features)
    units = 10.0 ** rng.integers(-6, 7, size=n_features)
    return (5 + cycle + rng.normal(size=(n_rows, n_features))) * units


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_features", [1, 12, 200])
def test_what_stays_does_not_drift(seed: int, n_features: int) -> None:
    assert not drifts(drift_share(normal(n_features, seed=seed)))


def test_noise_alone_does_not_drift_however_many_the_features() -> None:
    assert drift_share(np.random.default_rng(1).normal(size=(MIN_ROWS, 600))) < 0.06


def test_a_level_that_shifts_drifts() -> None:
    x = normal()
    x[1600:, 3:6] += 3 * x[:, 3:6].std(axis=0)
    assert drift_share(x) > 0.3


def test_a_slow_ramp_drifts_whether_one_feature_has_it_or_all() -> None:
    ramp = np.linspace(0, 8, T)[:, None]
    one, every = normal(), normal()
    one[:, :1] += ramp * one[:, :1].std(axis=0)
    every += ramp * every.std(axis=0)
    assert drifts(drift_share(one))
    assert drifts(drift_share(every))


def test_metrics_that_stop_going_together_drift_though_each_keeps_its_range() -> None:
    rng = np.random.default_rng(3)
    load = rng.normal(size=(T, 1))
    x = load + 0.1 * rng.normal(size=(T, 8))
    x[1500:, 0] = rng.permutation(x[1500:, 0])
    assert drifts(drift_share(x))


def test_units_play_no_part() -> None:
    x = normal(seed=4)
    assert drift_share(x) == pytest.approx(drift_share(x * 2.0 ** np.arange(12) + 7), abs=2e-3)


def test_a_constant_feature_that_takes_a_new_value_does_not_decide() -> None:
    x = np.hstack([normal(), np.full((T, 1), 7.0)])
    before = drift_share(x)
    x[1500:, -1] = 1e9
    assert drift_share(x) == before


def test_too_few_rows_or_nothing_that_varies_cannot_be_told() -> None:
    assert math.isnan(drift_share(normal(n_rows=MIN_ROWS - 1)))
    assert math.isnan(drift_share(np.ones((T, 3))))
    assert not drifts(math.nan)
    time = 900 * np.arange(T)
    linear = np.zeros(12, bool)
    assert math.isnan(node_drift(normal(), time, linear, window=float(time[-1])))
    assert node_drift(normal(), time, linear, window=86400.0) == drift_share(normal())
