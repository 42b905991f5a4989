"""PCA as a linear autoencoder: the residual is what the leading components leave over."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from ftl.detection import AnomalyScore, NormalisedResidual, ScoringSettings, fit_nres

EXPLAINED_VARIANCE = 0.95


@dataclass(frozen=True)
class PrincipalComponents:
    """The leading directions of some rows.

    Args:
        mean: Centre of the rows, shape (F,).
        components: Orthonormal columns, shape (F, L); L may be 0 where the rows do not vary.
    """

    mean: np.ndarray
    components: np.ndarray

    def residual(self, x: np.ndarray) -> np.ndarray:
        """What the components leave over of rows (T, F), same shape, float64."""
        centred = x - self.mean
        return centred - (centred @ self.components) @ self.components.T


@dataclass(frozen=True)
class ReconstructionDetector:
    """Scores rows (T, F) by the normalised residual that the components leave over."""

    principal: PrincipalComponents
    score: NormalisedResidual

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.score(self.principal.residual(x))


def leading_components(covariance: np.ndarray, explained: float = EXPLAINED_VARIANCE) -> np.ndarray:
    """The fewest eigenvectors of a covariance (F, F) that hold this share of its trace, as columns (F, L)."""
    variance, direction = eigh(covariance, check_finite=False)
    variance = np.maximum(variance[::-1], 0.0)  # largest first
    total = float(variance.sum())
    if total == 0.0:
        return direction[:, :0]
    held = np.cumsum(variance) / total
    n_components = int(np.searchsorted(held, explained - 1e-12)) + 1
    return direction[:, ::-1][:, :n_components]


def fit_pca(x_train: np.ndarray, seed: int, settings: ScoringSettings) -> AnomalyScore:
    """PCA of a node's own training rows (T, F), scored by `nres`; T may be less than F."""
    mean = x_train.mean(axis=0, dtype=np.float64)
    centred = x_train - mean
    principal = PrincipalComponents(mean, leading_components(centred.T @ centred / len(centred)))
    return ReconstructionDetector(principal, fit_nres(principal.residual(x_train), settings.variance_floor))
