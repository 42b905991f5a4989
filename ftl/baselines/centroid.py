"""Distance to the centroid: no model at all, only the mean and the covariance of a node's training rows."""

import numpy as np

from ftl.detection import AnomalyScore, ScoringSettings, fit_mahalanobis


def fit_centroid(x_train: np.ndarray, seed: int, settings: ScoringSettings) -> AnomalyScore:
    """Mahalanobis distance of inputs to the mean training row, the covariance of rows (T, F) shrunk for T < F."""
    return fit_mahalanobis(x_train, settings.variance_floor)
