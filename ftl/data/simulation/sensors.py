"""From the state of a node to what its sensors report: gain, offset, lag, noise, resolution, stuck readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ftl.data.simulation.faults import Fault
from ftl.data.simulation.features import METRICS, N_CORE_SLOTS, Metric
from ftl.data.simulation.software import Series
from ftl.data.simulation.traits import Traits
from ftl.randomness import generator

_INDEX = {metric.name: index for index, metric in enumerate(METRICS)}
_N_IPMI = sum(metric.plugin == "ipmi" for metric in METRICS)  # they come first
# The sensors of the middle of a die read warmer than those of its edge; the same on every die.
_CORE_PATTERN = 2.0 * np.cos(2 * np.pi * (np.arange(24) % 12 - 5.5) / 12)
_SAMPLED = 0.2  # error of a window's mean relative to the standard deviation of its samples


_GAIN_SPREAD = np.array([metric.gain_spread for metric in METRICS])
_OFFSET_SPREAD = np.array([metric.offset_spread for metric in METRICS])


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
    statistics: Mapping[str, tuple[str, ...]], sensors: Sensors, channels: Series, swings: Series,
    faults: tuple[Fault, ...], seed: int,
) -> np.ndarray:  # fmt: skip
    """The chosen statistics of one node's metrics, nothing missing yet.

    Every metric has its own stream of random numbers, so that its readings do not depend on which others are read.

    Args:
        statistics: Metric name -> which of avg, std, min, max.
        sensors: The sensors of this node.
        channels: Name -> (T,) mean of each quantity over each window.
        swings: Name -> (T,) its standard deviation inside the window, for those that move.
        faults: The node's faults; some hold readings.
        seed: Of the node's readings.

    Returns:
        (T, F) float32, metric by metric.
    """
    columns = []
    for name, chosen in statistics.items():
        index = _INDEX[name]
        metric, rng = METRICS[index], generator(seed, name)
        mean, spread = _read(metric, sensors.gain[index], sensors.offset[index], channels, swings, rng)
        _stick(index, mean, spread, faults)
        columns += [_statistic(metric, statistic, mean, spread, rng) for statistic in chosen]
    return np.stack(columns, axis=1)


def _read(
    metric: Metric, gain: float, offset: float, channels: Series, swings: Series, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of one metric's samples in each window, both (T,) float32."""
    mean = channels[metric.channel].astype(np.float32)
    if metric.lag:
        mean[1:] = (1 - metric.lag) * mean[1:] + metric.lag * mean[:-1]
    mean = ((mean - metric.anchor) * gain + (metric.anchor + offset)).astype(np.float32)
    spread = np.full(len(mean), metric.within, dtype=np.float32)
    if metric.channel in swings:
        spread = np.hypot(swings[metric.channel] * (gain * metric.follow), spread, dtype=np.float32)
    if spread.any():
        spread *= np.abs(1 + 0.15 * rng.standard_normal(len(spread), dtype=np.float32))
        mean += _SAMPLED * spread * rng.standard_normal(len(spread), dtype=np.float32)
    still = spread < 0.3 * metric.step  # all samples of the window fall on one step of the sensor
    np.copyto(mean, np.rint(mean / metric.step) * metric.step, where=still)
    spread[still] = 0
    return np.clip(mean, metric.low, metric.high), spread


def _stick(index: int, mean: np.ndarray, spread: np.ndarray, faults: tuple[Fault, ...]) -> None:
    """Neighbouring ipmi sensors repeat their last reading, or report zero where the fault is severe."""
    for fault in faults:
        beyond_first = (index - fault.which(_N_IPMI)) % _N_IPMI
        if fault.kind == "stuck_sensors" and index < _N_IPMI and beyond_first < 3 + int(30 * fault.severity):
            mean[fault.start : fault.stop] = 0.0 if fault.severity > 0.75 else mean[fault.start]
            spread[fault.start : fault.stop] = 0


def _statistic(
    metric: Metric, statistic: str, mean: np.ndarray, spread: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One statistic, (T,). The extremes of 45 samples lie two standard deviations from their mean or further."""
    if statistic == "avg":
        return mean
    if statistic == "std":
        return spread
    reach = spread * (2 + 0.8 * rng.standard_exponential(len(spread), dtype=np.float32))
    if statistic == "min":
        extreme = np.floor((mean - reach) / metric.step)
    else:
        extreme = np.ceil((mean + reach) / metric.step)
    within_range: np.ndarray = np.clip(extreme * metric.step, metric.low, metric.high)
    return np.where(spread > 0, within_range, mean)
