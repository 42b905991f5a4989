"""What a fleet hands to nodes that have just joined: a detector made of what its nodes can share, never of a row.

A scale (medians of quantiles), the principal components of all rows in that scale (from sums), residual variances and
two thresholds (medians over nodes). Variances and thresholds are those of nodes that the components have not seen.

It is PCA alone: an autoencoder that all nodes train (5 rounds of 100 steps) takes 11 to 14 s of CPU on the two default
fleets, and on real servers (ASD) does not rank the rows of new nodes better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.baselines.pca import PrincipalComponents, leading_components
from ftl.data.fleet import TRAIN, VALIDATION, Fleet
from ftl.detection.newcomer import PSEUDO_ROWS, Newcomer, NewcomerCard, around_zero, seen_of
from ftl.detection.settings import DetectionSettings
from ftl.detection.smoothing import smooth
from ftl.sharing import (
    FleetScale,
    Moments,
    QuantileReport,
    ResidualSums,
    ThresholdReport,
    fleet_scale,
    fleet_threshold,
    median_variance,
    moments,
    quantile_report,
    residual_sums,
    shrunk_variance,
)

N_FOLDS = 4
"""Of nodes, each scored by the components of the others to learn what a newcomer's scores are like."""


def newcomer_of(fleet: Fleet, detection: DetectionSettings, nodes: Sequence[int] | None = None) -> Newcomer | None:
    """The fleet's detector for newcomers; None where no node has a normal row before its test part.

    Where most nodes are re-based, newcomers are, and only re-based nodes have a say in it; else only the others have.

    Args:
        fleet: The prepared fleet; nothing here looks at a test row.
        detection: Percentile, smoothing and variance floor.
        nodes: Those that take part, by position; all of them by default.
    """
    rebased = fleet.is_rebased
    is_rebased = bool(2 * rebased.sum() > len(rebased))
    sharing = [_Sharing(fleet, node, detection) for node in (nodes if nodes is not None else range(len(rebased)))]
    sharing = [one for one in sharing if rebased[one.node] == is_rebased and len(one.rows)]
    if not sharing:
        return None
    scale = fleet_scale([one.quantiles() for one in sharing], fleet.clip_low, fleet.clip_high)
    of_nodes = [one.moments(scale) for one in sharing]
    mean = _mean(of_nodes, [one.muted for one in sharing])
    known = [_with_usual(own, one.muted, mean) for one, own in zip(sharing, of_nodes, strict=True)]
    unseen = _components_of_others(known)
    sums = [one.squares(scale, PrincipalComponents(mean, other)) for one, other in zip(sharing, unseen, strict=True)]
    variance = np.nan_to_num(median_variance(sums))
    levels = [
        one.levels(scale, PrincipalComponents(mean, other), own, variance)
        for one, other, own in zip(sharing, unseen, sums, strict=True)
    ]
    components = _components(known)
    card = NewcomerCard(
        n_nodes=len(sharing),
        percentile=float(detection.percentile),
        threshold=fleet_threshold(newcomer for newcomer, _ in levels),
        participant_threshold=fleet_threshold(participant for _, participant in levels),
        pseudo_rows=PSEUDO_ROWS,
        spacing=float(np.median([one.spacing for one in sharing])),
        is_rebased=is_rebased,
        alignment=fleet.report["settings"]["alignment"],
    )
    muted = np.logical_and.reduce([one.muted for one in sharing])
    return Newcomer(card, scale.low, scale.span, mean, components, variance, muted)


@dataclass(frozen=True)
class _Sharing:
    """A node that shares: its normal rows before the test part, read from the fleet whenever they are needed."""

    fleet: Fleet
    node: int
    detection: DetectionSettings

    @property
    def rows(self) -> np.ndarray:
        rows = self.fleet.rows(self.node, TRAIN, VALIDATION)
        return rows[self.fleet.label[rows] != 1]

    @property
    def muted(self) -> np.ndarray:
        return np.asarray(self.fleet.muted[self.node])

    @property
    def spacing(self) -> float:
        time = self.fleet.time[self.rows]
        return float(np.median(np.diff(time))) if len(time) > 1 else float(self.fleet.report["window"])

    def quantiles(self) -> QuantileReport:
        measured = self._measured()
        measured[:, self.muted] = np.nan
        return quantile_report(measured)

    def moments(self, scale: FleetScale) -> Moments:
        return moments(scale(self._measured()))

    def residual(self, scale: FleetScale, principal: PrincipalComponents) -> np.ndarray:
        """As :meth:`ftl.detection.newcomer.Newcomer.residual`, all rows at once."""
        x = scale(self._measured()).astype(np.float64)
        x[:, self.muted] = principal.mean[self.muted]
        return PrincipalComponents(principal.mean, seen_of(principal.components, self.muted)).residual(x)

    def squares(self, scale: FleetScale, principal: PrincipalComponents) -> ResidualSums:
        """The node's residuals as sums of which the variance is taken around 0."""
        return around_zero(residual_sums(self.residual(scale, principal), self.muted))

    def levels(
        self, scale: FleetScale, principal: PrincipalComponents, own: ResidualSums, variance: np.ndarray
    ) -> tuple[ThresholdReport, ThresholdReport]:
        """The percentile of the node's scores if it knew no variance but the fleet's, and as it knows its own."""
        squares = np.square(self.residual(scale, principal))
        held, time = ~self.muted, self.fleet.time[self.rows]
        found = []
        for known in (variance, shrunk_variance(own, variance, PSEUDO_ROWS)):
            terms = squares[:, held] / (known[held] + self.detection.variance_floor)
            score = smooth(terms.mean(axis=1), time, self.detection.smoothing_half_life, spacing=self.spacing)
            found.append(ThresholdReport(len(score), float(np.percentile(score, self.detection.percentile))))
        return found[0], found[1]

    def _measured(self) -> np.ndarray:
        """Rows before the node's scale: transformed, and re-based where it is; float64."""
        x = self.fleet.x[self.rows].astype(np.float64)
        return x * self.fleet.scale[self.node].astype(np.float64) + self.fleet.offset[self.node].astype(np.float64)


def _mean(of_nodes: Sequence[Moments], muted: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of each feature over the rows of the nodes where it says something; 0 where there is none, (F,)."""
    total = sum(np.where(mute, 0.0, own.total) for own, mute in zip(of_nodes, muted, strict=True))
    n_rows = sum(np.where(mute, 0, own.n_rows) for own, mute in zip(of_nodes, muted, strict=True))
    return np.asarray(total / np.maximum(n_rows, 1))


def _components(of_nodes: Sequence[Moments]) -> np.ndarray:
    """The leading components (F, L), at most half as many as features vary: more would explain anomalies as well."""
    pooled = Moments.none(len(of_nodes[0].total))
    for own in of_nodes:
        pooled += own
    covariance = pooled.covariance
    n_varying = int((np.diag(covariance) > 0.0).sum())
    return np.ascontiguousarray(leading_components(covariance)[:, : n_varying // 2])


def _components_of_others(of_nodes: Sequence[Moments]) -> list[np.ndarray]:
    """Per node, components to which neither it nor the other nodes of its fold have contributed.

    What nodes have in common with each other alone, such as a level of their own, is explained on the nodes that the
    components were made of, and is not on a newcomer; so thresholds must come from nodes that they have not seen.
    A fleet of one node has no others.
    """
    n_folds = min(N_FOLDS, len(of_nodes))
    if n_folds == 1:
        return [_components(of_nodes)]
    folds = [
        _components([own for number, own in enumerate(of_nodes) if number % n_folds != fold]) for fold in range(n_folds)
    ]
    return [folds[number % n_folds] for number in range(len(of_nodes))]


def _with_usual(own: Moments, muted: np.ndarray, mean: np.ndarray) -> Moments:
    """A node's moments as if every row had the fleet's mean in the features that say nothing on it."""
    total = np.where(muted, own.n_rows * mean, own.total)
    usual = np.outer(total, mean)
    cross = np.where(muted[None, :], usual, np.where(muted[:, None], usual.T, own.cross))
    return Moments(own.n_rows, total, cross)
