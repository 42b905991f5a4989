"""Which features made a score what it is: per row and feature a share of the score, by the score's own formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from scipy.linalg import solve_triangular

from ftl.detection.scores import AnomalyScore, MahalanobisDistance, NormalisedResidual

N_TOP = 3
"""Sensors named for a row."""

Contributions = Callable[[AnomalyScore, np.ndarray], np.ndarray]
"""(fitted score, residual (T, F)) -> (T, F), not negative: parts of one row can be compared with each other."""


def squared(score: AnomalyScore, residual: np.ndarray) -> np.ndarray:
    """Squared residuals, of which `mse`, `sse` and `rmse` are made."""
    return np.square(residual, dtype=np.float64)


def absolute(score: AnomalyScore, residual: np.ndarray) -> np.ndarray:
    """Absolute residuals, of which `mae` is the mean and `max` the largest."""
    return np.abs(residual, dtype=np.float64)


def in_units_of_variance(score: AnomalyScore, residual: np.ndarray) -> np.ndarray:
    """Squared residuals over the variance of each feature: the terms of `nres`."""
    return squared(score, residual) / cast(NormalisedResidual, score).variance


def terms_of_distance(score: AnomalyScore, residual: np.ndarray) -> np.ndarray:
    """z_f (R^-1 z)_f, the terms that the squared Mahalanobis distance is the sum of.

    A term below 0 (a feature that makes the row less odd, given the others) counts as 0.
    """
    fitted = cast(MahalanobisDistance, score)
    z = (residual - fitted.mean) / fitted.spread
    half = solve_triangular(fitted.cholesky, z.T, lower=True, check_finite=False)
    whole = solve_triangular(fitted.cholesky, half, lower=True, trans="T", check_finite=False)
    return np.maximum(z * whole.T, 0.0)


CONTRIBUTIONS: dict[str, Contributions] = {
    "nres": in_units_of_variance,
    "mse": squared,
    "sse": squared,
    "rmse": squared,
    "mae": absolute,
    "max": absolute,
    "mahalanobis": terms_of_distance,
}


def top_sensors(contributions: np.ndarray, features: Sequence[str], n: int = N_TOP) -> list[list[dict[str, Any]]]:
    """Per row the n features that contributed most, largest first: ``{"sensor": name, "share": of the whole}``.

    Features that contributed nothing are not named.

    Args:
        contributions: Not negative, shape (T, F).
        features: F names.
        n: How many at most.
    """
    total = contributions.sum(axis=1)
    order = np.argsort(-contributions, axis=1, kind="stable")[:, :n]
    return [
        [
            {"sensor": features[feature], "share": round(float(row[feature] / whole), 4)}
            for feature in best
            if row[feature] > 0
        ]
        for row, whole, best in zip(contributions, total, order, strict=True)
    ]
