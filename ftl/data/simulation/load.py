"""What the room and the users do to a node: cooling of the whole fleet, and the jobs of one node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from ftl.data.simulation.features import N_GPUS, Kind

WINDOW_SECONDS = 900
WINDOWS_PER_HOUR = 3600 // WINDOW_SECONDS
WINDOWS_PER_DAY = 24 * WINDOWS_PER_HOUR


@dataclass(frozen=True)
class FleetSeries:
    """What all nodes of a fleet share, window by window."""

    time: np.ndarray  # (T,) int64 epoch seconds, start of the window
    cooling: np.ndarray  # (T,) float32: degC by which the inlet air differs from its usual temperature
    demand: np.ndarray  # (T,) float32: how much the users want, about 1
    collector_down: np.ndarray  # (T,) bool: no telemetry of any node
    monitor_down: np.ndarray  # (T,) bool: no label of any node


@dataclass(frozen=True)
class Load:
    """What the jobs of one node ask for in each window; shares of what the hardware can give, in [0, 1]."""

    cpu: np.ndarray  # (T,)
    gpu: np.ndarray  # (T, 4)
    memory: np.ndarray  # (T,) occupied
    bandwidth: np.ndarray  # (T,) memory traffic
    network: np.ndarray  # (T,)
    files: np.ndarray  # (T,) traffic with the file system
    cpu_swing: np.ndarray  # (T,) standard deviation of cpu inside the window
    gpu_swing: np.ndarray  # (T, 4)


def slow_noise(rng: np.random.Generator, n_windows: int, timescale: float, spread: float) -> np.ndarray:
    """Stationary first-order autoregressive noise, (T,) float32: its memory fades over `timescale` windows."""
    keep = float(np.exp(-1.0 / timescale))
    shocks = rng.standard_normal(n_windows, dtype=np.float32) * np.sqrt(1.0 - keep**2)
    start = np.array([keep * rng.standard_normal()])
    return (spread * lfilter([1.0], [1.0, -keep], shocks, zi=start)[0]).astype(np.float32)


def draw_fleet_series(kind: Kind, n_windows: int, rng: np.random.Generator) -> FleetSeries:
    """Weather, regimes of the cooling, demand, and outages of the monitoring."""
    day = np.arange(n_windows) / WINDOWS_PER_DAY
    regime_days = 10.0 * np.exp(0.5 * rng.standard_normal(n_windows // WINDOWS_PER_DAY + 2))
    regimes = np.searchsorted(np.cumsum(regime_days), day, side="right")
    set_point = 1.2 * rng.standard_normal(len(regime_days) + 1)
    cooling = (
        set_point[regimes]
        + slow_noise(rng, n_windows, timescale=8 * WINDOWS_PER_DAY, spread=0.8)
        + slow_noise(rng, n_windows, timescale=WINDOWS_PER_DAY, spread=0.5)
        + 0.4 * np.sin(2 * np.pi * (day - 0.4))
    )
    demand = 1.0 + slow_noise(rng, n_windows, timescale=2 * WINDOWS_PER_DAY, spread=0.12)
    return FleetSeries(
        time=kind.start + WINDOW_SECONDS * np.arange(n_windows, dtype=np.int64),
        cooling=cooling.astype(np.float32),
        demand=demand + (0.04 * np.sin(2 * np.pi * (day - 0.35))).astype(np.float32),
        collector_down=outages(rng, n_windows, per_day=1 / 12, hours=1.0),
        monitor_down=outages(rng, n_windows, per_day=1 / 8, hours=1.0),
    )


def outages(rng: np.random.Generator, n_windows: int, per_day: float, hours: float) -> np.ndarray:
    """Windows that fall into outages, (T,) bool: Poisson in number, log-normal in length with the given median."""
    down = np.zeros(n_windows, dtype=bool)
    for _ in range(rng.poisson(per_day * n_windows / WINDOWS_PER_DAY)):
        start = int(rng.integers(n_windows))
        down[start : start + _lasting(rng, 1, hours, 0.7)[0]] = True
    return down


def _lasting(rng: np.random.Generator, size: int, hours: float, spread: float) -> np.ndarray:
    windows = hours * WINDOWS_PER_HOUR * np.exp(spread * rng.standard_normal(size))
    return np.clip(np.rint(windows), 1, WINDOWS_PER_DAY).astype(np.int64)


# What a job asks for, as ranges of shares: cpu, gpu, memory, bandwidth, network, files; restlessness inside a window.
_JOBS = {
    "cpu": ((0.45, 1.00), (0.00, 0.00), (0.10, 0.50), (0.2, 0.9), (0.0, 0.5), (0.0, 0.3), (0.02, 0.10)),
    "gpu": ((0.02, 0.12), (0.45, 1.00), (0.10, 0.40), (0.1, 0.4), (0.0, 0.5), (0.0, 0.4), (0.03, 0.20)),
    "mixed": ((0.15, 0.60), (0.20, 0.90), (0.20, 0.60), (0.2, 0.7), (0.2, 1.0), (0.1, 0.6), (0.03, 0.20)),
    "memory": ((0.10, 0.40), (0.00, 0.20), (0.50, 0.95), (0.5, 1.0), (0.0, 0.3), (0.2, 1.0), (0.02, 0.12)),
    "idle": ((0.00, 0.01), (0.00, 0.00), (0.00, 0.02), (0.0, 0.0), (0.0, 0.01), (0.0, 0.01), (0.01, 0.05)),
}
JOB_KINDS = tuple(kind for kind in _JOBS if kind != "idle")
_LOW = np.array([[low for low, _ in ranges] for ranges in _JOBS.values()])
_HIGH = np.array([[high for _, high in ranges] for ranges in _JOBS.values()])
_CPU, _GPU, _MEMORY, _BANDWIDTH, _NETWORK, _FILES, _RESTLESS = range(7)


def draw_load(rng: np.random.Generator, job_mix: np.ndarray, idle_share: float, demand: np.ndarray) -> Load:
    """Jobs one after the other: plateaus of one to two hours with steps between them.

    Campaigns of some days have their own mix of jobs and their own intensity, so that a node's days resemble the days
    before them and differ from those weeks ago.

    Args:
        rng: The node's generator for its load.
        job_mix: Shares of the JOB_KINDS in the long run, sum 1.
        idle_share: Share of plateaus without a job where demand is 1.
        demand: (T,) demand of the fleet's users, about 1.
    """
    n_windows = len(demand)
    lengths = _lasting(rng, n_windows // 3 + 50, hours=1.4, spread=0.9)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    starts = starts[starts < n_windows]
    lengths = np.diff(np.append(starts, n_windows))
    n_jobs = len(starts)

    campaign_days = 3.0 * np.exp(0.7 * rng.standard_normal(n_windows // WINDOWS_PER_DAY + 2))
    campaign = np.searchsorted(np.cumsum(campaign_days), starts / WINDOWS_PER_DAY, side="right")
    mixes = rng.dirichlet(4.0 * job_mix + 0.1, size=len(campaign_days) + 1)
    intensity = np.clip(0.9 + 0.15 * rng.standard_normal(len(mixes)), 0.4, 1.1)

    kind = (rng.random(n_jobs)[:, None] > np.cumsum(mixes[campaign], axis=1)[:, :-1]).sum(axis=1)
    idle = rng.random(n_jobs) < idle_share * np.clip(2.5 - 1.5 * demand[starts], 0.2, 2.0)
    kind = np.where(idle, len(JOB_KINDS), kind)
    asked = _LOW[kind] + (_HIGH - _LOW)[kind] * rng.random((n_jobs, _LOW.shape[1]))
    asked[:, (_CPU, _GPU)] *= intensity[campaign][:, None]
    n_used = np.where(rng.random(n_jobs) < 0.65, N_GPUS, rng.integers(1, N_GPUS, n_jobs))
    used = np.argsort(rng.random((n_jobs, N_GPUS)), axis=1) < n_used[:, None]

    levels = np.column_stack([asked[:, _CPU], asked[:, [_GPU]] * used, asked[:, _MEMORY:_RESTLESS]])  # (jobs, 9)
    job_of = np.repeat(np.arange(n_jobs), lengths)
    level = levels[job_of]
    jump = level[starts[1:]] - levels[:-1]
    share_before = rng.random((n_jobs - 1, 1))  # a job starts inside a window
    level[starts[1:]] -= share_before * jump
    swing = level * asked[job_of, _RESTLESS][:, None]
    swing[starts[1:]] += np.abs(jump) * np.sqrt(share_before * (1 - share_before))
    wobble = lfilter([1.0], [1.0, -0.5], rng.standard_normal(level.shape, dtype=np.float32), axis=0)
    level = np.clip(level + 0.4 * swing * wobble, 0.0, 1.0).astype(np.float32)
    swing = swing.astype(np.float32)
    return Load(
        cpu=level[:, 0], gpu=level[:, 1:5], memory=level[:, 5], bandwidth=level[:, 6], network=level[:, 7],
        files=level[:, 8], cpu_swing=swing[:, 0], gpu_swing=swing[:, 1:5],
    )  # fmt: skip
