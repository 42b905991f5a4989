"""What the operating system of a node and the management of its GPUs count: the channels of ganglia."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from ftl.data.simulation.condition import Condition
from ftl.data.simulation.features import N_GPUS
from ftl.data.simulation.fleet import WINDOW_SECONDS, WINDOWS_PER_DAY, slow_noise
from ftl.data.simulation.load import Load
from ftl.data.simulation.traits import Traits

MEMORY_KB = 329_871_872.0
GPU_MEMORY_MB = 16_160.0

Series = dict[str, np.ndarray]  # channel -> (T,)


def add_accelerators(
    channels: Series, swings: Series, condition: Condition, gpu: np.ndarray, gpu_swing: np.ndarray,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add the counters of the four GPUs, as their own management reports them, to channels and swings."""
    since_boot = channels["since_boot"] = _windows_since_boot(condition, rng)
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


def add_operating_system(
    channels: Series, swings: Series, traits: Traits, load: Load, condition: Condition, time: np.ndarray,
    cpu: np.ndarray, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add what ganglia reads from the operating system to channels and swings."""
    since_boot = channels["since_boot"]
    channels["boottime"] = time - WINDOW_SECONDS * since_boot
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
    channels["proc_total"] = 1150 + 150 * (cpu > 0.02) + 90 * cpu + 120 * stalled - 3 * (1 - condition.daemons)

    present = 1 - condition.memory_lost
    used = 0.05 + 0.8 * load.memory * running
    cached = np.clip(0.12 + slow_noise(rng, n_windows, 200, 0.04) + 0.15 * files, 0.01, None)
    cached *= 1 - 0.8 * np.exp(-since_boot / 16)  # fills again after a start
    cached = np.minimum(cached, np.maximum(0.005, present - 0.01 - used))
    free = np.maximum(0.004, present - 0.005 - used - cached)
    channels |= {"mem_total": MEMORY_KB * present, "mem_free": MEMORY_KB * free,
                 "mem_cached": MEMORY_KB * cached, "mem_buffers": 6e5 + 2e6 * slow_noise(rng, n_windows, 300, 0.1),
                 "mem_shared": 4e5 + 3e6 * load.memory * running, "swap_total": 8e6 * one,
                 "swap_free": 8e6 * np.clip(1 - 3 * np.maximum(0, used - 0.97), 0, 1)}  # fmt: skip
    swings |= {"mem_free": 0.05 * MEMORY_KB * swing, "mem_cached": 0.01 * MEMORY_KB * files}

    scratch = 40 + slow_noise(rng, n_windows, 500, 4.0) + 8 * files
    channels |= {"disk_total": 1800 * one, "disk_free": 1800 - 9 * scratch, "part_max_used": np.clip(scratch, 5, 99)}
    for direction in ("in", "out"):
        burst = np.exp(slow_noise(rng, n_windows, 3, 0.5))
        jobs = 3e6 * traits.chatter * burst * (load.network + 0.5 * files) * running
        traffic = 2.5e4 + jobs
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
