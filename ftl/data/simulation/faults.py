"""What goes wrong with a node, when, for how long, and what it does to the node.

A fault first changes the condition of the node; power, heat, and readings follow from that (ftl.data.simulation.node).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ftl.data.simulation.features import N_GPUS, Kind
from ftl.data.simulation.load import WINDOWS_PER_HOUR
from ftl.randomness import generator

_BLOCK = 20  # nodes among which the anomaly rates are dealt out
_RATE_SPREAD = 0.7  # standard deviation of the logarithm of a node's rate
_DURATION_SPREAD = 0.9  # standard deviation of the logarithm of a fault's duration
_UNFLAGGED = 0.04  # share of a fault's windows that the monitoring does not flag
_FALSE_FLAGS = 0.0003  # share of healthy windows that it flags


@dataclass(frozen=True)
class Fault:
    """One fault of one node, over windows start <= t < stop."""

    kind: str
    start: int
    stop: int
    severity: float  # in (0.25, 1)
    where: float  # in [0, 1): which GPU, fan, supply or sensors
    rise: int  # windows until it has its full depth

    def depth(self) -> np.ndarray:
        """How deep the fault is in each of its windows, (stop - start,) in (0, severity]."""
        return self.severity * np.minimum(1.0, np.arange(1, self.stop - self.start + 1) / self.rise)

    def which(self, n: int) -> int:
        """Which of n parts is hit."""
        return int(self.where * n)


@dataclass(frozen=True)
class Condition:
    """How well each part of a node works, window by window; faults write into it."""

    running: np.ndarray  # (T,) share of the jobs' demands that runs
    daemons: np.ndarray  # (T,) share of the system's own processes that run
    gpu_alive: np.ndarray  # (T, 4) 1 or 0
    gpu_clock: np.ndarray  # (T, 4) share of the usual clock
    gpu_errors: np.ndarray  # (T, 4) corrected memory errors per window
    gpu_xid: np.ndarray  # (T, 4) last error code of the driver
    fan: np.ndarray  # (T, 4) share of the commanded speed
    recirculation: np.ndarray  # (T,) degC of warm air drawn in again
    resistance: np.ndarray  # (T,) thermal resistance relative to a healthy node
    supply: np.ndarray  # (T, 2) share of its usual half that a power supply delivers
    leaked: np.ndarray  # (T,) share of memory lost
    stalled: np.ndarray  # (T,) share of processes that wait for the file system
    link: np.ndarray  # (T,) share of network traffic that gets through
    os_silent: np.ndarray  # (T,) bool: ganglia and the GPUs are not heard
    rebooted: np.ndarray  # (T,) bool: the node starts again in this window

    @classmethod
    def healthy(cls, n_windows: int) -> Condition:
        """A node with nothing wrong."""

        def full(value: float, *parts: int) -> np.ndarray:
            return np.full((n_windows, *parts), value, dtype=np.float32)

        return cls(
            running=full(1), daemons=full(1), gpu_alive=full(1, N_GPUS), gpu_clock=full(1, N_GPUS),
            gpu_errors=full(0, N_GPUS), gpu_xid=full(0, N_GPUS), fan=full(1, 4), recirculation=full(0),
            resistance=full(1), supply=full(1, 2), leaked=full(0), stalled=full(0), link=full(1),
            os_silent=np.zeros(n_windows, dtype=bool), rebooted=np.zeros(n_windows, dtype=bool),
        )  # fmt: skip


def _batch_client_dead(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """No new job starts; what runs ends sooner or later. Telemetry goes on, of a node at rest."""
    condition.running[at] *= 1 - np.minimum(1, 1.5 * depth)
    condition.daemons[at] = 0


def _gpu_failure(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """A GPU falls off the bus and jobs that need it fail; mild: memory errors and a lowered clock."""
    gpu = fault.which(N_GPUS)
    condition.gpu_xid[at, gpu] = 63 if fault.severity < 0.5 else 79
    if fault.severity < 0.5:
        condition.gpu_errors[at, gpu] += 3 * depth
        condition.gpu_clock[at, gpu] *= 1 - depth
    else:
        condition.gpu_alive[at, gpu] = 0
        condition.running[at] *= 1 - 0.5 * depth


def _cooling(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """A fan stops or slows down, and the node runs warmer."""
    condition.fan[at, fault.which(4)] *= 0 if fault.severity > 0.6 else 1 - depth
    condition.recirculation[at] += 4 * depth
    condition.resistance[at] += 0.35 * depth


def _power_supply(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """A supply fails and the other carries all; mild: it delivers less than its half."""
    condition.supply[at, fault.which(2)] *= 0 if fault.severity > 0.5 else 1 - depth


def _memory_leak(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """Memory fills up over the fault, then swapping slows everything down."""
    filled = np.linspace(0, 1, len(depth), dtype=np.float32)
    condition.leaked[at] += fault.severity * filled
    condition.running[at] *= 1 - 0.6 * fault.severity * filled**3
    condition.stalled[at] += 0.3 * fault.severity * filled**3


def _filesystem_hang(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """Processes wait for a file system that does not answer."""
    condition.stalled[at] += depth
    condition.running[at] *= 1 - 0.8 * depth


def _network(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """The link degrades or goes down: parallel jobs wait, and for a part of the time the node is not heard."""
    condition.link[at] *= 1 - depth
    condition.running[at] *= 1 - 0.6 * depth
    condition.os_silent[at] = (np.arange(len(depth)) < len(depth) / 4) & (fault.severity > 0.6)


def _stuck_sensors(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """Changes no part of the node: readings stand still (ftl.data.simulation.sensors)."""


FAULT_EFFECTS: dict[str, Callable[[Condition, Fault, slice, np.ndarray], None]] = {
    "batch_client_dead": _batch_client_dead,
    "gpu_failure": _gpu_failure,
    "cooling": _cooling,
    "power_supply": _power_supply,
    "memory_leak": _memory_leak,
    "filesystem_hang": _filesystem_hang,
    "network": _network,
    "stuck_sensors": _stuck_sensors,
}
_SHARES = np.array([0.32, 0.16, 0.08, 0.08, 0.08, 0.10, 0.12, 0.06])  # no source publishes them: our assumption
_ENDS_IN_REBOOT = ("batch_client_dead", "gpu_failure", "memory_leak", "filesystem_hang")


def node_anomaly_rate(seed: int, kind_name: str, kind: Kind, index: int) -> float:
    """The share of windows in which this node is anomalous: very uneven over nodes, the fleet's rate on average.

    Each block of twenty nodes is dealt the twenty 5 % slices of one log-normal distribution in random order. So the
    rate of the fleet hardly varies between seeds, and a larger fleet leaves the rates of its first nodes as they were.
    """
    block, place = divmod(index, _BLOCK)
    order = generator(seed, "simulated", kind_name, "anomaly rates", block).permutation(_BLOCK)
    quantiles = np.exp(_RATE_SPREAD * ndtri((np.arange(50 * _BLOCK) + 0.5) / (50 * _BLOCK)))
    slices = quantiles.reshape(_BLOCK, 50).mean(axis=1)
    return float(kind.anomaly_rate * slices[order[place]] / slices.mean())


def draw_faults(rng: np.random.Generator, n_windows: int, rate: float, hours: float) -> tuple[Fault, ...]:
    """Faults of one node in time order, spread over the whole period, that fill the given share of it.

    Durations are log-normal with about the given median; they are scaled together to fill the share. The period is cut
    into as many equal pieces as there are faults, and each piece holds one at a random place. Where the share is less
    than the two windows of the shortest fault, there is none or one, in proportion.
    """
    wanted = rate * n_windows
    if wanted < 2 and rng.random() >= wanted / 2:
        return ()
    mean_duration = hours * WINDOWS_PER_HOUR * np.exp(_DURATION_SPREAD**2 / 2)
    n_faults = max(1, round(wanted / mean_duration))
    durations = np.exp(_DURATION_SPREAD * rng.standard_normal(n_faults))
    durations = np.maximum(2, np.rint(durations * wanted / durations.sum())).astype(int)
    piece = n_windows / n_faults
    kinds = rng.choice(len(_SHARES), size=n_faults, p=_SHARES)
    faults = []
    for number, (kind, duration) in enumerate(zip(kinds, durations, strict=True)):
        start = int(number * piece + rng.random() * max(0.0, piece - duration - 3))
        severity, where = rng.uniform(0.25, 1.0), rng.random()
        rise = 1 if rng.random() < 0.5 else max(1, int(duration * rng.uniform(0.1, 0.6)))
        stop = min(start + int(duration), n_windows)
        faults.append(Fault(tuple(FAULT_EFFECTS)[kind], start, stop, severity, where, rise))
    return tuple(faults)


def condition_under(faults: tuple[Fault, ...], n_windows: int, rng: np.random.Generator) -> Condition:
    """The condition of a node that has these faults; about half of the software faults end with a reboot."""
    condition = Condition.healthy(n_windows)
    for fault in faults:
        FAULT_EFFECTS[fault.kind](condition, fault, slice(fault.start, fault.stop), fault.depth())
        if fault.kind in _ENDS_IN_REBOOT and rng.random() < 0.5 and fault.stop < n_windows:
            condition.rebooted[fault.stop] = True
    return condition


def monitored_label(faults: tuple[Fault, ...], n_windows: int, rng: np.random.Generator) -> np.ndarray:
    """What the monitoring says, (T,) int8: sees a fault and its end up to two windows late, and errs now and then."""
    label = np.zeros(n_windows, dtype=bool)
    for fault in faults:
        late, clears = rng.integers(0, 3, size=2)
        label[fault.start + late : fault.stop + clears] = True
    noise = rng.random(n_windows)
    return np.where(label, noise >= _UNFLAGGED, noise < _FALSE_FLAGS).astype(np.int8)
