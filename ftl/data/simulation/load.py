"""What the jobs of one node ask of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from ftl.data.simulation.features import N_GPUS
from ftl.data.simulation.fleet import WINDOWS_PER_DAY, WINDOWS_PER_HOUR, Shutdown


@dataclass(frozen=True)
class Load:
    """What the jobs of one node ask for in each window; shares of what the hardware can give, in [0, 1]."""

    cpu: np.ndarray  # (T,)
    gpu: np.ndarray  # (T, 4)
    memory: np.ndarray  # (T,) occupied
    bandwidth: np.ndarray  # (T,) memory traffic
    network: np.ndarray  # (T,)
    files: np.ndarray  # (T,) traffic with the file system
    boost: np.ndarray  # (T,) how far a few busy threads raise the clock and the power of the sockets
    cpu_swing: np.ndarray  # (T,) standard deviation of cpu inside the window
    gpu_swing: np.ndarray  # (T, 4)


@dataclass(frozen=True)
class Users:
    """Who computes on a node."""

    mix: np.ndarray  # (5,) shares of the JOB_KINDS in the long run, sum 1
    idle_share: float  # share of the time between jobs, where demand is 1
    unused_share: float  # share of the campaigns in which no job comes at all
    appetite: float  # how hard its jobs use the GPUs, about 1


# What a job asks for, as ranges of shares: cpu, memory, bandwidth, network, files; boost; restlessness in a window.
# Most jobs leave the work to the GPUs and keep 4 to 8 of 128 threads busy (the machine's median cpu_user is 3 %).
_JOBS = {
    "gpu": ((0.02, 0.06), (0.10, 0.40), (0.1, 0.4), (0.0, 0.5), (0.0, 0.4), (0.2, 1.6), (0.03, 0.20)),
    "mixed": ((0.06, 0.45), (0.20, 0.60), (0.2, 0.6), (0.2, 1.0), (0.1, 0.6), (0.4, 2.0), (0.03, 0.20)),
    "cpu": ((0.55, 1.00), (0.10, 0.50), (0.2, 0.9), (0.0, 0.5), (0.0, 0.3), (0.7, 2.0), (0.02, 0.10)),
    "memory": ((0.05, 0.40), (0.50, 0.95), (0.4, 1.0), (0.0, 0.3), (0.2, 1.0), (0.4, 1.8), (0.02, 0.12)),
    "light": ((0.002, 0.03), (0.02, 0.15), (0.0, 0.1), (0.0, 0.1), (0.0, 0.3), (0.1, 0.8), (0.03, 0.20)),
    "idle": ((0.00, 0.001), (0.00, 0.02), (0.0, 0.0), (0.0, 0.01), (0.0, 0.01), (0.0, 0.05), (0.01, 0.05)),
}  # fmt: skip
_GPU_USE = np.array([0.31, 0.27, 0.02, 0.08, 0.08, 0.0])  # median share of the GPUs, by kind
JOB_KINDS = tuple(kind for kind in _JOBS if kind != "idle")
USUAL_MIX = np.array([0.60, 0.13, 0.09, 0.06, 0.12])  # of the JOB_KINDS
_IDLE = len(JOB_KINDS)
_LOW = np.array([[low for low, _ in ranges] for ranges in _JOBS.values()])
_HIGH = np.array([[high for _, high in ranges] for ranges in _JOBS.values()])
_CPU, _MEMORY, _BANDWIDTH, _NETWORK, _FILES, _BOOST, _RESTLESS = range(7)
_KNOWN_BEFORE = 0.85  # share of the jobs that ask for too much time to end before an announced maintenance


def draw_load(rng: np.random.Generator, users: Users, demand: np.ndarray, maintenance: tuple[Shutdown, ...]) -> Load:
    """Jobs one after the other: plateaus of one to two hours, at most a day, with steps between them.

    Campaigns of about a day are runs of similar jobs, so that a node's days resemble the days next to them. No job
    starts that would run into an announced maintenance; so a node is empty some time before it.

    Args:
        rng: The node's generator for its load.
        users: Who computes here.
        demand: (T,) demand of the users of fleet and rack, about 1: more and heavier jobs.
        maintenance: Announced stops.
    """
    n_windows = len(demand)
    starts, lengths = _plateaus(rng, n_windows)
    n_jobs = len(starts)
    campaign_days = 0.75 * np.exp(0.8 * rng.standard_normal(3 * (n_windows // WINDOWS_PER_DAY) + 20))
    campaign = np.searchsorted(np.cumsum(campaign_days), starts / WINDOWS_PER_DAY, side="right")
    campaign = np.minimum(campaign, len(campaign_days) - 1)

    kind_of_campaign = _draw_kinds(rng, users.mix, len(campaign_days))
    kind = np.where(rng.random(n_jobs) < 0.75, kind_of_campaign[campaign], _draw_kinds(rng, users.mix, n_jobs))
    wanted = np.clip(demand[starts], 0.1, 2.0)
    unused = rng.random(len(campaign_days))[campaign] < users.unused_share * np.clip(2.5 - 1.5 * wanted, 0.3, 3.0)
    idle = rng.random(n_jobs) < users.idle_share * np.clip(2.5 - 1.5 * wanted, 0.3, 3.0)
    kind = np.where(idle | unused, _IDLE, kind)
    for stop in maintenance:
        straddles = np.searchsorted(starts, stop.start, side="right") - 1
        if rng.random() < _KNOWN_BEFORE:
            kind[straddles] = _IDLE

    asked = _LOW[kind] + (_HIGH - _LOW)[kind] * rng.random((n_jobs, _LOW.shape[1]))
    hot = np.exp(0.4 * rng.standard_normal(len(campaign_days)))[campaign]
    asked[:, _BOOST] *= hot  # codes differ in the power that they draw from a busy thread
    heavy = np.exp(0.30 * rng.standard_normal(len(campaign_days))[campaign] + 0.36 * rng.standard_normal(n_jobs))
    gpu = np.clip(_GPU_USE[kind] * users.appetite * heavy * wanted, 0, 1)
    n_used = np.where(rng.random(n_jobs) < 0.8, N_GPUS, rng.integers(1, N_GPUS, n_jobs))
    used = np.argsort(rng.random((n_jobs, N_GPUS)), axis=1) < n_used[:, None]
    gpu_level = np.minimum(gpu[:, None] * used * (N_GPUS / n_used[:, None]) ** 0.5, 1)

    levels = np.column_stack([asked[:, _CPU], gpu_level, asked[:, _MEMORY:_RESTLESS]])  # (jobs, 10)
    return _over_time(rng, levels, starts, lengths, asked[:, _RESTLESS])


def _plateaus(rng: np.random.Generator, n_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of jobs that fill the period: log-normal, median 1.5 h, at most 24 h."""
    hours = 1.5 * np.exp(1.0 * rng.standard_normal(n_windows // 3 + 50))
    lengths = np.clip(np.rint(hours * WINDOWS_PER_HOUR), 1, WINDOWS_PER_DAY).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    starts = starts[starts < n_windows]
    return starts, np.diff(np.append(starts, n_windows))


def _draw_kinds(rng: np.random.Generator, mix: np.ndarray, size: int) -> np.ndarray:
    kinds: np.ndarray = (rng.random(size)[:, None] > np.cumsum(mix)[:-1]).sum(axis=1)
    return kinds


def _over_time(
    rng: np.random.Generator, levels: np.ndarray, starts: np.ndarray, lengths: np.ndarray, restless: np.ndarray
) -> Load:
    """Plateaus with steps that fall inside windows, and noise of 2 to 20 % around them."""
    job_of = np.repeat(np.arange(len(starts)), lengths)
    level = levels[job_of]
    jump = level[starts[1:]] - levels[:-1]
    share_before = rng.random((len(starts) - 1, 1))  # a job starts inside a window
    level[starts[1:]] -= share_before * jump
    swing = level * restless[job_of][:, None]
    swing[starts[1:]] += np.abs(jump) * np.sqrt(share_before * (1 - share_before))
    wobble = lfilter([1.0], [1.0, -0.5], rng.standard_normal(level.shape, dtype=np.float32), axis=0)
    level = np.clip(level + 0.4 * swing * wobble, 0.0, None).astype(np.float32)
    level[:, :-1] = np.minimum(level[:, :-1], 1.0)
    swing = swing.astype(np.float32)
    return Load(
        cpu=level[:, 0], gpu=level[:, 1:5], memory=level[:, 5], bandwidth=level[:, 6], network=level[:, 7],
        files=level[:, 8], boost=level[:, 9], cpu_swing=swing[:, 0], gpu_swing=swing[:, 1:5],
    )  # fmt: skip
