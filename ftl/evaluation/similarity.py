"""How alike models and nodes are: cosine of weights, linear CKA of codes, and a plane through feature vectors."""

from dataclasses import dataclass

import numpy as np


def cosine_matrix(weights: np.ndarray) -> np.ndarray:
    """Cosine of every pair of flattened weights (paper, section 4.5.8), shape (K, P) -> (K, K) float64.

    NaN where weights are all 0.

    Note: it compares unit by unit, so that it says something only about models that began with the same weights, as
    ours do; the order of a network's units is arbitrary otherwise. CKA does not ask for that.
    """
    return _normalised(weights @ weights.T.astype(np.float64))


def linear_cka(codes: np.ndarray) -> np.ndarray:
    """Linear centred kernel alignment of every pair of encoders (Kornblith et al., ICML 2019).

    Args:
        codes: Codes of the same M rows by K encoders, shape (K, M, L).

    Returns:
        Shape (K, K), float64, in [0, 1]; invariant to rotations and to one scale of the code. NaN where an encoder
        gives all rows the same code.
    """
    n_models, n_rows, n_units = codes.shape
    centred = codes - codes.mean(axis=1, keepdims=True)
    side_by_side = centred.transpose(1, 0, 2).reshape(n_rows, n_models * n_units).astype(np.float64)
    products = np.empty((n_models, n_models))
    for model in range(n_models):
        own = side_by_side[:, model * n_units : (model + 1) * n_units]
        cross = (own.T @ side_by_side).reshape(n_units, n_models, n_units)
        products[model] = np.einsum("akb,akb->k", cross, cross)
    return _normalised(products)


def _normalised(products: np.ndarray) -> np.ndarray:
    """Inner products (K, K) over the lengths of both; the diagonal is 1."""
    length = np.sqrt(np.diag(products))
    length = np.where(length > 0, length, np.nan)
    cosine: np.ndarray = products / length[:, None] / length[None, :]
    return np.clip((cosine + cosine.T) / 2, -1.0, 1.0)


@dataclass(frozen=True)
class Plane:
    """The two directions in which points differ most.

    Attributes:
        xy: The points on them, shape (K, 2); 0 where they differ in fewer directions.
        shares: Share of the variance that each holds, shape (2,); NaN where the points do not differ.
        distance: Of each point to the centroid of all, in all dimensions and not in the plane alone, shape (K,).
    """

    xy: np.ndarray
    shares: np.ndarray
    distance: np.ndarray


def principal_plane(points: np.ndarray) -> Plane:
    """PCA of K points, shape (K, D), into two dimensions; signs are such that each direction's largest entry is > 0."""
    centred = points - points.mean(axis=0)
    left, length, directions = np.linalg.svd(centred, full_matrices=False)
    xy, shares = np.zeros((len(points), 2)), np.zeros(2)
    n = min(2, len(length))
    largest = np.abs(directions[:n]).argmax(axis=1)
    sign = np.where(directions[np.arange(n), largest] < 0, -1.0, 1.0)
    xy[:, :n] = left[:, :n] * length[:n] * sign
    total = float(np.square(length).sum())
    shares[:n] = np.square(length[:n])
    return Plane(xy, shares / total if total > 0 else np.full(2, np.nan), np.linalg.norm(centred, axis=1))
