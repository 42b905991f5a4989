import dataclasses
import itertools

import numpy as np
import pytest

from ftl.data.simulation.faults import FAULT_EFFECTS, Condition, Fault, condition_under, draw_faults, monitored_label
from ftl.data.simulation.features import KINDS
from ftl.data.simulation.load import draw_fleet_series, draw_load
from ftl.data.simulation.node import draw_traits, run_node
from ftl.data.simulation.sensors import draw_sensors, read_sensors
from ftl.data.simulation.source import SimulatedSource

N_WINDOWS = 400
INSIDE = slice(200, 300)


def _fault(kind, severity=0.9, where=0.0):
    return Fault(kind, INSIDE.start, INSIDE.stop, severity, where, rise=1)


def _run(*faults):
    """Channels and readings (by name) of one busy node with these faults; without them all else is equal."""
    traits = draw_traits(np.random.default_rng(1), np.random.default_rng(2), 0)
    fleet = draw_fleet_series(KINDS["d2"], N_WINDOWS, np.random.default_rng(3))
    load = draw_load(np.random.default_rng(4), np.array([0.1, 0.2, 0.6, 0.1]), 0.05, fleet.demand)
    condition = condition_under(faults, N_WINDOWS, np.random.default_rng(6))
    channels, swings = run_node(traits, load, condition, fleet, np.random.default_rng(5))
    sensors = draw_sensors(np.random.default_rng(7), traits)
    values = read_sensors(KINDS["d2"], sensors, channels, swings, faults, np.random.default_rng(8))
    return channels, dict(zip(KINDS["d2"].features, values.T, strict=True))


HEALTHY, HEALTHY_READINGS = _run()

SIGNATURES = {  # kind of fault -> channel, and how its mean inside the fault compares to that of the healthy node
    "batch_client_dead": [("total_power", 0.0, 0.8), ("cpu_user", 0.0, 0.05), ("proc_total", 0.0, 0.99)],
    "gpu_failure": [("gpu0_power_usage", 0.0, 0.25), ("gpu0_temp", 0.0, 0.95), ("total_power", 0.0, 0.9)],
    "cooling": [("fan0_0", 0.0, 0.01), ("fan1_0", 1.05, 2.0), ("p0_temp", 1.1, 2.0), ("gpu0_temp", 1.1, 2.0)],
    "power_supply": [("ps0_input_power", 0.0, 0.01), ("ps1_input_power", 1.7, 2.3), ("ps0_output_volta", 0.0, 0.01)],
    "memory_leak": [("mem_free", 0.0, 0.8), ("cpu_wio", 1.5, 1e3)],
    "filesystem_hang": [("cpu_wio", 5.0, 1e3), ("load_one", 1.2, 1e3), ("cpu_user", 0.0, 0.5)],
    "network": [("bytes_in", 0.0, 0.15), ("pkts_out", 0.0, 0.15), ("gpu0_gpu_utilization", 0.0, 0.8)],
    "stuck_sensors": [("total_power", 1.0, 1.0)],
}


@pytest.mark.parametrize("kind", FAULT_EFFECTS)
def test_a_fault_leaves_its_signature(kind):
    channels, _ = _run(_fault(kind))
    for channel, least, most in SIGNATURES[kind]:
        ratio = channels[channel][INSIDE].mean() / HEALTHY[channel][INSIDE].mean()
        assert least <= ratio <= most, f"{channel}: {ratio}"


@pytest.mark.parametrize("kind", FAULT_EFFECTS)
def test_a_fault_does_nothing_before_it_begins(kind):
    channels, _ = _run(_fault(kind))
    for name, series in channels.items():
        if "cumulative" in name or name == "boottime":
            continue
        np.testing.assert_array_equal(series[: INSIDE.start], HEALTHY[name][: INSIDE.start], err_msg=name)


def test_stuck_sensors_repeat_their_last_reading_and_others_go_on():
    _, readings = _run(_fault("stuck_sensors", severity=0.5, where=0.4))
    stuck = [name for name, series in readings.items() if name.endswith("_avg") and np.ptp(series[INSIDE]) == 0]
    moving_before = [name for name in stuck if np.ptp(HEALTHY_READINGS[name][INSIDE]) > 0]
    assert 3 <= len(moving_before) < 40
    assert all((readings[name.replace("_avg", "_std")][INSIDE] == 0).all() for name in moving_before)


@pytest.mark.parametrize("kind", set(FAULT_EFFECTS) - {"stuck_sensors"})
def test_a_mild_fault_is_harder_to_see_than_a_severe_one(kind):
    changes = []
    for severity in (0.3, 0.95):
        channels, _ = _run(_fault(kind, severity))
        changes.append([np.abs(channels[name][INSIDE] - HEALTHY[name][INSIDE]).mean() for name, *_ in SIGNATURES[kind]])
    assert np.all(np.array(changes[0]) <= np.array(changes[1]))
    assert changes[0] != changes[1]


def test_a_healthy_condition_is_not_shared_between_nodes():
    first, second = Condition.healthy(5), Condition.healthy(5)
    first.running[:] = 0
    assert (second.running == 1).all()
    assert all(len(getattr(first, field.name)) == 5 for field in dataclasses.fields(first))


def test_all_kinds_of_faults_occur_in_a_fleet():
    source = SimulatedSource("d1", 20, 2880, seed=0)
    assert {fault.kind for node in source.node_ids() for fault in source.faults_of(node)} == set(FAULT_EFFECTS)


def test_faults_fill_the_share_they_are_given_and_lie_in_order_inside_the_period():
    for seed in range(30):
        faults = draw_faults(np.random.default_rng(seed), 2880, rate=0.03, hours=2.5)
        assert sum(fault.stop - fault.start for fault in faults) == pytest.approx(0.03 * 2880, abs=8)
        assert all(0 <= fault.start < fault.stop <= 2880 for fault in faults)
        assert all(before.start <= after.start for before, after in itertools.pairwise(faults))


def test_fault_durations_are_hours_with_a_long_tail():
    pools = [draw_faults(np.random.default_rng(seed), 9600, rate=0.03, hours=2.5) for seed in range(40)]
    hours = np.array([(fault.stop - fault.start) / 4 for faults in pools for fault in faults])
    assert 1.8 < np.median(hours) < 3.3
    assert np.quantile(hours, 0.98) > 10


def test_a_short_period_is_not_filled_with_more_faults_than_its_rate():
    shares = [len(draw_faults(np.random.default_rng(seed), 96, rate=0.005, hours=2.5)) for seed in range(300)]
    assert 2 * np.mean(shares) == pytest.approx(0.005 * 96, rel=0.35)


def test_labels_follow_faults_with_little_delay_and_noise():
    fault = Fault("cooling", 1000, 1100, 0.9, 0.0, 1)
    labels = np.stack([monitored_label((fault,), 2000, np.random.default_rng(seed)) for seed in range(50)])
    assert labels[:, 1002:1100].mean() == pytest.approx(0.96, abs=0.02)
    assert 0.2 < labels[:, 1000].mean() < 0.5
    assert labels[:, 1102:].mean() < 0.002
