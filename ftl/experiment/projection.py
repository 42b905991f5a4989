"""Nodes as points: how their features are distributed, seen from where they differ most (paper, Fig. 5a)."""

import numpy as np
import pandas as pd

from ftl.data.fleet import TRAIN, Fleet
from ftl.evaluation.similarity import principal_plane

PROJECTION_COLUMNS = ("dataset", "node", "x", "y", "share_x", "share_y", "distance")
MOST_ROWS = 2000
"""Train rows of a node that are looked at, evenly spaced in time."""


def projection_table(fleet: Fleet) -> pd.DataFrame:
    """PCA of the nodes' feature distributions: one row per node, in the fleet's order.

    A node's point holds each feature's mean and standard deviation over its train rows. Nodes are scaled one by one, so
    that scaled values cannot be compared between them: they are taken back to raw units first (transformed and clipped
    as in the fleet) and then measured in the feature's standard deviation over the rows of all nodes.

    Returns:
        PROJECTION_COLUMNS; share_x and share_y are of the variance between nodes, distance is that to the centroid of
        all nodes in all dimensions, per feature (root mean square).

    Note: the paper's text says t-SNE, its figure PCA; distances on a t-SNE map mean nothing, so this is PCA.
    """
    points = node_points(fleet)
    plane = principal_plane(points)
    return pd.DataFrame(
        {
            "dataset": fleet.name,
            "node": list(fleet.node_ids),
            "x": plane.xy[:, 0],
            "y": plane.xy[:, 1],
            "share_x": plane.shares[0],
            "share_y": plane.shares[1],
            "distance": plane.distance / max(1, points.shape[1] // 2) ** 0.5,
        },
        columns=list(PROJECTION_COLUMNS),
    )


def node_points(fleet: Fleet) -> np.ndarray:
    """Means and standard deviations of the features, in the fleet's standard deviations: shape (K, 2 G).

    The G features are those that vary somewhere in the fleet. What a node has muted it tells nothing of: there it
    stands where the mean of the others is.
    """
    mean, spread = np.stack([_moments(fleet, node) for node in range(len(fleet.node_ids))], axis=1)  # (K, F) each
    told = ~np.asarray(fleet.muted)
    mean, spread = (np.where(told, values, _mean_where(values, told)) for values in (mean, spread))
    whole = np.sqrt(np.mean(np.square(spread) + np.square(mean - mean.mean(axis=0)), axis=0))  # (F,)
    varies = whole > 0
    return np.concatenate([mean[:, varies], spread[:, varies]], axis=1) / np.tile(whole[varies], 2)


def _moments(fleet: Fleet, node: int) -> np.ndarray:
    """Mean and standard deviation of a node's train rows in (transformed) raw units, shape (2, F)."""
    rows = fleet.rows(node, TRAIN)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST_ROWS, len(rows))).astype(np.int64))]
    x = np.asarray(fleet.x[rows])
    scale = np.asarray(fleet.scale[node], np.float64)
    return np.stack(
        [x.mean(axis=0, dtype=np.float64) * scale + fleet.offset[node], x.std(axis=0, dtype=np.float64) * scale]
    )


def _mean_where(values: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Mean over the nodes that tell, (K, F) -> (F,); 0 where none does."""
    n = told.sum(axis=0)
    return np.where(told, values, 0.0).sum(axis=0) / np.maximum(n, 1)
