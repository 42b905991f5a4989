import numpy as np
import pytest

from ftl.data.simulation.features import KINDS
from ftl.data.simulation.source import SimulatedSource
from ftl.errors import ConfigError, TelemetryError

BANDS = {"d1": (0.025, 0.035), "d2": (0.013, 0.021)}


@pytest.fixture(scope="module")
def tables():
    source = SimulatedSource("d1", 10, 960, seed=5)
    return [source.read_node(node) for node in source.node_ids()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_table_is_whole(kind):
    table = SimulatedSource(kind, 2, 600, seed=1).read_node("node-001")
    assert table.values.dtype == np.float32
    assert table.values.shape == (len(table.time), len(KINDS[kind].features))
    assert len(table.label) == len(table.time) <= 600
    assert table.split is None
    assert (np.diff(table.time) > 0).all()
    assert (np.diff(table.time) % 900 == 0).all()
    assert set(np.unique(table.label)) <= {-1, 0, 1}
    assert not np.isinf(table.values).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 17, 2**40])
def test_the_fleets_anomaly_rate_lies_in_its_band_and_that_of_nodes_differs_widely(kind, seed):
    source = SimulatedSource(kind, 20, 2880, seed)
    labels = np.stack([source.labels_of(node) for node in source.node_ids()])
    low, high = BANDS[kind]
    assert low < (labels == 1).sum() / (labels >= 0).sum() < high
    by_node = (labels == 1).mean(axis=1)
    assert by_node.max() > 6 * by_node.min()


@pytest.mark.parametrize("kind", KINDS)
def test_most_nodes_have_an_event_in_the_last_six_of_thirty_days(kind):
    shares = []
    for seed in range(5):
        source = SimulatedSource(kind, 20, 2880, seed)
        shares += [(source.labels_of(node)[-576:] == 1).any() for node in source.node_ids()]
    assert np.mean(shares) > 0.5


def test_labels_of_a_read_node_are_those_of_the_period():
    source = SimulatedSource("d2", 3, 960, seed=2)
    table = source.read_node("node-002")
    window = (table.time - source.fleet_series.time[0]) // 900
    np.testing.assert_array_equal(table.label, source.labels_of("node-002")[window])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_bits_in_any_order_of_reading(kind):
    one, other = (SimulatedSource(kind, 3, 200, seed=4) for _ in range(2))
    other.read_node("node-000")
    first, second = one.read_node("node-002"), other.read_node("node-002")
    assert first.values.tobytes() == second.values.tobytes()
    assert first.label.tobytes() == second.label.tobytes()
    assert one.fingerprint() == other.fingerprint()


def test_another_seed_or_kind_gives_another_fleet():
    base = SimulatedSource("d1", 2, 200, seed=0)
    changed = SimulatedSource("d1", 2, 200, seed=1)
    assert base.fingerprint() != changed.fingerprint() != SimulatedSource("d2", 2, 200, seed=1).fingerprint()
    assert base.read_node("node-000").values.tobytes() != changed.read_node("node-000").values.tobytes()


def test_a_larger_fleet_leaves_its_first_nodes_as_they_were():
    small, large = SimulatedSource("d1", 3, 300, seed=0), SimulatedSource("d1", 45, 300, seed=0)
    for node in small.node_ids():
        assert small.read_node(node).values.tobytes() == large.read_node(node).values.tobytes()
        assert small.rack_of(node) == large.rack_of(node)


def test_a_small_fleet_spans_several_racks():
    source = SimulatedSource("d1", 20, 96, seed=0)
    assert len({source.rack_of(node) for node in source.node_ids()}) == 4
    assert source.window_seconds() == 900.0
    assert source.time_unit == "seconds"
    assert source.origin == "simulated"


def test_every_two_nodes_differ_beyond_their_own_scatter(tables):
    """Mean readings of two nodes differ by half a standard deviation or more in a good part of the features."""
    means = np.stack([np.nanmean(table.values, axis=0) for table in tables])
    scatter = np.stack([np.nanstd(table.values, axis=0) for table in tables]).mean(axis=0)
    alive = scatter > 0
    for first in range(len(means)):
        for second in range(first):
            distance = np.abs(means[first] - means[second])[alive] / scatter[alive]
            assert np.mean(distance > 0.5) > 0.1


def test_readings_lie_where_the_machine_lies(tables):
    bands = {
        "total_power_avg": (300, 1900), "p0_power_avg": (20, 280), "ambient_avg": (10, 36), "fan0_0_avg": (3000, 11000),
        "p0_core7_temp_avg": (25, 95), "gpu0_core_temp_avg": (20, 90), "cpu_user_avg": (0, 100),
        "ps1_input_voltag_avg": (215, 240), "Gpu1_gpu_utilization_avg": (0, 100),
    }  # fmt: skip
    for feature, (low, high) in bands.items():
        column = tables[0].features.index(feature)
        normal = np.concatenate([table.values[table.label == 0, column] for table in tables])
        outside = np.nanmean((normal < low) | (normal > high))
        assert outside < 0.01, f"{feature}: {outside:.3f} of normal windows outside [{low}, {high}]"


def test_heat_follows_power(tables):
    features = tables[0].features
    power, warmth = (features.index(name) for name in ("Gpu0_power_usage_avg", "gpu0_core_temp_avg"))
    for table in tables:
        normal = (table.label == 0) & ~np.isnan(table.values).any(axis=1)
        if table.values[normal, power].std() > 20:
            assert np.corrcoef(table.values[normal][:, [power, warmth]].T)[0, 1] > 0.8


def test_slow_sensors_often_show_no_deviation_and_coarse_values(tables):
    features = tables[0].features
    dimm = tables[0].values[:, [features.index("dimm3_temp_avg"), features.index("dimm3_temp_std")]]
    dimm = dimm[~np.isnan(dimm).any(axis=1)]
    assert (dimm[:, 1] == 0).mean() > 0.9
    assert (dimm[:, 0] == np.rint(dimm[:, 0])).mean() > 0.9


def test_extremes_enclose_the_mean():
    table = SimulatedSource("d2", 1, 300, seed=0).read_node("node-000")
    for metric in ("total_power", "p0_core3_temp", "ambient"):
        low, mean, high = (table.values[:, table.features.index(f"{metric}_{s}")] for s in ("min", "avg", "max"))
        present = ~np.isnan(mean)
        assert (low[present] <= mean[present]).all()
        assert (mean[present] <= high[present]).all()


def test_a_little_telemetry_is_missing(tables):
    incomplete = np.mean(np.concatenate([np.isnan(table.values).any(axis=1) for table in tables]))
    assert 0.001 < incomplete < 0.012
    n_lost = np.concatenate([np.isnan(table.values).sum(axis=1) for table in tables])
    assert set(n_lost[n_lost > 0]) <= {2, 54, 176, 232, 54 + 232}  # one metric; ganglia, ipmi, GPUs; a silent system
    assert (n_lost == 2).any()
    assert any((np.diff(table.time) > 900).any() for table in tables)
    assert all(len(table.time) > 0.95 * 960 for table in tables)


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_nodes", 0), ("n_nodes", 2.0), ("n_nodes", True), ("n_windows", 95), ("n_windows", "many"), ("seed", -1),
     ("kind", "d3"), ("kind", None), ("kind", ["d1"])],
)  # fmt: skip
def test_a_bad_argument_is_named_with_its_key(key, value):
    settings = {"kind": "d1", "n_nodes": 2, "n_windows": 200, "seed": 0, key: value}
    with pytest.raises(ConfigError, match=rf"datasets\.mine\.{key}.*{'d1, d2' if key == 'kind' else ''}"):
        SimulatedSource(**settings, name="mine")


@pytest.mark.parametrize("node", ["node-002", "node-0", "2", "", "node--01", "node-²"])
def test_an_unknown_node_is_refused(node):
    with pytest.raises(TelemetryError, match="node-000 to node-001"):
        SimulatedSource("d1", 2, 200, seed=0).read_node(node)
