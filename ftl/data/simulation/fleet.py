"""What the room, the users and the operators do to a whole fleet, and to one rack of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from ftl.data.simulation.features import Kind

WINDOW_SECONDS = 900
WINDOWS_PER_HOUR = 3600 // WINDOW_SECONDS
WINDOWS_PER_DAY = 24 * WINDOWS_PER_HOUR
_DAYS_PER_YEAR = 365.25
_DAYS_BETWEEN_MAINTENANCE = 46.0  # on average
_PARTIAL_OUTAGES_PER_DAY = 5 / 860
_RACK_OUTAGES_PER_DAY = 1 / 2500


@dataclass(frozen=True)
class Shutdown:
    """A planned or common stop of nodes over windows start <= t < stop; they are off for off <= t < on."""

    start: int
    off: int
    on: int
    stop: int
    dark: bool  # the management controllers are without power, too


@dataclass(frozen=True)
class FleetSeries:
    """What all nodes of a fleet share, window by window."""

    time: np.ndarray  # (T,) int64 epoch seconds, start of the window
    cooling: np.ndarray  # (T,) float32: degC by which the inlet air differs from its usual temperature
    demand: np.ndarray  # (T,) float32: how much the users want, about 1
    maintenance: tuple[Shutdown, ...]  # of the whole fleet, in time order
    partial_outages: tuple[tuple[Shutdown, float], ...]  # and the share of the racks that is hit
    collector_down: np.ndarray  # (T,) bool: no telemetry of any node, no row
    ganglia_down: np.ndarray  # (T,) bool: no telemetry of any operating system
    monitor_down: np.ndarray  # (T,) bool: no label of any node


@dataclass(frozen=True)
class RackSeries:
    """What the nodes of one rack share, in addition to what the fleet does."""

    cooling: np.ndarray  # (T,) float32 degC, its long-run offset included
    demand: np.ndarray  # (T,) float32, about 0
    outages: tuple[Shutdown, ...]
    fault_factor: float  # logarithm of its nodes' tendency to fail, standard normal over racks


def slow_noise(rng: np.random.Generator, n_windows: int, timescale: float, spread: float) -> np.ndarray:
    """Stationary first-order autoregressive noise, (T,) float32: its memory fades over `timescale` windows."""
    keep = float(np.exp(-1.0 / timescale))
    shocks = rng.standard_normal(n_windows, dtype=np.float32) * np.sqrt(1.0 - keep**2)
    start = np.array([keep * rng.standard_normal()])
    noise: np.ndarray = spread * lfilter([1.0], [1.0, -keep], shocks, zi=start)[0]
    return noise.astype(np.float32)


def slow_days(rng: np.random.Generator, n_windows: int, parts: dict[float, float]) -> np.ndarray:
    """Sum of slow noises, (T,) float32.

    Args:
        rng: Where the noises come from.
        n_windows: T.
        parts: Timescale in days -> standard deviation.
    """
    noises = [slow_noise(rng, n_windows, days * WINDOWS_PER_DAY, spread) for days, spread in parts.items()]
    together: np.ndarray = np.stack(noises).sum(axis=0)
    return together


def outages(rng: np.random.Generator, n_windows: int, per_day: float, hours: float, spread: float) -> np.ndarray:
    """Windows that fall into outages, (T,) bool: Poisson in number, log-normal in length with the given median.

    None lasts longer than an eighth of the period.
    """
    down = np.zeros(n_windows, dtype=bool)
    for _ in range(rng.poisson(per_day * n_windows / WINDOWS_PER_DAY)):
        start = int(rng.integers(n_windows))
        length = hours * WINDOWS_PER_HOUR * np.exp(spread * rng.standard_normal())
        down[start : start + int(np.clip(np.rint(length), 1, n_windows // 8))] = True
    return down


def draw_fleet_series(kind: Kind, n_windows: int, rng: np.random.Generator) -> FleetSeries:
    """Weather, regimes of the cooling, demand, maintenance, and outages of the monitoring.

    Rates per day are those of the machine whatever the length of the period: a short one may have no maintenance.
    """
    users, room, stops, racks, collector, ganglia, monitor = rng.spawn(7)
    day = np.arange(n_windows) / WINDOWS_PER_DAY
    daily, weekly = 2 * np.pi * (day - 0.4), 2 * np.pi * (day + kind.start / 86_400) / 7
    demand = (
        1
        + slow_days(users, n_windows, {1.0: 0.12, 12.0: 0.14, 60.0: 0.07})
        + 0.02 * np.sin(daily)
        + 0.02 * np.sin(weekly)
    )
    down = outages(collector, n_windows, per_day=1 / 10, hours=0.5, spread=0.8)  # the collector starts again
    down |= outages(collector, n_windows, per_day=1 / 35, hours=8, spread=0.8)
    down |= outages(collector, n_windows, per_day=8 / 934, hours=120, spread=0.9)  # the gaps of days to weeks
    n_partial = racks.poisson(_PARTIAL_OUTAGES_PER_DAY * n_windows / WINDOWS_PER_DAY)
    return FleetSeries(
        time=kind.start + WINDOW_SECONDS * np.arange(n_windows, dtype=np.int64),
        cooling=_room(kind, day, room),
        demand=demand.astype(np.float32),
        maintenance=_maintenance(stops, n_windows),
        partial_outages=tuple(
            (_shutdown(racks, int(racks.integers(n_windows)), racks.uniform(8, 40)), racks.uniform(0.06, 0.21))
            for _ in range(n_partial)
        ),
        collector_down=down,
        ganglia_down=outages(ganglia, n_windows, per_day=1 / 90, hours=24, spread=1.0),
        monitor_down=outages(monitor, n_windows, per_day=1 / 3, hours=6.8, spread=0.7),
    )


def _room(kind: Kind, day: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T,) degC: seasons, weather, and set points that hold for months; now and then the room is kept much colder."""
    n_windows = len(day)
    regime_days = rng.exponential(100.0, size=int(day[-1] / 20) + 10)
    set_points = np.where(rng.random(len(regime_days)) < 0.1, -2.8, 0.9 * rng.standard_normal(len(regime_days)))
    regime = np.minimum(np.searchsorted(np.cumsum(regime_days), day, side="right"), len(regime_days) - 1)
    day_of_year = kind.start / 86_400 + day  # counted from 1 January 1970
    season = 0.7 * np.sin(2 * np.pi * (day_of_year - 110) / _DAYS_PER_YEAR)
    weather = slow_days(rng, n_windows, {8.0: 0.5, 0.5: 0.25}) + 0.25 * np.sin(2 * np.pi * (day - 0.4))
    first = set_points[regime[0]]
    settled: np.ndarray = first + lfilter([0.15], [1.0, -0.85], set_points[regime] - first)
    return (settled + season + weather).astype(np.float32)


def _maintenance(rng: np.random.Generator, n_windows: int) -> tuple[Shutdown, ...]:
    """Planned stops of 5 to 12 hours that begin in a morning, every six to seven weeks with some freedom."""
    n_most = int(2 * n_windows / WINDOWS_PER_DAY / _DAYS_BETWEEN_MAINTENANCE) + 5
    waits = rng.gamma(8.0, _DAYS_BETWEEN_MAINTENANCE / 8, size=n_most)
    waits[0] *= rng.random()
    mornings = np.floor(np.cumsum(waits)) + rng.uniform(6, 10, size=n_most) / 24
    starts = (mornings * WINDOWS_PER_DAY).astype(int)
    return tuple(_shutdown(rng, int(start), rng.uniform(5, 12)) for start in starts[starts < n_windows])


def _shutdown(rng: np.random.Generator, start: int, hours: float) -> Shutdown:
    """Nodes are emptied, most are switched off in the middle, start again, and are checked before jobs may run."""
    length = round(hours * WINDOWS_PER_HOUR)
    off = start + round(length * rng.uniform(0.05, 0.25))
    on = off + round((start + length - off) * rng.uniform(0.5, 0.9)) if rng.random() < 0.8 else off
    return Shutdown(start, off, on, start + length, dark=rng.random() < 0.3)


def draw_rack_series(rng: np.random.Generator, fleet: FleetSeries) -> RackSeries:
    """Climate and users of one rack, and its outages."""
    n_windows = len(fleet.time)
    climate, appetite, fault_factor = 1.1 * rng.standard_normal(), 0.08 * rng.standard_normal(), rng.standard_normal()
    hit = tuple(shutdown for shutdown, share in fleet.partial_outages if rng.random() < share)
    own = tuple(
        _shutdown(rng, int(rng.integers(n_windows)), rng.uniform(1.5, 8))
        for _ in range(rng.poisson(_RACK_OUTAGES_PER_DAY * n_windows / WINDOWS_PER_DAY))
    )
    demand = appetite + slow_days(rng, n_windows, {2.0: 0.08, 14.0: 0.12})
    cooling = climate + slow_days(rng, n_windows, {4.0: 0.6, 25.0: 0.9}) + 0.5 * (demand - appetite)
    return RackSeries(cooling.astype(np.float32), demand.astype(np.float32), hit + own, fault_factor)
