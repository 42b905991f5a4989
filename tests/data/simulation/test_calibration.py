"""The statistics are what they say, the bands are those of the recordings, and the simulated machine lies inside them.

The recordings lie outside the repository, at ../shared/data; without them the bands are taken as they stand.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.data.simulation import calibration, measurement, window_statistics
from ftl.data.simulation.calibration import NodeDays
from ftl.data.simulation.reference import measure, reference, unit_of
from ftl.data.simulation.source import SimulatedSource

RECORDINGS = Path(__file__).resolve().parents[3].parent / "shared" / "data"
STATISTICS = list(reference().index)


@pytest.fixture(scope="module")
def simulated():
    return measurement.calibration_table(measurement.measure_simulator("d2", seed=0).statistics)


@pytest.mark.slow
@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_simulated_machine_lies_inside_the_band_of(statistic, simulated):
    row = simulated.loc[statistic]
    assert row["inside"], f"{row['simulated']:.4g} outside {row['low']:.4g} to {row['high']:.4g} {row['unit']}"


@pytest.mark.slow
@pytest.mark.skipif(not (RECORDINGS / "m100_daily").exists(), reason="the recordings are not at ../shared/data")
def test_the_bands_are_those_of_the_recordings():
    pd.testing.assert_frame_equal(measure(RECORDINGS), reference(), rtol=1e-3, atol=2e-4)


def test_every_band_holds_its_real_value_and_has_a_rule_and_a_source():
    bands = reference()
    assert (bands["low"] <= bands["real"]).all()
    assert (bands["real"] <= bands["high"]).all()
    assert (bands["low"] < bands["high"]).all()
    assert bands[["unit", "rule", "source"]].notna().all(axis=None)
    assert bands.index.is_unique


def days_of(power, **others):
    n_nodes, n_days = power.shape
    nodes, nothing = np.arange(n_nodes), np.full(power.shape, np.nan)
    given = {"ambient": nothing, "cpu_power": nothing, "cpu_user": nothing, "rebooted": nothing, "power_max": nothing}
    whole = np.ones((n_nodes, n_days))
    return NodeDays(rack=nodes // 20, slot=nodes % 20, coverage=whole, power=power, **given | others)


def test_the_split_finds_the_spreads_that_values_are_made_of():
    rng = np.random.default_rng(0)
    rack, node, day = rng.normal(0, 30, 50), rng.normal(0, 40, 1000), rng.normal(0, 50, 400)
    node += np.repeat(rack, 20)
    values = 600 + node[:, None] + day + rng.normal(0, 100, (1000, 400))
    split = calibration.variance_split(values, np.arange(1000) // 20)
    assert split["node_sd"] == pytest.approx(50, rel=0.1)
    assert split["day_sd"] == pytest.approx(50, rel=0.1)
    assert split["residual_sd"] == pytest.approx(100, rel=0.02)
    assert split["rack_share"] == pytest.approx(900 / 2500, abs=0.12)


def test_the_residual_autocorrelation_ignores_nodes_days_and_gaps():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(300, 200))
    for day in range(1, 200):
        noise[:, day] = 0.6 * noise[:, day - 1] + 0.8 * noise[:, day]
    values = noise + rng.normal(0, 5, 300)[:, None] + rng.normal(0, 5, 200)
    values[:, 50:60] = np.nan
    assert calibration.residual_autocorrelation(values, 1) == pytest.approx(0.6, abs=0.03)
    assert calibration.residual_autocorrelation(values, 2) == pytest.approx(0.36, abs=0.03)


def test_special_nodes_do_not_count():
    power = np.full((40, 30), 700.0) + np.arange(40)[:, None]
    power[0] = 380
    power[1, :10] = 380
    statistics = calibration.power_statistics(days_of(power))
    assert statistics["power.idle_days"] == pytest.approx(10 / (39 * 30))
    assert statistics["power.node_mean.p5"] > 600


def test_inlet_air_warms_from_slot_to_slot_whatever_the_rack():
    rng = np.random.default_rng(2)
    nodes = np.arange(60)
    ambient = 20 + 0.25 * (nodes % 20)[:, None] + 3 * (nodes // 20)[:, None] + rng.normal(0, 0.1, (60, 40))
    days = days_of(np.full((60, 40), 700.0), ambient=ambient)
    assert calibration.ambient_statistics(days)["ambient.per_slot"] == pytest.approx(0.25, abs=0.01)


def test_an_outage_goes_on_over_days_on_which_the_whole_fleet_is_lost():
    coverage = np.ones((100, 50))
    coverage[7, 10:13] = 0
    coverage[:, 11] = 0
    coverage[8, 30], coverage[9, 40], coverage[10, 41] = 0.4, 0.9, 0.98
    coverage[:60, 45] = 0.97
    statistics = calibration.coverage_statistics(coverage)
    n_days = 100 * 49
    assert statistics["outages.per_1000_node_days"] == pytest.approx(1000 * 2 / n_days)
    assert statistics["outages.one_day"] == 0.5
    assert statistics["outages.days.median"] == 1.5
    assert statistics["coverage.lose_1_percent"] == pytest.approx(65 / n_days)
    assert statistics["coverage.lost_together"] == pytest.approx(60 / 65)
    assert statistics["coverage.lose_5_percent"] == pytest.approx(4 / n_days)
    assert statistics["coverage.lose_25_percent"] == pytest.approx(3 / n_days)


def test_a_reboot_is_a_later_boot_time_and_maintenance_is_set_aside():
    boot = np.zeros((10, 8))
    boot[:, 3:] += 1e5
    boot[0, 5:] += 1e5
    boot[1, 6:] += 60  # the clock jitters
    boot[2, 4] = np.nan
    statistics = calibration.reboot_statistics(calibration.reboot_days(boot))
    n_known = 10 * 6 - 1  # no day before the first, maintenance on day 3, one unknown
    assert statistics["reboots.per_100_node_days"] == pytest.approx(100 / n_known)
    assert statistics["reboots.fleet_days_per_year"] == pytest.approx(365 / 7)


def test_anomaly_rates_are_shares_of_labelled_windows_and_short_nodes_are_left_out():
    labels = pd.DataFrame({"node": range(41), "rows": 5000, "unknown_rows": 1000, "anomalous_rows": 40})
    labels.loc[40] = [40, 80, 0, 80]
    labels.loc[0, "anomalous_rows"] = 440
    statistics = calibration.label_statistics(labels)
    assert statistics["labels.rate.median"] == pytest.approx(0.01)
    assert statistics["labels.held_by_top_5_percent"] == pytest.approx(480 / 2000)
    assert statistics["labels.unknown"] == pytest.approx(0.2)


def test_sensors_of_one_kind_are_averaged_and_absent_cores_do_not_count():
    names = {p for p in window_statistics.REST_AND_LOAD.values() if "*" not in p} | {"ambient"}
    windows = pd.DataFrame({f"{name}_avg": [1.0, 2.0] for name in names})
    windows["p0_core3_temp_avg"], windows["p0_core17_temp_avg"] = [40.0, np.nan], [50.0, 60.0]
    windows["dimm0_temp_avg"], windows["dimm5_temp_avg"] = 30.0, 32.0
    found = window_statistics.channels(windows.assign(node=3))
    assert found["p0_core_temp"].tolist() == [45, 60]
    assert found["p0_one_core_temp"].tolist() == [40, 60]
    assert found["dimm_temp"].tolist() == [31, 31]
    assert found["node"].tolist() == [3, 3]


def test_rest_and_load_are_weighted_eight_to_one_whatever_their_number():
    rng = np.random.default_rng(3)
    at_load = np.repeat([False, True], [400, 400])
    power = np.where(at_load, 1400, 400) + rng.normal(0, 10, 800)
    windows = pd.DataFrame(dict.fromkeys([*window_statistics.REST_AND_LOAD, "ambient"], power))
    windows["fan0_0"] = np.where(at_load, 6000, 4000) + rng.normal(0, 1000, 800)
    statistics = window_statistics.rest_and_load_statistics(windows.assign(rack=0, day=0))
    assert statistics["rest.total_power"] == pytest.approx(400, rel=0.01)
    assert statistics["load_to_rest.total_power"] == pytest.approx(3.5, rel=0.01)
    between = (8 / 9) * (1 / 9) * 2000**2
    expected = np.sqrt(between / (between + 1000**2))
    assert statistics["together.total_power.fan0_0"] == pytest.approx(expected, abs=0.05)


def test_the_days_of_the_simulator_are_the_means_of_its_windows():
    source = SimulatedSource("d2", 2, 96 * 4, seed=3)
    days, windows = measurement.read_days_and_windows(source)
    table = source.read_node("node-001")
    column = table.values[:, table.features.index("total_power_avg")]
    day = (table.time - source.fleet_series.time[0]) // 86_400
    expected = pd.Series(column).groupby(day).mean()
    counts = pd.Series(column).groupby(day).count()
    for d in range(4):
        if counts.get(d, 0) >= 48:
            assert days.power[1, d] == pytest.approx(expected[d], rel=1e-5)
            assert days.coverage[1, d] == counts[d] / 96
    assert set(windows["node"]) == {1}
    np.testing.assert_array_equal(measurement.read_coverage(source), days.coverage)


def test_label_counts_are_those_of_the_labels():
    source = SimulatedSource("d2", 2, 96 * 60, seed=4)
    counts, hours = measurement.read_labels(source)
    labels = [source.labels_of(node) for node in source.node_ids()]
    assert counts["anomalous_rows"].tolist() == [int((label == 1).sum()) for label in labels]
    assert counts["unknown_rows"].tolist() == [int((label == -1).sum()) for label in labels]
    assert hours.sum() * 4 == counts["anomalous_rows"].sum()


def test_every_statistic_of_the_reference_has_a_unit():
    assert all(unit_of(name) for name in STATISTICS)
    assert unit_of("power.node_mean.p5") == "W"
    assert unit_of("ambient.per_slot") == "degC per slot"


def test_a_part_of_the_machine_keeps_its_own_nodes_and_days():
    power = np.arange(12.0).reshape(3, 4)
    part = days_of(power).take(np.array([2]), slice(1, 3))
    assert part.power.tolist() == [[9, 10]]
    assert part.rack.tolist() == [0]
    assert part.slot.tolist() == [2]
