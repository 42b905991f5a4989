import numpy as np
import pytest

from ftl.data.scaling import CONSTANTS, SCALERS, TRANSFORMS, Scaling, fit_scaling, measure_range, signed_log1p

LOW, HIGH = -4.0, 5.0


def fit(
    nodes: list[np.ndarray], transform: str = "none", scaler: str = "node_minmax", constant: str = "fleet_range"
) -> Scaling:
    raw = [np.asarray(rows, np.float32) for rows in nodes]
    held = [np.zeros(rows.shape[1], bool) for rows in raw]
    ranges = [measure_range(rows, np.arange(len(rows)), none, scaler) for rows, none in zip(raw, held, strict=True)]
    return fit_scaling(ranges, transform, scaler, LOW, HIGH, constant)


@pytest.fixture
def nodes() -> list[np.ndarray]:
    """Three nodes of unlike level: a gauge, a wide counter, a column constant on node 1 and one constant everywhere."""
    rng = np.random.default_rng(0)
    raw = [np.column_stack([rng.normal(k, 1, 200), rng.lognormal(9, 2, 200), rng.normal(0, 1, 200)]) for k in range(3)]
    raw[1][:, 2] = 4.5
    return [np.column_stack([rows, np.full(200, 7.0)]).astype(np.float32) for rows in raw]


def test_node_minmax_puts_each_nodes_train_rows_on_the_unit_interval(nodes: list[np.ndarray]) -> None:
    scaling = fit(nodes)
    for node, rows in enumerate(nodes):
        varying = rows.min(axis=0) < rows.max(axis=0)
        scaled = scaling(rows, node)
        np.testing.assert_array_equal(scaled[:, varying].min(axis=0), 0)
        np.testing.assert_array_equal(scaled[:, varying].max(axis=0), 1)
        np.testing.assert_array_equal(scaled[:, ~varying], 0)


def test_fleet_quantile_gives_every_node_the_same_scale(nodes: list[np.ndarray]) -> None:
    scaling = fit(nodes, scaler="fleet_quantile")
    low = np.median([np.quantile(rows[:, 0], 0.005) for rows in nodes])
    high = np.median([np.quantile(rows[:, 0], 0.995) for rows in nodes])
    np.testing.assert_allclose(scaling.offset[:, 0], low, rtol=1e-5)
    np.testing.assert_allclose(scaling.scale[:, 0], high - low, rtol=1e-5)


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_scaled_values_are_finite_and_clipped(nodes: list[np.ndarray], transform: str, scaler: str) -> None:
    scaling = fit(nodes, transform, scaler)
    assert (scaling.scale > 0).all()
    assert np.isfinite(scaling.scale).all()
    extreme = np.array([[1e9] * 4, [-1e9] * 4, [0] * 4], np.float32)
    for node in range(3):
        scaled = scaling(extreme, node)
        assert scaled.dtype == np.float32
        assert scaled.min() >= LOW
        assert scaled.max() <= HIGH
        assert not scaled[:, 3].any()  # constant in training, and 0 even where the test rows move


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_column_constant_on_a_node_is_muted_there_on_request(nodes: list[np.ndarray], scaler: str) -> None:
    scaling = fit(nodes, scaler=scaler, constant="mute")
    assert scaling.muted.tolist() == [[False] * 3 + [True], [False] * 2 + [True] * 2, [False] * 3 + [True]]
    assert scaling.scale[1, 2] == 1
    assert scaling.offset[1, 2] == 4.5


def test_a_column_constant_on_a_node_is_measured_in_the_median_range_of_the_others(nodes: list[np.ndarray]) -> None:
    scaling = fit(nodes)
    assert scaling.muted.tolist() == [[False] * 3 + [True]] * 3  # the last column varies nowhere
    ranges = [np.ptp(nodes[k][:, 2]) for k in (0, 2)]
    moved = np.array([[0, 0, 4.5 + np.median(ranges), 0]], np.float32)
    assert scaling(moved, 1)[0, 2] == pytest.approx(1, rel=1e-5)


def test_a_column_without_a_range_in_most_of_the_fleet_is_muted_by_the_shared_scale() -> None:
    silent, alive = np.zeros((50, 1)), np.arange(50.0)[:, None]
    assert fit([silent, alive, silent], scaler="fleet_quantile").muted.all()


def test_auto_takes_the_logarithm_of_wide_features_for_the_whole_fleet(nodes: list[np.ndarray]) -> None:
    assert fit(nodes, "auto").signed_log.tolist() == [False, True, False, False]
    nodes[0][:, 1] = nodes[2][:, 1] = 3.0  # wide on one node of three only
    assert not fit(nodes, "auto").signed_log.any()


def test_the_signed_logarithm_is_odd_and_monotone() -> None:
    values = np.array([-1e6, -1, 0, 1, 1e6], np.float32)
    np.testing.assert_array_equal(signed_log1p(-values), -signed_log1p(values))
    assert (np.diff(signed_log1p(values)) > 0).all()


def test_scaling_leaves_the_raw_rows_alone(nodes: list[np.ndarray]) -> None:
    scaling, before = fit(nodes, "signed_log1p"), nodes[0].copy()
    scaling(nodes[0], 0)
    np.testing.assert_array_equal(nodes[0], before)


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_feature_that_a_node_lacks_is_muted_there_and_counts_for_nobody(
    nodes: list[np.ndarray], transform: str, scaler: str, constant: str
) -> None:
    lacks = np.array([False, True, False, False])
    ranges = [measure_range(rows, np.arange(200), np.zeros(4, bool), scaler) for rows in nodes]
    poor = measure_range(np.zeros((200, 4), np.float32), np.arange(200), lacks, scaler)
    apart = fit_scaling(ranges, transform, scaler, LOW, HIGH, constant)
    together = fit_scaling([*ranges, poor], transform, scaler, LOW, HIGH, constant)
    assert together.muted[3, 1]
    assert (together.offset[3, 1], together.scale[3, 1]) == (0, 1)
    np.testing.assert_array_equal(together.scale[:3, 1], apart.scale[:, 1])
    np.testing.assert_array_equal(together.offset[:3, 1], apart.offset[:, 1])
    assert together.signed_log[1] == apart.signed_log[1]


def test_the_map_of_one_node_is_the_fleets(nodes: list[np.ndarray]) -> None:
    scaling = fit(nodes, "auto")
    np.testing.assert_array_equal(scaling.of_node(2)(nodes[2], 0), scaling(nodes[2], 2))


@pytest.mark.parametrize("scaler", SCALERS)
def test_only_train_rows_are_measured_whatever_the_number_of_columns(scaler: str) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 70)).astype(np.float32)
    train = np.arange(0, 50, 2)
    found = measure_range(rows, train, np.zeros(70, bool), scaler)
    low, high = SCALERS[scaler].ends(rows[train])
    np.testing.assert_array_equal((found.low, found.high), (low, high))
    np.testing.assert_array_equal(found.highest, rows[train].max(axis=0))
    log_low, _ = SCALERS[scaler].ends(signed_log1p(rows[train]))
    np.testing.assert_array_equal(found.log_low, log_low)
