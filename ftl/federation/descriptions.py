"""How alike nodes are, from what they can share of themselves: a few numbers per feature, or a model; never a row."""

import numpy as np

from ftl.data.fleet import TRAIN, Fleet

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles by which a node describes a feature."""
DESCRIBED_BY = len(LEVELS) + 2
"""Numbers that a node shares of each feature: its quantiles, and the ends of its scale."""
EXPLAINED = 0.95
"""Share of the variance between nodes that their embedding keeps."""


def node_statistics(fleet: Fleet) -> np.ndarray:
    """Each node's quantiles of its training rows, in the fleet's scale, shape (K, F * 5) float64; no label is read.

    A prepared fleet's rows are scaled node by node, which hides where a node's values lie: they are put back, and
    measured from the median over nodes of the scales' lower ends, in units of the median of their spans, clipped as
    rows are. A feature that is muted on a node (constant, or missing there) says nothing of it: it gets the mean over
    the others, and 0 where there are none.
    """
    muted = np.asarray(fleet.muted)
    offset, scale = (np.where(muted, np.nan, values).astype(np.float64) for values in (fleet.offset, fleet.scale))
    heard = ~muted.all(axis=0)
    low, span = np.zeros(muted.shape[1]), np.ones(muted.shape[1])
    low[heard], span[heard] = np.nanmedian(offset[:, heard], axis=0), np.nanmedian(scale[:, heard], axis=0)
    described = np.empty((*muted.shape, len(LEVELS)))
    for node in range(len(muted)):
        own = np.quantile(np.asarray(fleet.x[fleet.rows(node, TRAIN)], np.float64), LEVELS, axis=0)  # (levels, F)
        described[node] = ((own * scale[node] + offset[node] - low) / span).T
    described = np.clip(described, fleet.clip_low, fleet.clip_high)
    described[:, ~heard] = 0.0
    of_others = np.nanmean(described, axis=0)
    return np.where(np.isnan(described), of_others, described).reshape(len(muted), -1)


def embedding(descriptions: np.ndarray) -> np.ndarray:
    """Descriptions, shape (K, D), as their leading principal components, shape (K, C): as few as explain 95 %."""
    centred = descriptions - descriptions.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    share = np.cumsum(singular**2)
    if not share[-1] > 0:
        return np.zeros((len(descriptions), 1))
    n_components = int(np.searchsorted(share / share[-1], EXPLAINED)) + 1
    embedded: np.ndarray = left[:, :n_components] * singular[:n_components]
    return embedded


def cosine_similarity(embedded: np.ndarray) -> np.ndarray:
    """Cosine of each pair of nodes, shape (K, C) -> (K, K), 1 on the diagonal.

    A node in the middle of the fleet (all 0) has no direction: its cosine is 1 with another such node, else 0. Rounded
    to 12 digits, so that ties are ties.
    """
    length = np.linalg.norm(embedded, axis=1)
    still = length <= 1e-12 * max(float(length.max(initial=0)), 1e-300)
    unit = embedded / np.where(still, 1.0, length)[:, None]
    unit[still] = 0.0
    similarity: np.ndarray = np.clip(np.round(unit @ unit.T, 12), -1.0, 1.0)
    similarity[np.ix_(still, still)] = 1.0
    np.fill_diagonal(similarity, 1.0)
    return similarity


def similarity_of(descriptions: np.ndarray) -> np.ndarray:
    """How alike nodes are by their descriptions, (K, D) -> (K, K): cosine over a PCA embedding (section 4.5.5)."""
    return cosine_similarity(embedding(descriptions))
