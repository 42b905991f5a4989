"""What goes wrong with a node, when, for how long, and what it does to the node.

A fault or a shutdown first changes the condition of the node; power, heat, and readings follow from that
(ftl.data.simulation.node). A node with a labelled fault takes no new jobs, whatever the fault: it goes idle, or it was
idle before. Its telemetry tells more in few cases. How often each kind of fault occurs has not been published; the
shares are chosen so that lost telemetry, outages, and reboots are as frequent as on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ftl.data.simulation.condition import Condition
from ftl.data.simulation.features import N_GPUS, Kind
from ftl.data.simulation.fleet import WINDOWS_PER_HOUR, Shutdown
from ftl.randomness import generator

_BLOCK = 20  # nodes among which the tendencies to fail are dealt out
_RATE_SPREAD = 0.9  # standard deviation of the logarithm of a node's tendency to fail
_RACK_PART = 0.2  # share of its variance between racks
_CHRONIC = 3.0  # how much more often the worst node of a block fails than that
_SPECIAL_SHARE = (0.15, 0.5)  # of the time that a special node is not available
SPECIAL_STRETCH = 8.0  # how much longer its faults last
_UNFLAGGED = 0.02  # share of a fault's windows that the monitoring does not flag
_FALSE_FLAGS = 0.0001  # share of healthy windows that it flags
_WARNED = 0.4  # share of the faults before which jobs fail already


@dataclass(frozen=True)
class Fault:
    """One fault of one node, over windows start <= t < stop."""

    kind: str
    start: int
    stop: int
    severity: float  # in (0.25, 1)
    where: float  # in [0, 1): which GPU, fan, supply or sensors
    rise: int  # windows until it has its full depth
    lead: int = 0  # windows by which the jobs fail before the fault shows
    runs_on: int = 0  # windows for which the running job goes on after it
    reboot: bool = False  # the node starts anew when the fault ends

    def depth(self) -> np.ndarray:
        """How deep the fault is in each of its windows, (stop - start,) in (0, severity]."""
        return self.severity * np.minimum(1.0, np.arange(1, self.stop - self.start + 1) / self.rise)

    def which(self, n: int) -> int:
        """Which of n parts is hit."""
        return int(self.where * n)


def _node_down(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """The node is off: what its operating system and its processors report is lost, at worst all its telemetry."""
    condition.powered[at] = 0
    condition.os_silent[at] = True
    condition.bmc_silent[at] |= fault.severity > 0.7


def _os_unreachable(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """The operating system hangs or has lost its network: the BMC still reports, mostly a node at rest."""
    condition.os_silent[at] = True
    condition.link[at] = 0


def _batch_client_dead(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """The daemon of the batch system is gone; nothing else changes."""
    condition.daemons[at] = 0


def _gpu_failure(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """A GPU falls off the bus and reports nothing any more; mild: memory errors and a lowered clock."""
    gpu = fault.which(N_GPUS)
    condition.gpu_xid[at, gpu] = 63 if fault.severity < 0.5 else 79
    if fault.severity < 0.5:
        condition.gpu_errors[at, gpu] += 3 * depth
        condition.gpu_clock[at, gpu] *= 1 - depth
    else:
        condition.gpu_alive[at, gpu] = 0


def _cooling(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """A fan stops or slows down, and the node runs warmer."""
    condition.fan[at, fault.which(4)] *= 0 if fault.severity > 0.6 else 1 - depth
    condition.recirculation[at] += 4 * depth
    condition.resistance[at] += 0.35 * depth


def _power_supply(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """A supply fails and the other carries all; mild: it delivers less than its half."""
    condition.supply[at, fault.which(2)] *= 0 if fault.severity > 0.5 else 1 - depth


def _memory_short(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """DIMMs are mapped out after errors: the node has less memory than it should."""
    condition.memory_lost[at] = max(1, round(8 * fault.severity)) / 16


def _filesystem_hang(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """Processes wait for a file system that does not answer."""
    condition.stalled[at] += depth
    condition.running[at] *= 1 - 0.8 * depth


def _network(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """The fast link degrades or goes down: parallel jobs wait, then fail."""
    condition.link[at] *= 1 - depth
    condition.running[at] *= 1 - 0.6 * depth


def _stuck_sensors(condition: Condition, fault: Fault, at: slice, depth: np.ndarray) -> None:
    """Changes no part of the node: readings stand still (ftl.data.simulation.sensors)."""


@dataclass(frozen=True)
class FaultKind:
    """How often faults of a kind come, how long they last, and what they do."""

    share: float  # of all faults
    hours: float  # median duration
    spread: float  # standard deviation of its logarithm
    reboot: float  # share that ends with a reboot
    kills: float  # share that ends the running job at once
    effect: Callable[[Condition, Fault, slice, np.ndarray], None]

    def mean_hours(self) -> float:
        """Mean duration."""
        return float(self.hours * np.exp(self.spread**2 / 2))


FAULTS: dict[str, FaultKind] = {
    "node_down": FaultKind(0.024, 24, 1.4, 1.0, 1.0, _node_down),
    "os_unreachable": FaultKind(0.700, 5, 1.3, 0.05, 0.85, _os_unreachable),
    "batch_client_dead": FaultKind(0.090, 3, 1.1, 0.05, 0.5, _batch_client_dead),
    "filesystem_hang": FaultKind(0.056, 3, 1.0, 0.05, 0.0, _filesystem_hang),
    "gpu_failure": FaultKind(0.025, 10, 1.2, 0.6, 0.7, _gpu_failure),
    "cooling": FaultKind(0.010, 8, 1.0, 0.3, 0.0, _cooling),
    "power_supply": FaultKind(0.012, 10, 1.2, 0.2, 0.0, _power_supply),
    "memory_short": FaultKind(0.015, 6, 1.2, 1.0, 1.0, _memory_short),
    "network": FaultKind(0.036, 3, 1.0, 0.05, 0.0, _network),
    "stuck_sensors": FaultKind(0.020, 5, 1.0, 0.0, 0.0, _stuck_sensors),
}
_KINDS = tuple(FAULTS.values())
_SHARES = np.array([kind.share for kind in _KINDS]) / sum(kind.share for kind in _KINDS)
_MEAN_HOURS = float(_SHARES @ [kind.mean_hours() for kind in _KINDS])


def fault_share(seed: int, kind_name: str, kind: Kind, index: int, fault_factor: float, special: bool) -> float:
    """The share of time that this node's own faults take in the long run: very uneven over nodes.

    It is log-normal with a heavier tail. Each block of twenty nodes is dealt the twenty 5 % slices of the normal
    distribution in random order, so that a small fleet is no luckier than the machine; the worst of them has a trouble
    that no repair ends. A part that all nodes of a rack share is added.

    Args:
        seed: Of the fleet.
        kind_name: Key of KINDS.
        kind: Its entry.
        index: Number of the node.
        fault_factor: That of its rack, standard normal over racks.
        special: Whether it is one of the few nodes that are rarely available.
    """
    block, place = divmod(index, _BLOCK)
    rng = generator(seed, "simulated", kind_name, "anomaly rates", block)
    order, within = rng.permutation(_BLOCK), rng.random(_BLOCK)
    if special:
        return float(np.interp(within[place], (0, 1), _SPECIAL_SHARE))
    rack = np.exp(_RATE_SPREAD * np.sqrt(_RACK_PART) * fault_factor - _RATE_SPREAD**2 * _RACK_PART / 2)
    own = _tendency(np.array([(order[place] + within[place]) / _BLOCK]))
    return min(float(kind.fault_share * rack * own[0]), 0.5)


def _tendency(rank: np.ndarray) -> np.ndarray:
    """A node's tendency to fail, by its rank in (0, 1) among all nodes; 1 on average."""
    ranks = (np.arange(1000) + 0.5) / 1000
    factor, all_factors = (
        np.exp(_RATE_SPREAD * np.sqrt(1 - _RACK_PART) * ndtri(r)) * np.where(r > 1 - 1 / _BLOCK, _CHRONIC, 1.0)
        for r in (rank, ranks)
    )
    found: np.ndarray = factor / all_factors.mean()
    return found


def draw_faults(rng: np.random.Generator, n_windows: int, share: float, stretch: float = 1.0) -> tuple[Fault, ...]:
    """Faults of one node in time order: Poisson in number, log-normal in duration, at random times.

    Args:
        rng: The node's generator for its faults.
        n_windows: Length of the period; a fault may last beyond it.
        share: Share of the time that they take in the long run.
        stretch: How much longer than usual they last.
    """
    mean_windows = stretch * _MEAN_HOURS * WINDOWS_PER_HOUR
    n_faults = rng.poisson(share * n_windows / mean_windows)
    faults = [_draw_fault(rng, n_windows, stretch) for _ in range(n_faults)]
    return tuple(sorted(faults, key=lambda fault: fault.start))


def _draw_fault(rng: np.random.Generator, n_windows: int, stretch: float) -> Fault:
    name = tuple(FAULTS)[rng.choice(len(_SHARES), p=_SHARES)]
    kind, start = FAULTS[name], int(rng.integers(n_windows))
    duration = max(2, round(stretch * kind.hours * WINDOWS_PER_HOUR * np.exp(kind.spread * rng.standard_normal())))
    severity, where = rng.uniform(0.25, 1.0), rng.random()
    rise = 1 if rng.random() < 0.5 else max(1, int(duration * rng.uniform(0.1, 0.6)))
    lead = 1 + int(rng.exponential(1.5 * WINDOWS_PER_HOUR)) if rng.random() < _WARNED else 0
    runs_on = 0 if rng.random() < kind.kills else int(rng.exponential(2.0 * WINDOWS_PER_HOUR))
    reboot = bool(rng.random() < kind.reboot)
    return Fault(name, start, min(start + duration, n_windows), severity, where, rise, lead, runs_on, reboot)


def condition_under(faults: Sequence[Fault], shutdowns: Sequence[Shutdown], n_windows: int) -> Condition:
    """The condition of a node that has these faults and is part of these shutdowns."""
    condition = Condition.healthy(n_windows)
    for fault in faults:
        FAULTS[fault.kind].effect(condition, fault, slice(fault.start, fault.stop), fault.depth())
        emptied = fault.start - fault.lead if fault.lead else fault.start + fault.runs_on
        condition.running[max(0, emptied) : fault.stop] = 0
        if fault.reboot and fault.stop < n_windows:
            condition.rebooted[fault.stop] = True
    for shutdown in shutdowns:
        condition.running[shutdown.start : shutdown.stop] = 0
        condition.os_silent[shutdown.off : shutdown.stop] = True
        condition.powered[shutdown.off : shutdown.on] = 0
        condition.bmc_silent[shutdown.off : shutdown.on] |= shutdown.dark
        if shutdown.on < n_windows:
            condition.rebooted[shutdown.on] = True
    return condition


def monitored_label(
    faults: Sequence[Fault], shutdowns: Sequence[Shutdown], n_windows: int, rng: np.random.Generator
) -> np.ndarray:
    """What the monitoring says, (T,) int8: sees a fault and its end up to two windows late, and errs now and then."""
    label = np.zeros(n_windows, dtype=bool)
    events = [(fault.start, fault.stop) for fault in faults] + [(stop.start, stop.stop) for stop in shutdowns]
    for start, stop in events:
        late, clears = rng.integers(0, 3, size=2)
        label[start + late : stop + clears] = True
    noise = rng.random(n_windows)
    return np.where(label, noise >= _UNFLAGGED, noise < _FALSE_FLAGS).astype(np.int8)
