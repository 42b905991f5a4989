"""What the real machine shows: the statistics of ftl.data.simulation.calibration with a band around each.

The bands stand in reference.csv, so that no recording is needed to use them. `measure` computes that table anew from
the recordings; a test compares the two. The bands follow from these rules alone, which were fixed before any simulated
value was looked at:

* sample: The value and band of node-day statistics are the median and the 1st and 99th percentile over 600 random
  parts of the real machine as large as the simulated fleet: 10 of 49 racks over 90 consecutive days from 2021-04-01 on
  (in normal production); coverage and outages, which are rare events, 20 racks over 360 days from 2020-05-01 on. The
  band reaches at least 10 % beyond the value on both sides, 0.1 for correlations. `whole` is the statistic of the
  whole machine and period.
* bootstrap: The value is that of the whole machine; the band holds the 1st to 99th percentile over 600 draws of 49
  racks with replacement, and at least 15 % on both sides (labels).
* rack 0: One rack on one afternoon, 16 nodes, one kind of job. Levels within 15 %; the ratio of load to rest may rise
  by half to twice as much; correlations within max(0.15, (1 - |r|) / 2).
* published: Single numbers of others' fits, over a period that they do not state. Levels and quantiles within 15 %,
  spreads over windows and between nodes within a factor of 2. (Their ambient is left out: m100_daily has it measured.)
* inferred: What no one has measured directly; within a factor of 4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from ftl.data.simulation import calibration, window_statistics
from ftl.data.simulation.calibration import NODES_PER_RACK, NodeDays, Statistics
from ftl.randomness import generator

N_NODES = 980
N_RACKS = N_NODES // NODES_PER_RACK
N_DRAWS = 600
PART_RACKS, PART_DAYS, PART_FROM = 10, 90, "2021-04-01"
COVERAGE_RACKS, COVERAGE_DAYS, COVERAGE_FROM = 20, 360, "2020-05-01"
COLUMNS = ("statistic", "real", "low", "high", "whole", "unit", "rule", "source")


@cache
def reference() -> pd.DataFrame:
    """The table of bands, indexed by statistic: real, low, high, whole, unit, rule, source. Not to be written to."""
    with (files(__package__) / "reference.csv").open() as file:
        return pd.read_csv(file).set_index("statistic")


def measure(recordings: Path) -> pd.DataFrame:
    """Compute the table of bands from recordings, as it stands in reference.csv.

    Args:
        recordings: Folder with m100_daily, m100_label_stats and m100_rack0_sample.

    Raises:
        FileNotFoundError: If one of them is not there.
    """
    days = real_node_days(recordings)
    rows = [
        *_from_parts(days, PART_FROM, PART_RACKS, PART_DAYS, _part_statistics),
        *_from_parts(days, COVERAGE_FROM, COVERAGE_RACKS, COVERAGE_DAYS, _coverage_statistics),
        *_from_labels(real_labels(recordings)),
        *_from_rack0(real_rack0(recordings)),
        *_published(),
    ]
    table = pd.DataFrame(rows, columns=COLUMNS).set_index("statistic")
    return table.round({"real": 4, "low": 4, "high": 4, "whole": 4})


def real_node_days(recordings: Path) -> NodeDays:
    """All of Marconi100 day by day, 2020-03-09 to 2022-09-28, 980 nodes x 934 days."""
    table = pd.read_parquet(recordings / "m100_daily" / "node_day.parquet")
    table = table[table["node"] < N_NODES].assign(day=lambda t: t["day"].dt.tz_localize(None))
    calendar = pd.date_range("2020-03-09", "2022-09-28")

    def matrix(column: str) -> np.ndarray:
        wide = table.pivot(index="node", columns="day", values=column)
        return wide.reindex(index=range(N_NODES), columns=calendar).to_numpy(dtype=float, na_value=np.nan)

    coverage = np.nan_to_num(matrix("total_power_n")) / 4320
    coverage[:, coverage.sum(axis=0) == 0] = np.nan
    half = np.where(coverage >= 0.5, 1.0, np.nan)
    nodes = np.arange(N_NODES)
    return NodeDays(
        rack=nodes // NODES_PER_RACK,
        slot=nodes % NODES_PER_RACK,
        coverage=coverage,
        power=matrix("total_power_mean") * half,
        power_max=matrix("total_power_max") * half,
        ambient=matrix("ambient_mean") * half,
        cpu_power=(matrix("p0_power_mean") + matrix("p1_power_mean")) * half,
        cpu_user=matrix("cpu_user_mean") * half,
        rebooted=calibration.reboot_days(matrix("boottime_max")),
    )


def real_labels(recordings: Path) -> pd.DataFrame:
    """Label counts of 858 nodes over the whole period: node, rows, unknown_rows, anomalous_rows and more."""
    return pd.read_csv(recordings / "m100_label_stats" / "label_counts_per_node.csv")


def real_rack0(recordings: Path) -> pd.DataFrame:
    """The 160 windows of 16 nodes of rack 0, as `channels`."""
    windows = pd.read_parquet(recordings / "m100_rack0_sample" / "rack0_10windows_avg.parquet")
    return window_statistics.channels(windows.assign(rack=windows["rack_id"], day=0))


def _part_statistics(days: NodeDays) -> Statistics:
    return {
        **calibration.power_statistics(days),
        **calibration.largest_power_statistics(days.power, days.power_max),
        **calibration.ambient_statistics(days),
        **calibration.cpu_statistics(days),
        **calibration.reboot_statistics(days.rebooted),
    }


def _coverage_statistics(days: NodeDays) -> Statistics:
    return calibration.coverage_statistics(days.coverage)


def _from_parts(
    days: NodeDays, since: str, n_racks: int, n_days: int, statistics: Callable[[NodeDays], Statistics]
) -> list[tuple[object, ...]]:
    everything = np.arange(N_NODES)
    days = days.take(everything, slice((pd.Timestamp(since) - pd.Timestamp("2020-03-09")).days, None))
    rng = generator(0, "calibration", since)
    found = []
    for _ in range(N_DRAWS):
        racks = rng.choice(N_RACKS, n_racks, replace=False)
        start = int(rng.integers(days.coverage.shape[1] - n_days + 1))
        part = days.take(everything[np.isin(days.rack, racks)], slice(start, start + n_days))
        if np.isfinite(part.coverage[0]).mean() >= 2 / 3:  # not where the release itself has a hole
            found.append(statistics(part))
    draws, whole = pd.DataFrame(found), statistics(days)
    rule = f"sample: {n_racks} racks, {n_days} days"
    return [
        (name, *_sampled_band(name, draws[name].to_numpy()), value, unit_of(name), rule, f"m100_daily from {since}")
        for name, value in whole.items()
    ]  # fmt: skip


def _sampled_band(name: str, draws: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.nanpercentile(draws, (1, 50, 99))
    least = 0.1 if unit_of(name) == "correlation" else 0.1 * abs(middle)
    most = 1.0 if unit_of(name) in ("correlation", "share") else np.inf
    return middle, min(low, middle - least), min(most, max(high, middle + least))


def _from_labels(labels: pd.DataFrame) -> list[tuple[object, ...]]:
    whole = calibration.label_statistics(labels)
    rng = generator(0, "calibration", "labels")
    node = labels["node"].to_numpy()
    members = [np.flatnonzero(node // NODES_PER_RACK == rack) for rack in np.unique(node // NODES_PER_RACK)]
    found = []
    for _ in range(N_DRAWS):
        drawn = [members[k] for k in rng.choice(len(members), len(members))]
        place = np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])
        chosen = np.concatenate(drawn)
        again = labels.iloc[chosen].assign(node=NODES_PER_RACK * place + node[chosen] % NODES_PER_RACK)
        found.append(calibration.label_statistics(again))
    draws = pd.DataFrame(found)
    rows: list[tuple[object, ...]] = []
    for name, value in whole.items():
        low, high = np.nanpercentile(draws[name], (1, 99))
        band = (min(low, 0.85 * value), max(high, 1.15 * value))
        rows.append((name, value, *band, value, unit_of(name), "bootstrap: 49 racks", "m100_label_stats"))
    return rows


def _from_rack0(windows: pd.DataFrame) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, value in window_statistics.rest_and_load_statistics(windows).items():
        if name.startswith("rest."):
            band = (0.85 * value, 1.15 * value)
        elif name.startswith("load_to_rest."):
            half, twice = 1 + 0.5 * (value - 1), 1 + 2 * (value - 1)
            band = (min(half, twice), max(half, twice))
        else:
            slack = max(0.15, (1 - abs(value)) / 2)
            band = (max(-1.0, value - slack), min(1.0, value + slack))
        rows.append((name, value, *band, value, unit_of(name), "rack 0", "m100_rack0_sample"))
    return rows


# Level, spread over windows, spread between nodes: robust fits over 120 nodes (MSKazemi/aobench, metric_distributions).
_FITS = {
    "total_power": (644, 219, 59), "p0_power": (51, 40, 8), "p0_mem_power": (19, 3, 0.4),
    "ps0_input_power": (381, 119, 47), "fan0_0": (4355, 490, 415), "fan_disk_power": (33, 10.6, 1.4),
    "gpu0_core_temp": (42.5, 8.8, 2.5), "p0_one_core_temp": (45.5, 9, 3.5), "p0_vdd_temp": (34, 5, 3.5),
    "dimm0_temp": (31, 2.6, 1.9), "pcie": (40.8, 4.8, 2.5),
}  # fmt: skip
_FITTED = (("level", lambda v: (0.85 * v, 1.15 * v)), ("across", lambda v: (v / 2, 2 * v)),
           ("between_nodes", lambda v: (v / 2, 2 * v)))  # fmt: skip
_QUANTILES = {"p25": 540.0, "median": 680.0, "p75": 820.0, "p95": 1140.0}  # W, samples of all nodes in March 2021
# GRAAFE's rows without gaps hold 0.045 % positives, all of its rows 0.95 %; half of the faults are said to end in 6 h.
_INFERRED = {"labels.complete": (0.047, "share"), "labels.median_hours": (6.0, "h")}


def _published() -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for channel, values in _FITS.items():
        for (part, band), value in zip(_FITTED, values, strict=True):
            name = f"windows.{channel}.{part}"
            rows.append((name, value, *band(value), value, unit_of(name), "published", "telemetry 4a, aobench fits"))
    for quantile, value in _QUANTILES.items():
        name = f"windows.total_power.{quantile}"
        rows.append((name, value, 0.85 * value, 1.15 * value, value, unit_of(name), "published", "telemetry 4a, 21-03"))
    for name, (value, unit) in _INFERRED.items():
        rows.append((name, value, value / 4, 4 * value, value, unit, "inferred", "telemetry 3c, 4d"))
    return rows


_UNITS = {
    "correlation": ("together.", "cpu.user_with", "residual_lag", "fleet_lag"),
    "share": ("rack_share", "idle_days", "lose_", "one_day", "labels.", "absent", "lost_together"),
    "ratio": ("load_to_rest.",),
    "per 1000 node-days": ("outages.per_1000",), "per 100 node-days": ("reboots.per_100",), "per year": ("per_year",),
    "days": ("outages.days",), "degC per slot": ("per_slot",), "%": ("cpu.user_node_day",),
    "RPM": ("fan0_0",), "A": ("_curre",), "V": ("_volta",),
    "degC": ("ambient", "_temp", "pcie"), "W": ("power",),
}  # fmt: skip


def unit_of(statistic: str) -> str:
    """The unit in which a statistic is given."""
    return next(unit for unit, marks in _UNITS.items() if any(mark in statistic for mark in marks))
