"""Anomaly scores, thresholds and the smoothing of scores over time; numpy and scipy only."""

from ftl.detection.calibration import CalibrationScores, FleetScores, ScoreSums
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
from ftl.detection.settings import DetectionSettings, ScoringSettings
from ftl.detection.smoothing import smooth, smooth_train_test
from ftl.detection.thresholds import (
    NEEDS_FLEET,
    PROTOCOL_THRESHOLDS,
    THRESHOLDS,
    TRAILING,
    Threshold,
    row_thresholds,
    threshold_for,
    threshold_name,
    trailing_of,
)
from ftl.detection.trailing import Trailing

__all__ = [
    "ANOMALY_SCORES",
    "NEEDS_FLEET",
    "PROTOCOL_THRESHOLDS",
    "THRESHOLDS",
    "TRAILING",
    "AnomalyScore",
    "CalibrationScores",
    "DetectionSettings",
    "FitAnomalyScore",
    "FleetScores",
    "MahalanobisDistance",
    "NormalisedResidual",
    "ScoreSums",
    "ScoringSettings",
    "Threshold",
    "Trailing",
    "fit_mahalanobis",
    "fit_nres",
    "residual_variance",
    "row_thresholds",
    "smooth",
    "smooth_train_test",
    "threshold_for",
    "threshold_name",
    "trailing_of",
]
