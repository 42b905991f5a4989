import pickle

import numpy as np
import pytest

from ftl.data.node_table import SPLIT_TEST, SPLIT_TRAIN
from ftl.data.simulation.features import KINDS, METRICS
from ftl.data.simulation.source import SimulatedSource
from ftl.errors import ConfigError, TelemetryError


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


@pytest.mark.parametrize(("kind", "low", "high"), [("d1", 0.02, 0.045), ("d2", 0.012, 0.03)])
def test_the_fleets_anomaly_rate_lies_in_its_band_and_that_of_nodes_differs_widely(kind, low, high):
    source = SimulatedSource(kind, 60, 34_560, seed=0, nodes_per_rack=5)
    labels = np.stack([source.labels_of(node) for node in source.node_ids()])
    assert low < (labels == 1).sum() / (labels >= 0).sum() < high
    by_node = (labels == 1).mean(axis=1)
    assert by_node.min() > 0.003
    assert by_node.max() > 3 * by_node.min()


@pytest.mark.parametrize("kind", KINDS)
def test_maintenance_is_labelled_on_all_nodes(kind):
    source = SimulatedSource(kind, 6, 28_800, seed=1, nodes_per_rack=3)
    labels = np.stack([source.labels_of(node) for node in source.node_ids()])
    stops = source.fleet_series.maintenance
    inside = np.concatenate([labels[:, stop.start + 2 : stop.stop] for stop in stops], axis=1)
    assert len(stops) > 3
    assert (inside[inside >= 0] == 1).mean() > 0.95


def test_unknown_labels_are_common_to_all_nodes():
    source = SimulatedSource("d2", 3, 2880, seed=0)
    unknown = np.stack([source.labels_of(node) == -1 for node in source.node_ids()])
    assert (unknown == unknown[0]).all()
    assert 0 < unknown.mean() < 0.4


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


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_read_alone_are_those_of_the_whole_table(kind):
    source = SimulatedSource(kind, 3, 500, seed=4)
    whole, part = source.read_node("node-002"), source.read_metrics("node-002", ["total_power", "p1_core3_temp"])
    assert part.features == ("total_power_avg", "p1_core3_temp_avg")
    columns = [whole.features.index(feature) for feature in part.features]
    assert part.values.tobytes() == whole.values[:, columns].tobytes()
    assert part.time.tobytes() == whole.time.tobytes()
    assert part.label.tobytes() == whole.label.tobytes()


def test_an_unknown_metric_is_refused():
    with pytest.raises(TelemetryError, match="no metric 'gpu2_core_temp'.*total_power"):
        SimulatedSource("d1", 1, 96, seed=0).read_metrics("node-000", ["gpu2_core_temp"])


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


def test_a_small_fleet_spans_several_racks_where_it_is_told_to():
    source = SimulatedSource("d1", 20, 96, seed=0, nodes_per_rack=5)
    assert len({source.rack_of(node) for node in source.node_ids()}) == 4
    assert [source.slot_of(node) for node in source.node_ids()[:5]] == [2, 6, 10, 14, 18]
    full = SimulatedSource("d1", 20, 96, seed=0)
    assert {full.rack_of(node) for node in full.node_ids()} == {"rack-00"}
    assert source.fingerprint() != full.fingerprint()
    assert source.window_seconds() == 900.0
    assert source.time_unit == "seconds"
    assert source.origin == "simulated"


@pytest.mark.parametrize("seed", range(12))
def test_a_period_of_one_day_works(seed):
    table = SimulatedSource("d2", 1, 96, seed=seed).read_node("node-000")
    assert 0 < len(table.time) <= 96
    assert np.isfinite(table.values).any()


def test_a_source_that_went_through_a_pickle_reads_the_same():
    source = SimulatedSource("d1", 2, 200, seed=0)
    before = source.read_metrics("node-001", ["ambient"])
    again = pickle.loads(pickle.dumps(source)).read_metrics("node-001", ["ambient"])
    assert again.values.tobytes() == before.values.tobytes()


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


def test_rows_are_absent_for_all_nodes_at_once():
    source = SimulatedSource("d2", 3, 2880, seed=1, nodes_per_rack=1)
    times = [source.read_metrics(node, ["ambient"]).time for node in source.node_ids()]
    assert all(np.array_equal(time, times[0]) for time in times)
    assert 0.7 * 2880 < len(times[0]) < 2880


def test_most_anomalous_windows_are_incomplete_and_few_normal_ones():
    source = SimulatedSource("d2", 40, 9600, seed=0, nodes_per_rack=5)
    reporters = {metric.reporter: metric.name for metric in METRICS}
    tables = [source.read_metrics(node, list(reporters.values())) for node in source.node_ids()]
    incomplete = np.concatenate([np.isnan(table.values).any(axis=1) for table in tables])
    label = np.concatenate([table.label for table in tables])
    assert 0.7 < incomplete[label == 1].mean() < 0.98
    assert incomplete[label == 0].mean() < 0.08


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_nodes", 0), ("n_nodes", 2.0), ("n_nodes", True), ("n_windows", 95), ("n_windows", "many"), ("seed", -1),
     ("nodes_per_rack", 0), ("nodes_per_rack", 21),
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


def test_a_published_split_cuts_at_one_time_for_all_nodes() -> None:
    source = SimulatedSource("d1", n_nodes=2, n_windows=480, seed=1, n_train_windows=192)
    tables = [source.read_node(node_id) for node_id in source.node_ids()]
    cut = {int(table.time[table.split == SPLIT_TRAIN].max()) for table in tables}
    first = {int(table.time[table.split == SPLIT_TEST].min()) for table in tables}
    assert max(cut) < min(first)
    assert all((table.split == SPLIT_TRAIN).sum() <= 192 for table in tables)
    without = SimulatedSource("d1", n_nodes=2, n_windows=480, seed=1)
    np.testing.assert_array_equal(tables[0].values, without.read_node("node-000").values)
    assert without.fingerprint() != source.fingerprint()
    with pytest.raises(ConfigError, match=r"n_train_windows must be in \[1, 479\]; got 480"):
        SimulatedSource("d1", n_nodes=2, n_windows=480, seed=1, n_train_windows=480)
