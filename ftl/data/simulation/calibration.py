"""Statistics by which a simulated machine and the real one are compared: the same functions run on both.

Three kinds of table go in: what each node did on each day (NodeDays), how many windows of each node bear which label,
and single windows of a few nodes. ftl.data.simulation.reference fills them from recordings of Marconi100,
ftl.data.simulation.measurement from the simulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

NODES_PER_RACK = 20
IDLE_WATTS = 450.0  # a node below it for a whole day has no job
PARTIAL_OUTAGE = 0.05  # share of nodes that lose half a day, above which the day is the fleet's trouble, not a node's

Statistics = dict[str, float]


@dataclass(frozen=True)
class NodeDays:
    """Daily means of K nodes over D consecutive calendar days; values of days less than half recorded are NaN."""

    rack: np.ndarray  # (K,) int
    slot: np.ndarray  # (K,) int, 0 = bottom of the rack
    coverage: np.ndarray  # (K, D) share of the day's samples that arrived; NaN on days without the whole fleet
    power: np.ndarray  # (K, D) W, node power
    power_max: np.ndarray  # (K, D) W, largest sample of the day; NaN throughout where only window means are known
    ambient: np.ndarray  # (K, D) degC
    cpu_power: np.ndarray  # (K, D) W, both sockets
    cpu_user: np.ndarray  # (K, D) %
    rebooted: np.ndarray  # (K, D) 1 where the operating system started anew that day, else 0; NaN where not known

    def take(self, nodes: np.ndarray, days: slice) -> NodeDays:
        """Some nodes over some days."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return NodeDays(**{name: v[nodes] if v.ndim == 1 else v[nodes, days] for name, v in values.items()})

    def ordinary(self) -> NodeDays:
        """Without special nodes: those at rest on more than half of their days (six of Marconi100, all in rack 0)."""
        return self.take(np.flatnonzero(~(idle_share(self.power) > 0.5)), slice(None))


def idle_share(power: np.ndarray) -> np.ndarray:
    """Share of each node's days with a mean below 450 W, (K,)."""
    return _nanmean(np.where(np.isfinite(power), power < IDLE_WATTS, np.nan), axis=1)


def power_statistics(days: NodeDays) -> Statistics:
    """Node power: level, its split into node, day and the rest, persistence, idleness. Special nodes are left out."""
    ordinary = days.ordinary()
    power = ordinary.power
    idle = idle_share(power)
    return {
        **quantiles("power.node_mean", _nanmean(power, axis=1), (5, 50, 95)),
        **{f"power.{part}": value for part, value in variance_split(power, ordinary.rack).items()},
        **{f"power.residual_lag{lag}": residual_autocorrelation(power, lag) for lag in (1, 2, 7)},
        **{f"power.fleet_lag{lag}": _autocorrelation(_nanmean(power, axis=0)[None], lag) for lag in (1, 7)},
        **quantiles("power.node_day", power, (5, 50, 95)),
        "power.idle_days": float(_nanmean(idle, axis=0)),
        **quantiles("power.idle_days_of_node", idle, (50, 95)),
    }


def largest_power_statistics(power: np.ndarray, largest: np.ndarray) -> Statistics:
    """The largest sample of node power on each day of ordinary nodes, from daily means and maxima, both (K, D)."""
    return quantiles("power.daily_max", largest[~(idle_share(power) > 0.5)], (50, 95))


def ambient_statistics(days: NodeDays) -> Statistics:
    """Inlet air: level, split, persistence, and the rise from slot to slot within a rack."""
    ambient, rack = days.ambient, days.rack
    mean = _nanmean(ambient, axis=1)
    above_rack = mean - _group_mean(mean, rack)
    slope = np.polyfit(days.slot[np.isfinite(above_rack)], above_rack[np.isfinite(above_rack)], 1)[0]
    return {
        **quantiles("ambient.node_mean", mean, (5, 50, 95)),
        **{f"ambient.{part}": value for part, value in variance_split(ambient, rack).items()},
        "ambient.residual_lag1": residual_autocorrelation(ambient, 1),
        "ambient.fleet_lag1": _autocorrelation(_nanmean(ambient, axis=0)[None], 1),
        "ambient.per_slot": float(slope),
    }


def cpu_statistics(days: NodeDays) -> Statistics:
    """Processor power and load, and how they go together from day to day in the median node."""
    ordinary = days.ordinary()
    return {
        **quantiles("cpu.power_node_day", ordinary.cpu_power, (5, 50, 95)),
        **quantiles("cpu.user_node_day", ordinary.cpu_user, (5, 50, 95)),
        "cpu.user_absent": float(np.isnan(days.cpu_user[np.isfinite(days.power)]).mean()),
        "cpu.user_with_cpu_power": _median_correlation(ordinary.cpu_power, ordinary.cpu_user),
        "cpu.user_with_total_power": _median_correlation(ordinary.power, ordinary.cpu_user),
    }


def coverage_statistics(coverage: np.ndarray) -> Statistics:
    """Lost telemetry and outages of single nodes, from (K, D) shares of samples per day.

    `lost_together` is the share of the losses above 1 % on days on which more than half of the nodes have one. An
    outage is a run of usual days of which a node loses more than half; it goes on over days that are not usual.
    """
    kept = coverage[:, usual_days(coverage)]
    lengths = run_lengths(kept < 0.5)
    lossy = kept < 0.99
    common = lossy.mean(axis=0) > 0.5
    return {
        **{f"coverage.lose_{lost}_percent": float(np.mean(kept < 1 - lost / 100)) for lost in (1, 5, 25, 50)},
        "coverage.lost_together": float(lossy[:, common].sum() / lossy.sum()) if lossy.any() else np.nan,
        "outages.per_1000_node_days": 1000.0 * len(lengths) / kept.size,
        "outages.one_day": float(np.mean(lengths == 1)) if len(lengths) else np.nan,
        **quantiles("outages.days", lengths, (50, 90)),
        "outages.nodes_with_at_most_one_day": float(np.mean((kept < 0.5).sum(axis=1) <= 1)),
    }


def usual_days(coverage: np.ndarray) -> np.ndarray:
    """Days of which at most 5 % of the nodes lose half, (D,) bool; on others the collector or the machine was down."""
    lost_half = np.where(np.isfinite(coverage), coverage < 0.5, np.nan)
    usual: np.ndarray = np.nan_to_num(_nanmean(lost_half, axis=0), nan=1.0) <= PARTIAL_OUTAGE
    return usual


def reboot_days(boot_time: np.ndarray) -> np.ndarray:
    """Days whose last boot is over ten minutes later than that of the last day known, (K, D); the clock jitters."""
    known = pd.DataFrame(boot_time).ffill(axis=1).shift(axis=1).to_numpy()
    return np.where(np.isfinite(boot_time) & np.isfinite(known), boot_time > known + 600, np.nan)


def reboot_statistics(rebooted: np.ndarray) -> Statistics:
    """Reboots, from (K, D) flags; days on which more than 20 % of the nodes reboot are maintenance of the fleet."""
    share = _nanmean(rebooted, axis=0)
    together = share > 0.2
    n_days = np.isfinite(share).sum()
    return {
        "reboots.per_100_node_days": float(100 * np.nanmean(rebooted[:, ~together])),
        "reboots.fleet_days_per_year": float(365 * together.sum() / n_days) if n_days else np.nan,
    }


def label_statistics(labels: pd.DataFrame) -> Statistics:
    """Anomaly rates of nodes, from one row per node: node, rows, unknown_rows, anomalous_rows.

    Nodes with at most 1000 labelled rows are left out; rates are shares of labelled rows.
    """
    labelled = labels["rows"] - labels["unknown_rows"]
    kept = labels[labelled > 1000]
    rate = (kept["anomalous_rows"] / labelled[labelled > 1000]).to_numpy()
    shares = np.sort(kept["anomalous_rows"].to_numpy())[::-1] / kept["anomalous_rows"].sum()
    held = {f"labels.held_by_top_{top}_percent": shares[: round(top / 100 * len(shares))].sum() for top in (5, 10, 50)}
    racks = pd.Series(rate).groupby(kept["node"].to_numpy() // NODES_PER_RACK).mean().to_numpy()
    return {
        **quantiles("labels.rate", rate, (1, 5, 25, 50, 75, 95, 99)),
        "labels.rate.mean": float(rate.mean()),
        **{name: float(value) for name, value in held.items()},
        **quantiles("labels.rack_rate", racks, (5, 95)),
        "labels.unknown": float((kept["unknown_rows"] / kept["rows"]).median()),
    }


def variance_split(values: np.ndarray, rack: np.ndarray) -> Statistics:
    """Standard deviations of node means, of days, and of what is left, and the share of racks in the node means."""
    node = _nanmean(values, axis=1)
    day = _nanmean(values, axis=0)
    return {
        "total_sd": float(np.nanstd(values)),
        "node_sd": float(np.nanstd(node)),
        "day_sd": float(np.nanstd(day)),
        "residual_sd": float(np.nanstd(_residual(values))),
        "rack_share": float(np.nanvar(_group_mean(node, rack)) / np.nanvar(node)),
    }


def residual_autocorrelation(values: np.ndarray, lag: int) -> float:
    """Correlation of a node's days with those `lag` days later, without node means and the fleet's days."""
    return _autocorrelation(_residual(values), lag)


def run_lengths(flags: np.ndarray) -> np.ndarray:
    """Lengths of all runs of True along the rows of a (K, D) array."""
    padded = np.pad(flags.astype(np.int8), ((0, 0), (1, 1)))
    edges = np.diff(padded, axis=1)
    return np.argwhere(edges == -1)[:, 1] - np.argwhere(edges == 1)[:, 1]


def _residual(values: np.ndarray) -> np.ndarray:
    without_node = values - _nanmean(values, axis=1)[:, None]
    return without_node - _nanmean(without_node, axis=0)


def _autocorrelation(values: np.ndarray, lag: int) -> float:
    return _correlation(values[:, :-lag].ravel(), values[:, lag:].ravel())


def _median_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The median over rows of (K, D) arrays of their correlation; rows with fewer than 20 common days do not count."""
    both = np.isfinite(one) & np.isfinite(other)
    x, y = (np.where(both, values, np.nan) for values in (one, other))
    x, y = (values - _nanmean(values, axis=1)[:, None] for values in (x, y))
    covariance, x_power, y_power = (np.nansum(product, axis=1) for product in (x * y, x * x, y * y))
    counts = (both.sum(axis=1) >= 20) & (x_power > 0) & (y_power > 0)
    return float(np.median(covariance[counts] / np.sqrt(x_power * y_power)[counts])) if counts.any() else np.nan


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return _median_correlation(one[None], other[None])


def _group_mean(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    return pd.Series(values).groupby(group).transform("mean").to_numpy()


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    seen = np.isfinite(values)
    n = seen.sum(axis=axis)
    return np.where(n > 0, np.where(seen, values, 0.0).sum(axis=axis) / np.maximum(n, 1), np.nan)


def quantiles(name: str, values: np.ndarray, percents: Sequence[int]) -> Statistics:
    """Percentiles of the finite values under `<name>.p5`, `<name>.median` and so on; NaN where there is none."""
    finite = values[np.isfinite(values)]
    words = {50: "median"}
    found = np.percentile(finite, percents) if finite.size else np.full(len(percents), np.nan)
    return {f"{name}.{words.get(p, f'p{p}')}": float(v) for p, v in zip(percents, found, strict=True)}
