"""Anomaly scores: one number per row from what a model failed to reconstruct.

A score is fitted on the residuals (input minus reconstruction) of a node's normal training rows and then scores any
residuals of that node. Residuals are expected finite; larger scores are more anomalous.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import solve_triangular

from ftl.errors import UserError
from ftl.sharing.variance import ResidualSums, residual_sums, shrunk_variance

VARIANCE_FLOOR = 1e-4  # in squared scaled units: a feature that is constant in training is not divided by zero

_LEAST_SHRINKAGE = 1e-4  # keeps exact copies of a feature invertible however many rows there are

AnomalyScore = Callable[[np.ndarray], np.ndarray]  # residual (T, F) -> score (T,) float64


class FitAnomalyScore(Protocol):
    """Fits a score on the residuals of normal training rows, shape (T, F); scores without a fit ignore them."""

    def __call__(self, residual_train: np.ndarray, variance_floor: float = VARIANCE_FLOOR) -> AnomalyScore: ...


@dataclass(frozen=True)
class NormalisedResidual:
    """`nres`: mean over features of residual^2 / variance; about 1 on rows like those it was fitted on.

    Args:
        variance: What a squared residual of each feature is divided by, shape (F,), floor included; positive.
    """

    variance: np.ndarray

    def __call__(self, residual: np.ndarray) -> np.ndarray:
        _require_rows(residual, len(self.variance))
        return np.einsum("tf,tf,f->t", residual, residual, 1.0 / (len(self.variance) * self.variance), dtype=np.float64)


@dataclass(frozen=True)
class MahalanobisDistance:
    """Squared Mahalanobis distance to the training mean, divided by F; about 1 on rows like those it was fitted on.

    Args:
        mean: Mean training row, shape (F,).
        spread: Standard deviation of each feature, floor included, shape (F,).
        cholesky: Lower Cholesky factor of the shrunk correlation matrix, shape (F, F).
    """

    mean: np.ndarray
    spread: np.ndarray
    cholesky: np.ndarray

    def __call__(self, residual: np.ndarray) -> np.ndarray:
        _require_rows(residual, len(self.mean))
        standardised = (residual - self.mean) / self.spread  # (T, F)
        white = solve_triangular(self.cholesky, standardised.T, lower=True, check_finite=False)  # (F, T)
        return np.einsum("ft,ft->t", white, white) / len(self.mean)


def residual_variance(residual_train: np.ndarray) -> np.ndarray:
    """Variance (ddof 0) of each feature's residual over training rows: (T, F) -> (F,) float64."""
    _require_training_rows(residual_train)
    return residual_sums(residual_train).variance


def fit_nres(residual_train: np.ndarray, variance_floor: float = VARIANCE_FLOOR) -> NormalisedResidual:
    """Squared residuals in units of each feature's own training variance, so that no noisy feature drowns the rest."""
    return NormalisedResidual(residual_variance(residual_train) + variance_floor)


def shrunk_nres(
    own: ResidualSums, fleet: np.ndarray, pseudo_rows: float, variance_floor: float = VARIANCE_FLOOR
) -> NormalisedResidual:
    """`nres` of a node that knows the residual variances of its fleet, shape (F,), beside its own rows.

    With few rows of its own the fleet's variances count, with many the node's own; with ``pseudo_rows`` of its own both
    alike. Without a row it is the fleet's alone.
    """
    return NormalisedResidual(shrunk_variance(own, fleet, pseudo_rows) + variance_floor)


def fit_mahalanobis(residual_train: np.ndarray, variance_floor: float = VARIANCE_FLOOR) -> MahalanobisDistance:
    """Distance in the metric of the training covariance, shrunk as in Ledoit and Wolf (2004).

    The shrinkage acts on the correlation matrix, towards the identity, so that features of unlike variance are treated
    alike and fewer rows than features (T < F) still give an invertible matrix. Uncorrelated features give `nres` of
    the centred residuals.
    """
    variance = residual_variance(residual_train)
    mean = residual_train.mean(axis=0, dtype=np.float64)
    spread = np.sqrt(variance + variance_floor)
    correlation = _shrunk_correlation((residual_train - mean) / spread)
    return MahalanobisDistance(mean, spread, np.linalg.cholesky(correlation))


def sum_of_squares(residual: np.ndarray) -> np.ndarray:
    """Sum of squared residuals over features, (T, F) -> (T,)."""
    return np.einsum("tf,tf->t", residual, residual, dtype=np.float64)


def mean_square(residual: np.ndarray) -> np.ndarray:
    """Mean squared error of each row (paper, section 3.1), (T, F) -> (T,)."""
    return sum_of_squares(residual) / residual.shape[1]


def root_mean_square(residual: np.ndarray) -> np.ndarray:
    """Root of the mean squared error of each row, (T, F) -> (T,)."""
    return np.sqrt(mean_square(residual))


def mean_absolute(residual: np.ndarray) -> np.ndarray:
    """Mean absolute error of each row, (T, F) -> (T,)."""
    return np.abs(residual).mean(axis=1, dtype=np.float64)


def largest_absolute(residual: np.ndarray) -> np.ndarray:
    """Largest absolute error among the features of each row, (T, F) -> (T,)."""
    return np.abs(residual).max(axis=1).astype(np.float64)


def without_fit(score: AnomalyScore) -> FitAnomalyScore:
    """A score that needs no training residuals, under the interface of those that do."""

    def fit(residual_train: np.ndarray, variance_floor: float = VARIANCE_FLOOR) -> AnomalyScore:
        _require_training_rows(residual_train)
        n_features = residual_train.shape[1]

        def checked(residual: np.ndarray) -> np.ndarray:
            _require_rows(residual, n_features)
            return score(residual)

        return checked

    return fit


def _shrunk_correlation(standardised: np.ndarray) -> np.ndarray:
    """(1 - a) R + a I with the Ledoit-Wolf intensity a, R the correlation of standardised rows (T, F) -> (F, F)."""
    n_rows, n_features = standardised.shape
    correlation = standardised.T @ standardised / n_rows
    np.fill_diagonal(correlation, 1.0)  # a constant feature is uncorrelated with the rest and has its floor as variance
    distance = np.square(correlation).sum() - n_features  # ||R - I||^2, the diagonal being exact
    noise = (np.square(np.square(standardised).sum(axis=1)).sum() / n_rows - np.square(correlation).sum()) / n_rows
    intensity = 1.0 if distance <= 0.0 else min(max(noise / distance, _LEAST_SHRINKAGE), 1.0)
    correlation *= 1.0 - intensity
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _require_rows(residual: np.ndarray, n_features: int) -> None:
    if residual.ndim != 2 or residual.shape[1] != n_features:
        raise ValueError(f"residual must have shape (T, {n_features}), as the score was fitted; got {residual.shape}")


def _require_training_rows(residual_train: np.ndarray) -> None:
    if residual_train.ndim != 2 or residual_train.shape[1] == 0:
        raise ValueError(f"residual_train must have shape (T, F) with F >= 1; got {residual_train.shape}")
    if len(residual_train) == 0:
        raise UserError(
            "an anomaly score needs at least one normal training row; got none: "
            "give the node more history, or leave it out of the fleet"
        )


ANOMALY_SCORES: dict[str, FitAnomalyScore] = {
    "nres": fit_nres,
    "mse": without_fit(mean_square),
    "sse": without_fit(sum_of_squares),
    "rmse": without_fit(root_mean_square),
    "mae": without_fit(mean_absolute),
    "max": without_fit(largest_absolute),
    "mahalanobis": fit_mahalanobis,
}
