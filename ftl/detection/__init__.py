"""Anomaly scores, thresholds and the smoothing of scores over time; numpy and scipy only."""

from ftl.detection.scores import (
    ANOMALY_SCORES,
    AnomalyScore,
    FitAnomalyScore,
    MahalanobisDistance,
    NormalisedResidual,
    fit_mahalanobis,
    fit_nres,
    residual_variance,
)
from ftl.detection.settings import DetectionSettings
from ftl.detection.smoothing import smooth, smooth_train_test
from ftl.detection.thresholds import PROTOCOL_THRESHOLDS, THRESHOLDS, Threshold, threshold_for

__all__ = [
    "ANOMALY_SCORES",
    "PROTOCOL_THRESHOLDS",
    "THRESHOLDS",
    "AnomalyScore",
    "DetectionSettings",
    "FitAnomalyScore",
    "MahalanobisDistance",
    "NormalisedResidual",
    "Threshold",
    "fit_mahalanobis",
    "fit_nres",
    "residual_variance",
    "smooth",
    "smooth_train_test",
    "threshold_for",
]
