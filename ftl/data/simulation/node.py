"""One node: what it is made of, and how jobs, room and faults become power, heat, fan speed, memory and traffic.

Sizes follow the published idle and busy readings of Marconi100 (idle 400 W, busy 1400 W; CPU cores 38 to 46 degC, GPUs
34 to 64 degC, fans 4300 to 6300 RPM). They are first estimates, not a fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from ftl.data.simulation.faults import Condition
from ftl.data.simulation.features import N_CORE_SLOTS, N_GPUS
from ftl.data.simulation.load import JOB_KINDS, WINDOW_SECONDS, WINDOWS_PER_DAY, FleetSeries, Load, slow_noise

NODES_PER_RACK = 5  # every fourth slot of a rack of 20, so that a small fleet spans several racks
MEMORY_KB = 329_871_872.0
GPU_MEMORY_MB = 16_160.0

Series = dict[str, np.ndarray]  # channel -> (T,)


@dataclass(frozen=True)
class Traits:
    """What makes this node unlike the others."""

    inlet_offset: float  # degC: rack, height in the rack, place
    cooling_sensitivity: float  # how strongly the room's regimes reach it
    cpu_power: np.ndarray  # (2,) power relative to a typical socket
    gpu_power: np.ndarray  # (4,)
    cpu_resistance: np.ndarray  # (2,) thermal resistance relative to a typical socket
    gpu_resistance: np.ndarray  # (4,)
    fan_floor: float  # RPM
    fan_gain: float  # steepness of the fan curve
    fan_offset: np.ndarray  # (4, 2) RPM
    supply_share: float  # share of the power that ps0 carries
    cores: np.ndarray  # (2, 16) which of 24 core sensors report, ascending
    job_mix: np.ndarray  # (4,) shares of JOB_KINDS
    idle_share: float
    socket_balance: float  # how unevenly jobs fill the two sockets
    chatter: float  # network traffic relative to a typical node


def draw_traits(rng: np.random.Generator, rack_rng: np.random.Generator, index: int) -> Traits:
    """Draw a node's hardware, place and users. Nodes of a rack share a part of their climate and of their users."""
    slot = 4 * (index % NODES_PER_RACK) + 1.5
    rack_climate = rack_rng.normal(0, 1.0)
    rack_mix = rack_rng.dirichlet(np.full(len(JOB_KINDS), 2.0))
    mostly_idle = rng.random() < 0.1
    pairs = np.sort(np.argsort(rng.random((2, 12)), axis=1)[:, : N_CORE_SLOTS // 2], axis=1)
    return Traits(
        inlet_offset=rack_climate + 0.29 * (slot - 9.5) + rng.normal(0, 0.5),
        cooling_sensitivity=rng.uniform(0.6, 1.4),
        cpu_power=rng.normal(1, 0.08, 2),
        gpu_power=rng.normal(1, 0.06, N_GPUS),
        cpu_resistance=rng.normal(1, 0.1, 2),
        gpu_resistance=rng.normal(1, 0.08, N_GPUS),
        fan_floor=rng.normal(4250, 150),
        fan_gain=rng.uniform(0.7, 1.4),
        fan_offset=rng.normal(0, 150, (4, 1)) + np.array([0.0, 345.0]),
        supply_share=0.48 + rng.normal(0, 0.02),
        cores=np.stack([2 * pairs, 2 * pairs + 1], axis=2).reshape(2, N_CORE_SLOTS),
        job_mix=0.4 * rack_mix + 0.6 * rng.dirichlet(np.full(len(JOB_KINDS), 0.7)),
        idle_share=rng.uniform(0.6, 0.85) if mostly_idle else rng.uniform(0.05, 0.25),
        socket_balance=rng.uniform(-0.12, 0.12),
        chatter=float(np.exp(rng.normal(0, 0.4))),
    )


def run_node(
    traits: Traits, load: Load, condition: Condition, fleet: FleetSeries, rng: np.random.Generator
) -> tuple[Series, Series]:
    """The state of one node.

    Returns:
        Channels, the mean of each quantity over each window, (T,); and swings, the standard deviation of the quantity
        itself inside the window, (T,), for those channels that move within one.
    """
    n_windows = len(fleet.time)
    noise = slow_noise(rng, n_windows, timescale=4, spread=0.15)
    inlet = 21.8 + traits.inlet_offset + traits.cooling_sensitivity * fleet.cooling + condition.recirculation + noise
    channels: Series = {"inlet": inlet, "zero": np.zeros(n_windows, dtype=np.float32)}
    swings: Series = {}
    cpu = load.cpu * condition.running
    gpu = load.gpu * (condition.running[:, None] * condition.gpu_alive)
    gpu_swing = load.gpu_swing * (condition.running[:, None] * condition.gpu_alive)
    since_boot = _windows_since_boot(condition, rng)
    mains = 228 + slow_noise(rng, n_windows, timescale=40, spread=1.0)
    _power_and_heat(channels, swings, traits, load, condition, cpu, gpu, gpu_swing, mains)
    _accelerators(channels, swings, condition, gpu, gpu_swing, since_boot, rng)
    _operating_system(channels, swings, traits, load, condition, cpu, rng)
    channels["boottime"] = fleet.time - WINDOW_SECONDS * since_boot
    return channels, swings


def _power_and_heat(
    channels: Series, swings: Series, traits: Traits, load: Load, condition: Condition, cpu: np.ndarray,
    gpu: np.ndarray, gpu_swing: np.ndarray, mains: np.ndarray,
) -> None:  # fmt: skip
    """The chain of ipmi: load -> power -> temperature -> fans -> supplies."""
    inlet, running = channels["inlet"], condition.running
    cpu_swing = load.cpu_swing * running
    gpu_power = _gpu_power(traits, condition, gpu)  # (T, 4)
    gpu_power_swing = 235 * traits.gpu_power * gpu_swing

    warmest = (inlet[:, None] + 0.16 * gpu_power).max(axis=1)
    command = np.clip(traits.fan_gain * (warmest - 38) / 45 + 0.015 * (inlet - 22), 0, 1)
    command = lfilter([0.7], [1.0, -0.3], command)
    rpm = (traits.fan_floor + 5000 * command)[:, None] * condition.fan  # (T, 4)
    rpm += np.where(condition.fan < 1, 0, 900 * (1 - condition.fan.min(axis=1))[:, None])  # the others speed up
    airflow = rpm.mean(axis=1) / 4300
    for fan in range(4):
        for rotor in range(2):
            offset = np.minimum(1, rpm[:, fan] / 1000) * traits.fan_offset[fan, rotor]  # a fan that stands reads 0
            channels[f"fan{fan}_{rotor}"] = rpm[:, fan] + offset
    channels["fan_disk_power"] = 4 + 28 * ((rpm / 4300) ** 2.3).mean(axis=1)
    for gpu_number in range(N_GPUS):
        power, resistance = gpu_power[:, gpu_number], 0.175 * traits.gpu_resistance[gpu_number] * condition.resistance
        rise = 4.7 + resistance * airflow**-0.5 * power
        channels[f"gpu{gpu_number}_temp"] = inlet + rise
        channels[f"gpu{gpu_number}_mem_temp"] = inlet + 0.93 * rise
        for name, share in (("temp", 0.03), ("mem_temp", 0.025)):
            swings[f"gpu{gpu_number}_{name}"] = share * gpu_power_swing[:, gpu_number]
        channels[f"gpu{gpu_number}_power_usage"] = power
        swings[f"gpu{gpu_number}_power_usage"] = gpu_power_swing[:, gpu_number]

    bandwidth = load.bandwidth * running
    total = gpu_power.sum(axis=1) + channels["fan_disk_power"] + 12
    variance = gpu_power_swing.sum(axis=1) ** 2
    for socket, side in enumerate((1 + traits.socket_balance, 1 - traits.socket_balance)):
        use = np.clip(cpu * side, 0, 1)
        feeding = 40 * gpu[:, 2 * socket : 2 * socket + 2].mean(axis=1) * (1 - use)  # its two GPUs keep it busy
        power = traits.cpu_power[socket] * (32 + 150 * use + feeding)
        memory = 18 + 9 * bandwidth + 4 * gpu.mean(axis=1)
        bus = 56 - 3 * socket + 6 * gpu.mean(axis=1) + 3 * load.network * running * condition.link
        heat = traits.cpu_resistance[socket] * condition.resistance * airflow**-0.3 * (power + 4)
        channels[f"p{socket}_power"], swings[f"p{socket}_power"] = power, 150 * traits.cpu_power[socket] * cpu_swing
        channels[f"p{socket}_mem_power"], swings[f"p{socket}_mem_power"] = memory, 6 * cpu_swing
        channels[f"p{socket}_io_power"] = bus
        channels[f"p{socket}_temp"], swings[f"p{socket}_temp"] = inlet + 9 + 0.19 * heat, 5 * cpu_swing
        channels[f"p{socket}_vdd"] = inlet + 5.5 + 0.1 * heat
        total = total + power + memory + bus
        variance = variance + swings[f"p{socket}_power"] ** 2
    channels["total_power"], swings["total_power"] = total, np.sqrt(variance)
    channels["dimm"] = inlet + 5.8 + 0.12 * (channels["p0_mem_power"] - 18) + 0.02 * (channels["p0_power"] - 32)
    channels["pcie"] = inlet + 14.4 + 0.0136 * condition.resistance * (total - 403)

    deliver = condition.supply * np.array([traits.supply_share, 1 - traits.supply_share], dtype=np.float32)
    deliver = deliver / deliver.sum(axis=1, keepdims=True)
    for supply in range(2):
        drawn, alive = deliver[:, supply] * total / 0.76, (condition.supply[:, supply] > 0).astype(np.float32)
        channels[f"ps{supply}_input_power"] = drawn
        swings[f"ps{supply}_input_power"] = deliver[:, supply] * swings["total_power"] / 0.76
        channels[f"ps{supply}_output_curre"] = np.maximum(0, drawn * 0.0762 - 3) * alive
        swings[f"ps{supply}_output_curre"] = 0.0762 * swings[f"ps{supply}_input_power"]
        channels[f"ps{supply}_output_volta"] = alive * (12.4 - 0.00036 * (drawn - 252))
        channels[f"ps{supply}_input_voltag"] = mains - 0.002 * (total - 600)


def _gpu_power(traits: Traits, condition: Condition, gpu: np.ndarray) -> np.ndarray:
    """(T, 4) W: 38 W at rest, some 270 W under full load, 8 W when the GPU is lost."""
    active = (38 + 235 * gpu * condition.gpu_clock**2) * traits.gpu_power
    return np.where(condition.gpu_alive > 0, active, 8.0).astype(np.float32)


def _accelerators(
    channels: Series, swings: Series, condition: Condition, gpu: np.ndarray, gpu_swing: np.ndarray,
    since_boot: np.ndarray, rng: np.random.Generator,
) -> None:  # fmt: skip
    """The counters of the four GPUs, as their own management reports them."""
    zero, one = channels["zero"], channels["zero"] + 1
    for number in range(N_GPUS):
        use, alive, clock = gpu[:, number], condition.gpu_alive[:, number], condition.gpu_clock[:, number]
        power, temperature = channels[f"gpu{number}_power_usage"], channels[f"gpu{number}_temp"]
        held = GPU_MEMORY_MB * np.clip(0.02 + 0.75 * use**0.5, 0, 1) * alive
        errors = rng.poisson(0.002 + condition.gpu_errors[:, number])
        aged = float(rng.poisson(0.4))
        busy, capped = use > 0.01, power > 262
        sm_clock = np.where(busy, 1530 - 2.0 * np.clip(power - 200, 0, 100), 1312) * clock * alive
        energy = np.cumsum(power * (WINDOW_SECONDS * 1000.0), dtype=np.float64)
        reports: Series = {
            "gpu_utilization": 100 * use, "mem_copy_utilization": 55 * use**1.3, "fb_used": held,
            "fb_free": GPU_MEMORY_MB * alive - held, "fb_total": GPU_MEMORY_MB * one, "sm_clock": sm_clock,
            "memory_clock": 877 * alive, "mem_app_clock": 877 * one, "sm_app_clock": 1312 * one,
            "power_management_limit": 300 * one, "pstate": np.where(alive > 0, zero, 8),
            "nvlink_bandwidth_total": 4e4 * use**1.5, "low_util_violation": 9e5 * (use < 0.2) * busy,
            "current_clock_throttle_reasons": 1.0 * ~busy + 4.0 * capped + 32.0 * (clock < 1),
            "power_violation": np.cumsum(capped * 2e4), "thermal_violation": np.cumsum((temperature > 83) * 2e4),
            "total_energy_consumption": energy - _at_boot(energy, since_boot),
            "ecc_sbe_aggregate_total": aged + np.cumsum(errors),
            "ecc_sbe_volatile_total": np.cumsum(errors) - _at_boot(np.cumsum(errors), since_boot),
            "retired_pages_sbe": aged + np.cumsum(errors > 3), "xid_errors": condition.gpu_xid[:, number],
            "nvlink_replay_error_count_total": np.cumsum(rng.poisson(0.001, len(use))),
        }  # fmt: skip
        silent = ("board_limit_violation", "reliability_violation", "sync_boost_violation", "ecc_dbe_aggregate_total",
                  "ecc_dbe_volatile_total", "retired_pages_dbe", "retired_pages_pending",
                  "nvlink_data_crc_error_count_total", "nvlink_flit_crc_error_count_total",
                  "nvlink_recovery_error_count_total")  # fmt: skip
        reports |= dict.fromkeys(silent, zero)
        channels |= {f"gpu{number}_{name}": series for name, series in reports.items()}
        swing = gpu_swing[:, number]
        moving = {"gpu_utilization": 100 * swing, "mem_copy_utilization": 55 * swing, "sm_clock": 60 * swing,
                  "nvlink_bandwidth_total": 4e4 * swing, "fb_used": 2000 * swing, "fb_free": 2000 * swing,
                  "total_energy_consumption": power * (WINDOW_SECONDS * 1000.0 / 12**0.5)}  # fmt: skip
        swings |= {f"gpu{number}_{name}": series for name, series in moving.items()}


def _operating_system(
    channels: Series, swings: Series, traits: Traits, load: Load, condition: Condition, cpu: np.ndarray,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """What ganglia reads from the operating system."""
    n_windows, one = len(cpu), channels["zero"] + 1
    stalled, running, swing = condition.stalled, condition.running, load.cpu_swing * condition.running
    files = load.files * running * (1 - np.minimum(1, stalled))
    system = 0.8 + 5 * load.network * running + 3 * files
    waiting = np.minimum(0.05 + 2 * files + 35 * stalled, 60)
    user = np.minimum(100 * cpu, 100 - system - waiting)
    channels |= {"cpu_user": user, "cpu_system": system, "cpu_wio": waiting, "cpu_nice": 0.01 * one,
                 "cpu_idle": 100 - user - system - waiting, "cpu_steal": 0 * one, "cpu_num": 128 * one,
                 "cpu_speed": 3800 * one}  # fmt: skip
    swings |= {"cpu_user": 100 * swing, "cpu_idle": 100 * swing, "cpu_system": 3 * swing, "cpu_wio": 0.3 * waiting}
    forget = 1 / (20 * WINDOWS_PER_DAY)  # idle time since boot: an average over weeks
    channels["cpu_aidle"] = 60 + lfilter([forget], [1, forget - 1], channels["cpu_idle"] - 60)

    queue = 128 * cpu + 0.4 + 90 * stalled
    channels |= {"load_one": queue, "load_five": lfilter([0.9], [1, -0.1], queue),
                 "load_fifteen": lfilter([0.6], [1, -0.4], queue), "proc_run": 1 + 128 * cpu}  # fmt: skip
    swings |= dict.fromkeys(("load_one", "load_five", "load_fifteen", "proc_run"), 128 * swing)
    channels["proc_total"] = 1150 + 150 * (cpu > 0.02) + 90 * cpu + 120 * stalled - 25 * (1 - condition.daemons)

    used = 0.05 + 0.8 * load.memory * running + condition.leaked
    cached = np.clip(0.12 + slow_noise(rng, n_windows, 200, 0.04) + 0.15 * files, 0.01, None)
    cached = np.minimum(cached, np.maximum(0.005, 0.99 - used))
    channels |= {"mem_total": MEMORY_KB * one, "mem_free": MEMORY_KB * np.maximum(0.004, 0.995 - used - cached),
                 "mem_cached": MEMORY_KB * cached, "mem_buffers": 6e5 + 2e6 * slow_noise(rng, n_windows, 300, 0.1),
                 "mem_shared": 4e5 + 3e6 * load.memory * running, "swap_total": 8e6 * one,
                 "swap_free": 8e6 * np.clip(1 - 3 * np.maximum(0, used - 0.97), 0, 1)}  # fmt: skip
    swings |= {"mem_free": 0.05 * MEMORY_KB * swing, "mem_cached": 0.01 * MEMORY_KB * files}

    scratch = 40 + slow_noise(rng, n_windows, 500, 4.0) + 8 * files
    channels |= {"disk_total": 1800 * one, "disk_free": 1800 - 9 * scratch, "part_max_used": np.clip(scratch, 5, 99)}
    for direction in ("in", "out"):
        burst = np.exp(slow_noise(rng, n_windows, 3, 0.5))
        jobs = 3e6 * traits.chatter * burst * (load.network + 0.5 * files) * running
        traffic = 2.5e4 * (0.6 + 0.4 * condition.daemons) + jobs
        channels[f"bytes_{direction}"] = condition.link * traffic
        channels[f"pkts_{direction}"] = condition.link * (40 + traffic / 900)
        swings[f"bytes_{direction}"] = 0.4 * condition.link * traffic
        swings[f"pkts_{direction}"] = 0.4 * condition.link * traffic / 900


def _windows_since_boot(condition: Condition, rng: np.random.Generator) -> np.ndarray:
    """(T,) int: windows since the node last started; before the first reboot since a random time in the past."""
    window = np.arange(len(condition.rebooted))
    last = np.maximum.accumulate(np.where(condition.rebooted, window, -1))
    return np.where(last >= 0, window - last, window + int(rng.integers(96, 60 * 96)))


def _at_boot(counter: np.ndarray, since_boot: np.ndarray) -> np.ndarray:
    """(T,) what an ever-growing counter showed when the node last started; 0 before the first reboot."""
    booted = np.arange(len(counter)) - since_boot
    return np.where(booted >= 0, counter[np.maximum(booted, 0)], 0)
