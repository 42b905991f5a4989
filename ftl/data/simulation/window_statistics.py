"""Statistics over single windows by which a simulated machine and the real one are compared."""

from __future__ import annotations

import fnmatch

import numpy as np
import pandas as pd

from ftl.data.simulation.calibration import Statistics, quantiles

REST_WATTS = 450.0  # a node below it has no job
LOAD_WATTS = (1250.0, 1600.0)  # the loaded windows of the rack-0 sample lie between 1300 and 1538 W

# Short name: the metrics that it is the mean of.
REST_AND_LOAD = {
    "total_power": "total_power", "p0_power": "p0_power", "p0_mem_power": "p0_mem_power", "p0_io_power": "p0_io_power",
    "ps0_input_power": "ps0_input_power", "ps1_input_power": "ps1_input_power", "ps0_output_curre": "ps0_output_curre",
    "ps0_output_volta": "ps0_output_volta", "gpu0_core_temp": "gpu0_core_temp", "gpu1_core_temp": "gpu1_core_temp",
    "p0_core_temp": "p0_core*_temp", "p0_vdd_temp": "p0_vdd_temp", "dimm_temp": "dimm*_temp", "pcie": "pcie",
    "fan0_0": "fan0_0", "fan_disk_power": "fan_disk_power",
}  # fmt: skip
_CORRELATED = (
    *(("total_power", other) for other in (
        "gpu0_core_temp", "gpu1_core_temp", "p0_mem_power", "ps0_input_power", "ps0_output_curre", "pcie", "fan0_0",
        "p0_power", "ps0_output_volta")),
    *(("ambient", other) for other in ("dimm_temp", "p0_vdd_temp", "gpu0_core_temp")),
)  # fmt: skip


def channels(windows: pd.DataFrame) -> pd.DataFrame:
    """Window means under short names; sensors of one kind (all cores of a socket, all DIMMs) averaged.

    Args:
        windows: One row per window with columns `<metric>_avg`, and any of node, rack, day.
    """
    found = {}
    for name, pattern in (REST_AND_LOAD | {"ambient": "ambient", "dimm0_temp": "dimm0_temp"}).items():
        found[name] = windows[fnmatch.filter(windows.columns, f"{pattern}_avg")].mean(axis=1)
    cores = windows[fnmatch.filter(windows.columns, "p0_core*_temp_avg")]
    found["p0_one_core_temp"] = cores.bfill(axis=1).iloc[:, 0]
    kept = [c for c in ("node", "rack", "day") if c in windows]
    return pd.concat([windows[kept], pd.DataFrame(found)], axis=1)


def rest_and_load_statistics(windows: pd.DataFrame) -> Statistics:
    """Levels at rest, ratios of load to rest, and correlations over both, from `channels` of windows.

    Rest is below 450 W, load 1250 to 1600 W, as in the sample of rack 0, which has eight windows at rest for each at
    load. Correlations are taken within one rack and four days, with the same weights of rest and load, and averaged
    over all such pieces with at least 30 windows at rest and 5 at load.
    """
    power = windows["total_power"]
    rest, load = windows[power < REST_WATTS], windows[power.between(*LOAD_WATTS)]
    level, loaded = rest[list(REST_AND_LOAD)].mean(), load[list(REST_AND_LOAD)].mean()
    both = pd.concat([rest.assign(weight=8.0), load.assign(weight=1.0)])
    pieces = [_weighted_correlations(piece) for _, piece in both.groupby(["rack", both["day"] // 4])]
    correlation = pd.DataFrame([piece for piece in pieces if piece]).mean()
    return {
        **{f"rest.{name}": float(level[name]) for name in REST_AND_LOAD},
        **{f"load_to_rest.{name}": float(loaded[name] / level[name]) for name in REST_AND_LOAD},
        **{f"together.{a}.{b}": float(correlation.get(f"{a}.{b}", np.nan)) for a, b in _CORRELATED},
    }


def _weighted_correlations(piece: pd.DataFrame) -> Statistics:
    at_rest = piece["weight"] > 1
    if at_rest.sum() < 30 or (~at_rest).sum() < 5:
        return {}
    weight = np.where(at_rest, 8 / at_rest.sum(), 1 / (~at_rest).sum())
    return {f"{a}.{b}": _weighted_correlation(piece[a].to_numpy(), piece[b].to_numpy(), weight) for a, b in _CORRELATED}


def _weighted_correlation(one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    covariance = np.cov(one[both], other[both], aweights=weight[both])
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


WINDOW_CHANNELS = (
    "total_power", "p0_power", "p0_mem_power", "ps0_input_power", "fan0_0", "fan_disk_power", "gpu0_core_temp",
    "p0_one_core_temp", "p0_vdd_temp", "dimm0_temp", "pcie",
)  # fmt: skip


def window_statistics(windows: pd.DataFrame) -> Statistics:
    """Level of the median node, spread over a node's windows, spread between nodes, from `channels` of windows."""
    by_node = windows.groupby("node")[list(WINDOW_CHANNELS)]
    level, across = by_node.median(), by_node.std()
    power = windows["total_power"].to_numpy()
    return {
        **{f"windows.{name}.level": float(level[name].median()) for name in WINDOW_CHANNELS},
        **{f"windows.{name}.across": float(across[name].median()) for name in WINDOW_CHANNELS},
        **{f"windows.{name}.between_nodes": float(level[name].std()) for name in WINDOW_CHANNELS},
        **quantiles("windows.total_power", power, (25, 50, 75, 95)),
    }
