import itertools

import numpy as np
import pytest

from ftl.data.simulation.faults import FAULTS, Fault, condition_under, draw_faults, fault_share, monitored_label
from ftl.data.simulation.features import KINDS
from ftl.data.simulation.fleet import Shutdown, draw_fleet_series, draw_rack_series
from ftl.data.simulation.load import Users, draw_load
from ftl.data.simulation.node import run_node
from ftl.data.simulation.sensors import draw_sensors, read_sensors
from ftl.data.simulation.source import SimulatedSource
from ftl.data.simulation.traits import draw_traits

N_WINDOWS = 400
INSIDE = slice(200, 300)
BUSY = Users(mix=np.array([0.2, 0.6, 0.1, 0.1, 0.0]), idle_share=0.0, unused_share=0.0, appetite=1.2)


def _fault(kind, severity=0.9, where=0.0, **more):
    """One that shows at once; the running job goes on where the fault does not kill it."""
    runs_on = 100 if FAULTS[kind].kills < 0.8 and kind != "batch_client_dead" else 0
    return Fault(kind, INSIDE.start, INSIDE.stop, severity, where, rise=1, **{"runs_on": runs_on, **more})


def _run(*faults, shutdowns=()):
    """Channels and readings (by name) of one busy node with these faults; without them all else is equal."""
    traits = draw_traits(np.random.default_rng(1), slot=9, special=False)
    fleet = draw_fleet_series(KINDS["d2"], N_WINDOWS, np.random.default_rng(3))
    rack = draw_rack_series(np.random.default_rng(2), fleet)
    load = draw_load(np.random.default_rng(4), BUSY, fleet.demand, ())
    condition = condition_under(faults, shutdowns, N_WINDOWS)
    channels, swings = run_node(traits, load, condition, fleet, rack, np.random.default_rng(5))
    sensors = draw_sensors(np.random.default_rng(7), traits)
    values = read_sensors(KINDS["d2"].statistics, sensors, channels, swings, faults, seed=8)
    return channels, dict(zip(KINDS["d2"].features, values.T, strict=True))


HEALTHY, HEALTHY_READINGS = _run()

SIGNATURES = {  # kind of fault -> channel, and how its mean inside the fault compares to that of the healthy node
    "node_down": [("total_power", 0.0, 0.15), ("fan0_0", 0.0, 0.01), ("inlet", 0.85, 1.05)],
    "os_unreachable": [("total_power", 0.3, 0.8), ("fan0_0", 0.6, 1.0)],
    "batch_client_dead": [("total_power", 0.3, 0.8), ("cpu_user", 0.0, 0.05), ("proc_total", 0.0, 0.99)],
    "gpu_failure": [("gpu0_power_usage", 0.0, 0.25), ("gpu0_temp", 0.0, 0.95), ("total_power", 0.6, 0.95)],
    "cooling": [("fan0_0", 0.0, 0.01), ("fan1_0", 1.05, 2.0), ("p0_temp", 1.1, 2.0), ("gpu0_temp", 1.1, 2.0)],
    "power_supply": [("ps0_input_power", 0.0, 0.01), ("ps1_input_power", 1.7, 2.3), ("ps0_output_volta", 0.0, 0.01)],
    "memory_short": [("mem_total", 0.2, 0.8), ("total_power", 0.3, 0.8)],
    "filesystem_hang": [("cpu_wio", 5.0, 1e3), ("load_one", 1.1, 1e3), ("cpu_user", 0.0, 0.5)],
    "network": [("bytes_in", 0.0, 0.15), ("pkts_out", 0.0, 0.15), ("gpu0_gpu_utilization", 0.0, 0.8)],
    "stuck_sensors": [("total_power", 1.0, 1.0)],
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_leaves_its_signature(kind):
    channels, _ = _run(_fault(kind))
    for channel, least, most in SIGNATURES[kind]:
        ratio = channels[channel][INSIDE].mean() / HEALTHY[channel][INSIDE].mean()
        assert least <= ratio <= most, f"{channel}: {ratio}"


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_without_warning_does_nothing_before_it_begins(kind):
    channels, _ = _run(_fault(kind))
    for name, series in channels.items():
        if "cumulative" in name or name == "boottime":
            continue
        np.testing.assert_array_equal(series[: INSIDE.start], HEALTHY[name][: INSIDE.start], err_msg=name)


def test_the_jobs_of_a_node_may_fail_before_its_fault_is_seen():
    warned, sudden = (condition_under([_fault("gpu_failure", lead=lead)], (), N_WINDOWS) for lead in (10, 0))
    assert (warned.running[190:300] == 0).all()
    assert (warned.running[:190] == 1).all()
    assert (sudden.running[:200] == 1).all()


def test_a_node_that_is_drained_finishes_its_job_and_takes_no_other():
    running = condition_under([_fault("power_supply", runs_on=12)], (), N_WINDOWS).running
    assert (running[200:212] == 1).all()
    assert (running[212:300] == 0).all()
    assert (running[300:] == 1).all()


def test_maintenance_empties_a_node_switches_it_off_and_starts_it_again():
    condition = condition_under((), [Shutdown(100, 108, 120, 130, dark=True)], N_WINDOWS)
    assert np.flatnonzero(condition.running == 0).tolist() == list(range(100, 130))
    assert np.flatnonzero(condition.powered == 0).tolist() == list(range(108, 120))
    assert np.flatnonzero(condition.bmc_silent).tolist() == list(range(108, 120))
    assert np.flatnonzero(condition.os_silent).tolist() == list(range(108, 130))
    assert np.flatnonzero(condition.rebooted).tolist() == [120]


def test_a_node_starts_cold_after_maintenance():
    _, readings = _run(shutdowns=[Shutdown(150, 160, 200, 204, dark=False)])
    assert readings["ps0_input_power_avg"][165:195].max() < 40
    assert readings["total_power_avg"][200:203].mean() == pytest.approx(400, abs=50)
    assert readings["mem_cached_avg"][201] < 0.5 * HEALTHY_READINGS["mem_cached_avg"][201]
    assert readings["boottime_avg"][210] > HEALTHY_READINGS["boottime_avg"][210]


def test_stuck_sensors_repeat_their_last_reading_and_others_go_on():
    _, readings = _run(_fault("stuck_sensors", severity=0.5, where=0.4))
    stuck = [name for name, series in readings.items() if name.endswith("_avg") and np.ptp(series[INSIDE]) == 0]
    moving_before = [name for name in stuck if np.ptp(HEALTHY_READINGS[name][INSIDE]) > 0]
    assert 3 <= len(moving_before) < 40
    assert all((readings[name.replace("_avg", "_std")][INSIDE] == 0).all() for name in moving_before)


@pytest.mark.parametrize("kind", ["gpu_failure", "cooling", "power_supply", "filesystem_hang", "network"])
def test_a_mild_fault_is_harder_to_see_than_a_severe_one(kind):
    changes = []
    for severity in (0.3, 0.95):
        channels, _ = _run(_fault(kind, severity))
        changes.append([np.abs(channels[name][INSIDE] - HEALTHY[name][INSIDE]).mean() for name, *_ in SIGNATURES[kind]])
    assert np.all(np.array(changes[0]) <= np.array(changes[1]))
    assert changes[0] != changes[1]


def test_all_kinds_of_faults_occur_in_a_fleet():
    source = SimulatedSource("d1", 100, 17280, seed=0)
    assert {fault.kind for node in source.node_ids() for fault in source.faults_of(node)} == set(FAULTS)


def test_faults_fill_their_share_in_the_long_run_and_lie_in_order_inside_the_period():
    filled = []
    for seed in range(400):
        faults = draw_faults(np.random.default_rng(seed), 28_800, share=0.03)
        filled.append(sum(fault.stop - fault.start for fault in faults))
        assert all(0 <= fault.start < fault.stop <= 28_800 for fault in faults)
        assert all(before.start <= after.start for before, after in itertools.pairwise(faults))
    assert np.mean(filled) / 28_800 == pytest.approx(0.03, rel=0.15)


def test_faults_of_a_short_period_are_as_rare_as_those_of_a_long_one():
    short = [len(draw_faults(np.random.default_rng(seed), 96, share=0.01)) for seed in range(4000)]
    long = [len(draw_faults(np.random.default_rng(seed), 9600, share=0.01)) for seed in range(200)]
    assert 100 * np.mean(short) == pytest.approx(np.mean(long), rel=0.2)


def test_half_of_the_faults_last_under_six_hours_and_some_last_for_days():
    pools = [draw_faults(np.random.default_rng(seed), 28_800, share=0.03) for seed in range(60)]
    hours = np.array([(fault.stop - fault.start) / 4 for faults in pools for fault in faults])
    assert 3 < np.median(hours) < 6
    assert 48 < np.quantile(hours, 0.99) < 240


def test_few_nodes_have_most_of_the_faults():
    factors = np.random.default_rng(0).standard_normal(49)
    shares = np.array([fault_share(0, "d2", KINDS["d2"], i, factors[i // 20], special=False) for i in range(980)])
    assert shares.mean() == pytest.approx(KINDS["d2"].fault_share, rel=0.15)
    assert np.sort(shares)[-49:].sum() > 0.2 * shares.sum()
    assert np.median(shares) < 0.7 * shares.mean()
    assert fault_share(0, "d2", KINDS["d2"], 3, 0.0, special=True) > 0.1


def test_labels_follow_faults_and_maintenance_with_little_delay_and_noise():
    fault, stop = Fault("cooling", 1000, 1100, 0.9, 0.0, 1), Shutdown(1500, 1505, 1520, 1530, dark=False)
    labels = np.stack([monitored_label((fault,), (stop,), 2000, np.random.default_rng(seed)) for seed in range(50)])
    assert labels[:, 1002:1100].mean() == pytest.approx(0.98, abs=0.015)
    assert labels[:, 1502:1530].mean() == pytest.approx(0.98, abs=0.015)
    assert 0.2 < labels[:, 1000].mean() < 0.5
    assert labels[:, 1102:1500].mean() < 0.002
