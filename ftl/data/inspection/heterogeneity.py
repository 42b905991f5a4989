"""How unlike each other the nodes are: which stand apart, by which column, and where they lie in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ftl.data.inspection.survey import Inspection

LEAST_NODES = 5  # with fewer, nobody can say who stands apart
FAR = 3.5  # robust standard deviations of the distances
_NEGLIGIBLE = 1e-9  # of a column's values: rounding of sums, not a difference between nodes
_LIMIT = 10.0  # of one column's part in a distance, so that one column alone does not decide


@dataclass(frozen=True)
class NodePositions:
    """Where K nodes lie among each other; NaN for nodes that cannot be used."""

    distance: np.ndarray  # (K,) root mean square of the node's robust z over common columns
    outlying: np.ndarray  # (K,) bool
    column: tuple[str, ...]  # per node, the column in which it differs most; "" where none does
    column_z: np.ndarray  # (K,) its robust z: node mean less the fleet's median, in the fleet's usual spread
    coordinates: np.ndarray  # (K, 2) first two principal components of node means and deviations
    explained: tuple[float, float]  # share of the variance in each of the two


def node_positions(inspection: Inspection) -> NodePositions:
    """Compare nodes by mean and standard deviation of the columns that all of them have values in."""
    n_nodes = len(inspection.nodes)
    usable = np.array([node.usable for node in inspection.nodes], bool)
    mean, deviation = inspection.per_column("mean"), inspection.per_column("deviation")
    common = np.flatnonzero(~np.isnan(mean[usable]).any(axis=0)) if usable.any() else np.empty(0, int)
    distance, column_z = np.full(n_nodes, np.nan), np.full(n_nodes, np.nan)
    coordinates, column = np.full((n_nodes, 2), np.nan), [""] * n_nodes
    explained = (float("nan"), float("nan"))
    outlying = np.zeros(n_nodes, bool)
    if len(common) and usable.sum() >= 2:
        z = robust_z(mean[usable][:, common])
        distance[usable] = np.sqrt((np.clip(z, -_LIMIT, _LIMIT) ** 2).mean(axis=1))
        farthest = np.abs(z).argmax(axis=1)
        column_z[usable] = z[np.arange(len(z)), farthest]
        for node, place in zip(np.flatnonzero(usable), farthest, strict=True):
            column[node] = inspection.features[common[place]]
        coordinates[usable], explained = _principal_components(
            np.concatenate([mean[usable][:, common], deviation[usable][:, common]], axis=1)
        )
    if usable.sum() >= LEAST_NODES and len(common):
        outlying[usable] = robust_z(distance[usable][:, None])[:, 0] > FAR
    return NodePositions(distance, outlying, tuple(column), column_z, coordinates, explained)


def robust_z(values: np.ndarray) -> np.ndarray:
    """Distance of each row from the median of its column in units of the usual spread, shape (K, F).

    The spread is 1.4826 times the median distance from the median; where more than half of the rows are equal, the
    standard deviation; a column in which all rows are equal gives 0.
    """
    difference = values - np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(difference), axis=0)
    negligible = _NEGLIGIBLE * np.abs(values).max(axis=0, initial=0.0)
    spread = np.where(spread > negligible, spread, values.std(axis=0))
    return np.asarray(np.where(spread > negligible, difference / np.where(spread > negligible, spread, 1), 0.0))


def _principal_components(values: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Coordinates (K, 2) of standardised rows, the sign such that each component's largest loading is positive."""
    z = values - values.mean(axis=0)
    spread = z.std(axis=0)
    differs = spread > _NEGLIGIBLE * np.abs(values).max(axis=0, initial=0.0)
    z = z[:, differs] / spread[differs]
    if not differs.any():
        return np.zeros((len(values), 2)), (0.0, 0.0)
    left, strength, loadings = np.linalg.svd(z, full_matrices=False)
    sign = np.where(np.take_along_axis(loadings, np.abs(loadings).argmax(axis=1)[:, None], axis=1)[:, 0] < 0, -1, 1)
    coordinates = np.pad(left * strength * sign, ((0, 0), (0, 2)))[:, :2]
    share = np.pad(strength**2 / (strength**2).sum(), (0, 2))
    return coordinates, (float(share[0]), float(share[1]))
