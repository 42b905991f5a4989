"""Which readings of a node never arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ftl.data.simulation.condition import Condition
from ftl.data.simulation.features import METRICS, N_GPUS
from ftl.data.simulation.fleet import WINDOWS_PER_DAY, FleetSeries, outages

_INCOMPLETE = 0.004  # share of windows with values missing by chance
_GPUS = tuple(f"gpu{number}" for number in range(N_GPUS))
_TOGETHER = (("bmc", "host", "gpus"), ("os",), _GPUS)  # reporters whose messages get lost together by chance
_INDEX = {metric.name: index for index, metric in enumerate(METRICS)}


@dataclass(frozen=True)
class Losses:
    """Which readings of one node are lost."""

    arrives: np.ndarray  # (T,) bool: the window has a row at all
    silent: Mapping[str, np.ndarray]  # reporter (Metric.reporter) -> (T,) bool: all that it reports is lost
    single: np.ndarray  # (T,) int: the one metric lost by itself, -1 for none

    def of(self, metric: str) -> np.ndarray:
        """The windows in which this metric is lost, (T,) bool."""
        index = _INDEX[metric]
        lost: np.ndarray = self.silent[METRICS[index].reporter] | (self.single == index)
        return lost


def draw_losses(condition: Condition, fleet: FleetSeries, rng: np.random.Generator) -> Losses:
    """What is lost of one node.

    While the collector of the whole fleet is down there is no row. Otherwise every window has one, as in the
    time-aggregated release of Marconi100, and its values are missing: those of processors, GPUs and memory where the
    node is off; all of ipmi where its management controller is silent; ganglia and all of the GPUs where its operating
    system is; what a GPU reports itself where it is lost. A few windows lose one metric or all of a plugin by chance.

    That ipmi loses the temperatures of the GPUs with the operating system is inferred: nearly all anomalous windows of
    Marconi100 are incomplete in ipmi, but at most one in four has lost its node power.
    """
    n_windows = len(fleet.time)
    controller = condition.bmc_silent | outages(rng, n_windows, per_day=1 / 300, hours=1.5, spread=1.0)
    daemon = condition.os_silent | fleet.ganglia_down | outages(rng, n_windows, per_day=1 / 400, hours=30, spread=1.0)
    host = controller | (condition.powered == 0)
    silent = {"bmc": controller, "host": host, "gpus": host | condition.os_silent, "os": daemon}
    silent |= {gpu: daemon | (condition.gpu_alive[:, number] == 0) for number, gpu in enumerate(_GPUS)}

    incomplete, alone = rng.random(n_windows) < _INCOMPLETE, rng.random(n_windows) < 0.9
    which = rng.integers(len(_TOGETHER), size=n_windows)
    for number, reporters in enumerate(_TOGETHER):
        for reporter in reporters:
            silent[reporter] = silent[reporter] | (incomplete & ~alone & (which == number))
    single = np.where(incomplete & alone, rng.integers(len(METRICS), size=n_windows), -1)
    arrives = ~fleet.collector_down
    if not arrives.any():
        arrives[: min(n_windows, WINDOWS_PER_DAY)] = True
    return Losses(arrives, silent, single)
