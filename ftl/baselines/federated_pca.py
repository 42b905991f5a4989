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
from ftl.sharing.moments import Moments, moments
from ftl.sharing.scale import HIGH_QUANTILE, LOW_QUANTILE, FleetScale, agreed_range


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
    fleet_low, span = agreed_range(low, high)
    return FleetScale(fleet_low, np.where(span > 0.0, span, 1.0), fleet.clip_low, fleet.clip_high)


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
    pooled = Moments.none(len(fleet.features))
    for node, rows in enumerate(training_rows):
        pooled += moments(scale.rescale(fleet.x[rows], fleet.offset[node], fleet.scale[node]))
    detector = pool_detector(pooled, settings.variance_floor)
    return [
        FederatedDetector(scale, fleet.offset[node], fleet.scale[node], detector) for node in range(len(training_rows))
    ]
