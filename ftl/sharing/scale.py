"""One scale for the whole fleet, agreed on from a few quantiles of every node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.sharing.sizes import NUMBER_BYTES

LOW_QUANTILE, HIGH_QUANTILE = 0.005, 0.995


@dataclass(frozen=True)
class QuantileReport:
    """What one node sends about its training rows; vectors are (F,) float64, NaN for a feature that it lacks.

    Attributes:
        n_rows: Training rows that they were taken of.
        low, high: The .5 % and 99.5 % quantiles.
        lowest, highest: The range; it tells a feature that rarely leaves its rest from one that never does.
    """

    n_rows: int
    low: np.ndarray
    high: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    @property
    def n_bytes(self) -> int:
        return NUMBER_BYTES * (1 + len(self.low) + len(self.high) + len(self.lowest) + len(self.highest))


@dataclass(frozen=True)
class FleetScale:
    """The fleet's range of each feature, in raw units: low and span (> 0), shape (F,) each.

    Clipping, in units of that range, keeps a single wild node from making up what is learned or summed in this scale.
    """

    low: np.ndarray
    span: np.ndarray
    clip_low: float
    clip_high: float

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """Raw rows (T, F) as float32 in units of the fleet's range, clipped; NaN stays NaN."""
        scaled = (np.asarray(raw, np.float64) - self.low) / self.span
        return np.clip(scaled, self.clip_low, self.clip_high).astype(np.float32)

    def rescale(self, x: np.ndarray, offset: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Rows (T, F) from a node's own scale, raw = x * scale + offset, to the fleet's, clipped; float64."""
        own_to_fleet = scale.astype(np.float64) / self.span
        shift = (offset.astype(np.float64) - self.low) / self.span
        return np.clip(x * own_to_fleet + shift, self.clip_low, self.clip_high)

    @property
    def n_bytes(self) -> int:
        """Of low and span; where to clip is a parameter, which every node has."""
        return NUMBER_BYTES * (len(self.low) + len(self.span))


def quantile_report(x: np.ndarray) -> QuantileReport:
    """The report on training rows, shape (T, F); NaN are left out, and a feature without any value gets NaN."""
    rows = np.asarray(x, np.float64)
    found = np.full((4, rows.shape[1]), np.nan)
    known = ~np.isnan(rows).all(axis=0)  # none, where there are no rows
    if known.any():
        levels = (LOW_QUANTILE, HIGH_QUANTILE, 0.0, 1.0)
        gaps = np.isnan(rows[:, known]).any()
        found[:, known] = (np.nanquantile if gaps else np.quantile)(rows[:, known], levels, axis=0)
    return QuantileReport(len(rows), *found)


def fleet_scale(reports: Sequence[QuantileReport], clip_low: float = -4.0, clip_high: float = 5.0) -> FleetScale:
    """The medians over nodes of their quantiles; a node weighs the same however many rows it has.

    Where most nodes hold a feature constant, the widest node's range stands in. Where all do, or nobody has the
    feature, the span is 1.

    Raises:
        ValueError: If there is no report.
    """
    if not reports:
        raise ValueError("fleet_scale needs the report of at least one node")
    low, span = agreed_range(*(np.stack([getattr(report, end) for report in reports]) for end in ("low", "high")))
    whole = widest(np.stack([report.highest - report.lowest for report in reports]))
    span = np.where(span > 0.0, span, whole)
    return FleetScale(low, np.where(span > 0.0, span, 1.0), clip_low, clip_high)


def agreed_range(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and span (F,) of the fleet from both quantiles of each node, (K, F) each, NaN where a node lacks the feature.

    The span is that of the medians, or of the widest node where that is 0; 0 where no node's quantiles differ.
    """
    median_low, median_high = median_over_nodes(low), median_over_nodes(high)
    span = np.nan_to_num(median_high - median_low)
    return np.nan_to_num(median_low), np.where(span > 0.0, span, widest(high - low))


def median_over_nodes(values: np.ndarray) -> np.ndarray:
    """The median over the nodes that are not NaN, (K, F) -> (F,) in the values' dtype; NaN where no node is left."""
    median = np.full(values.shape[1], np.nan, values.dtype)
    known = ~np.isnan(values).all(axis=0)
    median[known] = np.nanmedian(values[:, known], axis=0)
    return median


def widest(ranges: np.ndarray) -> np.ndarray:
    """The largest range over nodes, (K, F) -> (F,); 0 where no node has the feature."""
    return np.nan_to_num(ranges, nan=0.0).max(axis=0)
