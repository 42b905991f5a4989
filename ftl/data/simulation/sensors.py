"""From the state of a node to what its sensors report: gain, offset, lag, noise, resolution, gaps, stuck readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ftl.data.simulation.faults import Condition, Fault
from ftl.data.simulation.features import METRICS, N_CORE_SLOTS, Kind
from ftl.data.simulation.load import WINDOWS_PER_DAY, outages
from ftl.data.simulation.node import Series, Traits

_CHANNELS = tuple(sorted({metric.channel for metric in METRICS}))
_CHANNEL_OF = np.array([_CHANNELS.index(metric.channel) for metric in METRICS])
_INDEX = {metric.name: index for index, metric in enumerate(METRICS)}
_IPMI = np.array([index for index, metric in enumerate(METRICS) if metric.plugin == "ipmi"])
# The sensors of the middle of a die read warmer than those of its edge; the same on every die.
_CORE_PATTERN = 2.0 * np.cos(2 * np.pi * (np.arange(24) % 12 - 5.5) / 12)
_SAMPLED = 0.2  # error of a window's mean relative to the standard deviation of its samples
_INCOMPLETE = 0.004  # share of windows with values missing by chance


def _column(field: str) -> np.ndarray:
    return np.array([getattr(metric, field) for metric in METRICS], dtype=np.float32)


_WITHIN, _FOLLOW, _STEP, _LOW, _HIGH, _ANCHOR, _LAG, _GAIN_SPREAD, _OFFSET_SPREAD = map(
    _column, ("within", "follow", "step", "low", "high", "anchor", "lag", "gain_spread", "offset_spread")
)


@dataclass(frozen=True)
class Sensors:
    """How the sensors of one node differ from the nominal ones."""

    gain: np.ndarray  # (M,) float32, M = len(METRICS)
    offset: np.ndarray  # (M,) float32


def draw_sensors(rng: np.random.Generator, traits: Traits) -> Sensors:
    """Draw gains and offsets; core sensors also have the offset of their place on the die."""
    offset = _OFFSET_SPREAD * rng.standard_normal(len(METRICS))
    for socket in range(2):
        for slot in range(N_CORE_SLOTS):
            offset[_INDEX[f"p{socket}_core{slot}_temp"]] += _CORE_PATTERN[traits.cores[socket, slot]]
    gain = 1 + _GAIN_SPREAD * rng.standard_normal(len(METRICS))
    return Sensors(gain.astype(np.float32), offset.astype(np.float32))


def read_sensors(
    kind: Kind, sensors: Sensors, channels: Series, swings: Series, faults: tuple[Fault, ...], rng: np.random.Generator
) -> np.ndarray:
    """The features of one node, (T, F) float32 in the order of `kind.features`, nothing missing yet."""
    n_windows = len(channels["zero"])
    state = np.stack([channels[name] for name in _CHANNELS], axis=1).astype(np.float32)
    none = np.zeros(n_windows, dtype=np.float32)
    swing = np.stack([swings.get(name, none) for name in _CHANNELS], axis=1).astype(np.float32)

    mean = state[:, _CHANNEL_OF]  # (T, M)
    mean[1:] += _LAG * (state[:-1, _CHANNEL_OF] - mean[1:])
    mean = (mean - _ANCHOR) * sensors.gain + (_ANCHOR + sensors.offset)
    spread = swing[:, _CHANNEL_OF] * (sensors.gain * _FOLLOW)
    np.sqrt(spread**2 + _WITHIN**2, out=spread)
    spread *= np.abs(1 + 0.15 * rng.standard_normal(spread.shape, dtype=np.float32))
    mean += _SAMPLED * spread * rng.standard_normal(spread.shape, dtype=np.float32)
    still = spread < 0.3 * _STEP  # all samples of the window fall on one step of the sensor
    np.copyto(mean, np.rint(mean / _STEP) * _STEP, where=still)
    spread[still] = 0
    np.clip(mean, _LOW, _HIGH, out=mean)
    _stick(mean, spread, faults)
    return _statistics(kind, mean, spread, rng)


def _stick(mean: np.ndarray, spread: np.ndarray, faults: tuple[Fault, ...]) -> None:
    """Neighbouring ipmi sensors repeat their last reading, or report zero where the fault is severe."""
    for fault in faults:
        if fault.kind == "stuck_sensors":
            first = fault.which(len(_IPMI))
            stuck = np.take(_IPMI, np.arange(first, first + 3 + int(30 * fault.severity)), mode="wrap")
            held = 0.0 if fault.severity > 0.75 else mean[fault.start, stuck]
            mean[fault.start : fault.stop, stuck] = held
            spread[fault.start : fault.stop, stuck] = 0


def _statistics(kind: Kind, mean: np.ndarray, spread: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay out the chosen statistics. The extremes of 45 samples lie about 2.2 standard deviations from their mean."""
    names = list(kind.statistics)
    values = np.empty((len(mean), len(kind.features)), dtype=np.float32)
    places: dict[str, tuple[list[int], list[int]]] = {}
    column = 0
    for name in names:
        for statistic in kind.statistics[name]:
            metrics, columns = places.setdefault(statistic, ([], []))
            metrics.append(_INDEX[name])
            columns.append(column)
            column += 1
    for statistic, (metrics, columns) in places.items():
        if statistic == "avg":
            values[:, columns] = mean[:, metrics]
            continue
        deviation = spread[:, metrics]
        if statistic != "std":
            reach = deviation * (2.2 + 0.3 * rng.standard_normal(deviation.shape, dtype=np.float32)).clip(0.5)
            step, low, high = _STEP[metrics], _LOW[metrics], _HIGH[metrics]
            down = np.clip(np.floor((mean[:, metrics] - reach) / step) * step, low, high)
            up = np.clip(np.ceil((mean[:, metrics] + reach) / step) * step, low, high)
            deviation = np.where(deviation > 0, down if statistic == "min" else up, mean[:, metrics])
        values[:, columns] = deviation
    return values


def lose_telemetry(
    kind: Kind, values: np.ndarray, condition: Condition, collector_down: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Set lost values to NaN in place, and say which windows arrive at all, (T,) bool.

    A few windows lose one metric or all of a plugin by chance; a node that is not heard loses ganglia and the GPUs;
    rows are absent while the collector of the fleet, or the node's own management controller, is down.
    """
    n_windows = len(values)
    plugin_of = {metric.name: metric.plugin for metric in METRICS}
    plugins = np.array([plugin_of[name] for name, chosen in kind.statistics.items() for _ in chosen])
    metric_of = np.array([number for number, chosen in enumerate(kind.statistics.values()) for _ in chosen])
    for window in np.flatnonzero(rng.random(n_windows) < _INCOMPLETE):
        if rng.random() < 0.5:
            values[window, metric_of == rng.integers(metric_of[-1] + 1)] = np.nan
        else:
            values[window, plugins == rng.choice(("ipmi", "ganglia", "gpu"))] = np.nan
    values[np.ix_(condition.os_silent, plugins != "ipmi")] = np.nan
    own = outages(rng, n_windows, per_day=1 / 15, hours=0.75)
    arrives = ~(own | collector_down)
    if not arrives.any():
        arrives[: min(n_windows, WINDOWS_PER_DAY)] = True
    return arrives
