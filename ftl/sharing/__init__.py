"""Statistics that nodes share beside weights: sums, quantiles and names, of which every message knows its bytes.

Each statistic is what the pooled rows would give, or a median over nodes that needs a few numbers of each; no row
leaves its node. Only numpy.
"""

from ftl.sharing.census import ColumnCensus, ColumnReport, census
from ftl.sharing.moments import Moments, moments
from ftl.sharing.scale import FleetScale, QuantileReport, fleet_scale, quantile_report
from ftl.sharing.sketch import QuantileSketch, merge, pooled_quantile, sketch
from ftl.sharing.thresholds import ThresholdReport, fleet_threshold
from ftl.sharing.variance import ResidualSums, median_variance, residual_sums, shrunk_variance

__all__ = [
    "ColumnCensus",
    "ColumnReport",
    "FleetScale",
    "Moments",
    "QuantileReport",
    "QuantileSketch",
    "ResidualSums",
    "ThresholdReport",
    "census",
    "fleet_scale",
    "fleet_threshold",
    "median_variance",
    "merge",
    "moments",
    "pooled_quantile",
    "quantile_report",
    "residual_sums",
    "shrunk_variance",
    "sketch",
]
