"""The simulated machine measured like the real one: the tables that ftl.data.simulation.calibration works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ftl.data.node_table import ANOMALOUS, UNKNOWN, NodeTable
from ftl.data.simulation import calibration, window_statistics
from ftl.data.simulation.calibration import NODES_PER_RACK, NodeDays, Statistics
from ftl.data.simulation.faults import condition_under
from ftl.data.simulation.features import KINDS, METRICS
from ftl.data.simulation.fleet import WINDOWS_PER_DAY, WINDOWS_PER_HOUR
from ftl.data.simulation.losses import draw_losses
from ftl.data.simulation.reference import COVERAGE_DAYS, COVERAGE_RACKS, N_NODES, PART_DAYS, PART_RACKS, reference
from ftl.data.simulation.source import SimulatedSource
from ftl.randomness import generator

DAILY_METRICS = ("total_power", "ambient", "p0_power", "p1_power", "cpu_user", "boottime")
_SENSORS = {*window_statistics.REST_AND_LOAD.values()}
WINDOW_METRICS = tuple(
    metric.name for metric in METRICS
    if metric.name in _SENSORS
    or (metric.name.startswith("p0_core") and "p0_core*_temp" in _SENSORS)
    or metric.name in ("dimm0_temp", "dimm5_temp", "dimm10_temp", "dimm15_temp")
)  # fmt: skip
_COMPLETE = ("total_power", "ambient", "p0_power", "p1_power", "gpu0_core_temp", "p0_core0_temp", "dimm0_temp")


@dataclass(frozen=True)
class Measured:
    """What the simulator shows: its statistics, and the tables that they come from, for pictures."""

    statistics: Statistics
    days: NodeDays
    coverage: np.ndarray  # (K, D) share of each day's windows
    windows: pd.DataFrame  # of every fourth node
    labels: pd.DataFrame


def measure_simulator(kind: str, seed: int) -> Measured:
    """Generate fleets of the sizes that the bands are for, and compute every statistic.

    Node days, windows and reboots come from 10 racks over 90 days; outages from 20 racks over 360 days; labels from
    49 racks over 86 650 windows. The largest sample of a day is not in the means of its windows; it comes from whole
    tables, of 40 nodes in 10 racks over 30 days.
    """
    fleet = _fleet(kind, PART_RACKS * NODES_PER_RACK, PART_DAYS * WINDOWS_PER_DAY, seed)
    days, windows = read_days_and_windows(fleet)
    coverage = read_coverage(_fleet(kind, COVERAGE_RACKS * NODES_PER_RACK, COVERAGE_DAYS * WINDOWS_PER_DAY, seed))
    labels, hours = read_labels(_fleet(kind, N_NODES, 86_650, seed))
    channels = window_statistics.channels(windows)
    statistics = {
        **calibration.power_statistics(days),
        **calibration.ambient_statistics(days),
        **calibration.cpu_statistics(days),
        **calibration.reboot_statistics(days.rebooted),
        **calibration.coverage_statistics(coverage),
        **calibration.label_statistics(labels),
        **window_statistics.rest_and_load_statistics(channels),
        **window_statistics.window_statistics(channels),
        **largest_power(SimulatedSource(kind, 40, 30 * WINDOWS_PER_DAY, seed, nodes_per_rack=4)),
        "labels.complete": complete_share(fleet),
        "labels.median_hours": float(np.median(hours)) if len(hours) else np.nan,
    }
    return Measured(statistics, days, coverage, channels, labels)


def calibration_table(simulated: Mapping[str, float]) -> pd.DataFrame:
    """Real, simulated, low, high, inside and more, for every statistic of the reference that was measured."""
    table = reference()
    table = table[table.index.isin(list(simulated))]
    values = pd.Series({name: simulated[name] for name in table.index}, name="simulated", dtype=float)
    table = table.assign(simulated=values, inside=values.between(table["low"], table["high"]))
    return table[["real", "simulated", "low", "high", "inside", "unit", "whole", "rule", "source"]]


def read_days_and_windows(source: SimulatedSource) -> tuple[NodeDays, pd.DataFrame]:
    """Daily values of all nodes, and all windows of every fourth one: slots 1, 5, 9, 13 and 17 of each rack."""
    daily, windows = [], []
    for index, node_id in enumerate(source.node_ids()):
        chosen = index % 4 == 1
        table = source.read_metrics(node_id, tuple(dict.fromkeys(DAILY_METRICS + WINDOW_METRICS * chosen)))
        frame = pd.DataFrame(table.values, columns=list(table.features))
        frame["window"] = _window_of(source, table)
        daily.append(_by_day(frame, source.n_windows))
        if chosen:
            day = frame["window"] // WINDOWS_PER_DAY
            windows.append(frame.assign(node=index, rack=index // NODES_PER_RACK, day=day))
    stacked = {name: np.stack([node[name] for node in daily]) for name in daily[0]}
    stacked["coverage"][:, stacked["coverage"].sum(axis=0) == 0] = np.nan
    nodes = np.arange(len(daily))
    half = np.where(stacked["coverage"] >= 0.5, 1.0, np.nan)
    days = NodeDays(
        rack=nodes // NODES_PER_RACK,
        slot=nodes % NODES_PER_RACK,
        coverage=stacked["coverage"],
        power=stacked["total_power_avg"] * half,
        power_max=np.full_like(half, np.nan),
        ambient=stacked["ambient_avg"] * half,
        cpu_power=(stacked["p0_power_avg"] + stacked["p1_power_avg"]) * half,
        cpu_user=stacked["cpu_user_avg"] * half,
        rebooted=stacked["rebooted"],
    )
    return days, pd.concat(windows, ignore_index=True)


def read_coverage(source: SimulatedSource) -> np.ndarray:
    """Share of the windows of each day that arrived with a node power, (K, D); NaN on days without any node."""
    lost = np.stack([_lost(source, node_id, ("total_power",)) for node_id in source.node_ids()])
    n_days = source.n_windows // WINDOWS_PER_DAY
    share = 1.0 - lost[:, : n_days * WINDOWS_PER_DAY].reshape(len(lost), n_days, WINDOWS_PER_DAY).mean(axis=2)
    share[:, share.sum(axis=0) == 0] = np.nan
    return share


def read_labels(source: SimulatedSource) -> tuple[pd.DataFrame, np.ndarray]:
    """Label counts of every node, and the lengths in hours of all runs of anomalous windows."""
    rows, hours = [], []
    for node, node_id in enumerate(source.node_ids()):
        label = source.labels_of(node_id)
        rows.append((node, len(label), int((label == UNKNOWN).sum()), int((label == ANOMALOUS).sum())))
        hours.append(calibration.run_lengths((label == ANOMALOUS)[None]) / WINDOWS_PER_HOUR)
    columns = ["node", "rows", "unknown_rows", "anomalous_rows"]
    return pd.DataFrame(rows, columns=columns), np.concatenate(hours)


def complete_share(source: SimulatedSource, every: int = 4) -> float:
    """Share of anomalous windows that have a row in which power and temperatures of all parts are there."""
    anomalous = complete = 0
    for node_id in source.node_ids()[::every]:
        label = source.labels_of(node_id) == ANOMALOUS
        anomalous += int(label.sum())
        complete += int((label & ~_lost(source, node_id, _COMPLETE)).sum())
    return complete / anomalous if anomalous else np.nan


def largest_power(source: SimulatedSource) -> Statistics:
    """The largest power of each node-day, from the maxima of windows; empty for a kind of fleet that has no maxima."""
    if "total_power_max" not in KINDS[source.kind].features:
        return {}
    days = []
    for node_id in source.node_ids():
        table = source.read_node(node_id)
        columns = {name: table.values[:, table.features.index(f"total_power_{name}")] for name in ("avg", "max")}
        by_day = pd.DataFrame(columns).groupby(_window_of(source, table) // WINDOWS_PER_DAY)
        days.append(by_day.agg({"avg": "mean", "max": "max"}).reindex(range(source.n_windows // WINDOWS_PER_DAY)))
    mean, largest = (np.stack([node[name].to_numpy(dtype=float) for node in days]) for name in ("avg", "max"))
    return calibration.largest_power_statistics(mean, largest)


def _fleet(kind: str, n_nodes: int, n_windows: int, seed: int) -> SimulatedSource:
    return SimulatedSource(kind, n_nodes, n_windows, seed, nodes_per_rack=NODES_PER_RACK)


def _window_of(source: SimulatedSource, table: NodeTable) -> np.ndarray:
    return (table.time - int(source.fleet_series.time[0])) // int(source.window_seconds())


def _lost(source: SimulatedSource, node_id: str, metrics: Sequence[str]) -> np.ndarray:
    """Windows without a row or without one of the metrics, (n_windows,) bool."""
    # The losses alone take a twentieth of the time of readings; a test holds them to those of `read_metrics`.
    condition = condition_under(source.faults_of(node_id), source.shutdowns_of(node_id), source.n_windows)
    stream = generator(source.seed, "simulated", source.kind, "node", source.node_ids().index(node_id), "losses")
    losses = draw_losses(condition, source.fleet_series, stream)
    lost: np.ndarray = ~losses.arrives | np.any([losses.of(metric) for metric in metrics], axis=0)
    return lost


def _by_day(frame: pd.DataFrame, n_windows: int) -> dict[str, np.ndarray]:
    """Means over each day of one node, its coverage, and whether it rebooted; (D,) each."""
    n_days = n_windows // WINDOWS_PER_DAY
    groups = frame.groupby(frame["window"] // WINDOWS_PER_DAY)
    columns = [f"{metric}_avg" for metric in DAILY_METRICS]
    means = groups[columns].mean().reindex(range(n_days))
    arrived = groups["total_power_avg"].count().reindex(range(n_days), fill_value=0)
    boot = groups["boottime_avg"].max().reindex(range(n_days)).to_numpy(dtype=float)
    return {
        **{name: means[name].to_numpy(dtype=float) for name in columns},
        "coverage": arrived.to_numpy() / WINDOWS_PER_DAY,
        "rebooted": calibration.reboot_days(boot[None])[0],
    }
