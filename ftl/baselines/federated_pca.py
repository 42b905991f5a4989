"""Federated PCA: one model of the whole fleet from sums alone, in one round and without any gradient.

First the fleet agrees on a scale: each node sends two quantiles of each feature, and the medians over nodes become the
fleet's range. Then, in one round, each node sends the number, the sum and the cross-products of its training rows in
that scale; their total gives the covariance of all rows, and with it the same components and residual variances as if
the rows had been pooled. No row leaves its node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.baselines.pca import PrincipalComponents, ReconstructionDetector, leading_components
from ftl.data.fleet import Fleet
from ftl.detection import AnomalyScore, NormalisedResidual, ScoringSettings

LOW_QUANTILE, HIGH_QUANTILE = 0.005, 0.995


@dataclass(frozen=True)
class FleetScale:
    """The fleet's range of each feature, in (transformed) raw units: low and span (> 0), shape (F,) each.

    Clipping, in units of that range, keeps a single wild node from making up the covariance.
    """

    low: np.ndarray
    span: np.ndarray
    clip_low: float
    clip_high: float

    def rescale(self, x: np.ndarray, offset: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Rows (T, F) from a node's own scale, raw = x * scale + offset, to the fleet's, clipped; float64."""
        own_to_fleet = scale.astype(np.float64) / self.span
        shift = (offset.astype(np.float64) - self.low) / self.span
        return np.clip(x * own_to_fleet + shift, self.clip_low, self.clip_high)


@dataclass(frozen=True)
class Moments:
    """What a node sends: number, sum (F,) and cross-products (F, F) of its training rows in the fleet scale."""

    n_rows: int
    total: np.ndarray
    cross: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n_rows + other.n_rows, self.total + other.total, self.cross + other.cross)

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.n_rows

    @property
    def covariance(self) -> np.ndarray:
        return self.cross / self.n_rows - np.outer(self.mean, self.mean)


def moments(x: np.ndarray) -> Moments:
    """The moments of rows (T, F) in the fleet scale."""
    return Moments(len(x), x.sum(axis=0), x.T @ x)


@dataclass(frozen=True)
class FederatedDetector:
    """The fleet's PCA on one node: brings its rows (T, F) to the fleet scale and scores them there."""

    fleet_scale: FleetScale
    offset: np.ndarray
    scale: np.ndarray
    detector: ReconstructionDetector

    @property
    def n_components(self) -> int:
        return int(self.detector.principal.components.shape[1])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.detector(self.fleet_scale.rescale(x, self.offset, self.scale))


def fleet_quantile_scale(fleet: Fleet, training_rows: Sequence[np.ndarray]) -> FleetScale:
    """The median over nodes of the .5 % and 99.5 % quantiles of their training rows.

    Where most nodes hold a feature constant, the widest node's range stands in; where all do, 1.
    """
    low, high = np.empty((2, len(training_rows), len(fleet.features)))
    for node, rows in enumerate(training_rows):
        own = np.quantile(fleet.x[rows], (LOW_QUANTILE, HIGH_QUANTILE), axis=0)
        low[node], high[node] = own * fleet.scale[node].astype(np.float64) + fleet.offset[node]
    median_low, span = np.median(low, axis=0), np.median(high, axis=0) - np.median(low, axis=0)
    span = np.where(span > 0.0, span, (high - low).max(axis=0))
    return FleetScale(median_low, np.where(span > 0.0, span, 1.0), fleet.clip_low, fleet.clip_high)


def pool_detector(pooled: Moments, variance_floor: float) -> ReconstructionDetector:
    """The server's part: components and residual variances of all rows from their pooled moments."""
    covariance = pooled.covariance
    components = leading_components(covariance)
    explained = np.einsum("fl,fl->f", components, covariance @ components)  # components are eigenvectors
    variance = np.maximum(np.diag(covariance) - explained, 0.0)
    principal = PrincipalComponents(pooled.mean, components)
    return ReconstructionDetector(principal, NormalisedResidual(variance + variance_floor))


def fit_federated_pca(
    fleet: Fleet, training_rows: Sequence[np.ndarray], settings: ScoringSettings
) -> list[AnomalyScore]:
    """The fleet's PCA, ready on each node.

    Args:
        fleet: The prepared fleet, K nodes.
        training_rows: Absolute row numbers of each node's training rows, K arrays, none empty.
        settings: Its variance_floor is added to the pooled residual variance.

    Returns:
        One score per node, in the order of the fleet; each takes the node's rows as they stand in `fleet.x`.
    """
    scale = fleet_quantile_scale(fleet, training_rows)
    n_features = len(fleet.features)
    pooled = Moments(0, np.zeros(n_features), np.zeros((n_features, n_features)))
    for node, rows in enumerate(training_rows):
        pooled += moments(scale.rescale(fleet.x[rows], fleet.offset[node], fleet.scale[node]))
    detector = pool_detector(pooled, settings.variance_floor)
    return [
        FederatedDetector(scale, fleet.offset[node], fleet.scale[node], detector) for node in range(len(training_rows))
    ]
