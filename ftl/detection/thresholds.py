"""Thresholds: from a node's training scores to the number above which a row is flagged.

Only finite training scores count. A rule that reads training scores raises UserError when none is finite (training
diverged, or the node has no normal training row); it never returns NaN, which would silently flag nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ftl.errors import ConfigError, UserError

if TYPE_CHECKING:
    from ftl.detection.settings import DetectionSettings

Threshold = Callable[[np.ndarray, "DetectionSettings"], float]  # training scores (T,), settings -> threshold


def fixed(train_scores: np.ndarray, settings: DetectionSettings) -> float:
    """The same number on every node, whatever it scored: the paper's 0.5 (Table 1)."""
    return float(settings.fixed_threshold)


def percentile(train_scores: np.ndarray, settings: DetectionSettings) -> float:
    """A percentile of the training scores, linearly interpolated: the paper's 98th (section 4.3.7)."""
    return float(np.percentile(_finite(train_scores), settings.percentile))


def fixed_on_scaled(train_scores: np.ndarray, settings: DetectionSettings) -> float:
    """The fixed threshold on scores min-max-scaled by their training range, expressed in unscaled scores.

    Note:
        0.5 on the mean squared error of data in [0, 1] flags nothing (paper, Table 1); this is the reading of it that
        can flag something. Equal training scores (a range of zero) give that score.
    """
    scores = _finite(train_scores)
    low, high = float(scores.min()), float(scores.max())
    return low + settings.fixed_threshold * (high - low)


THRESHOLDS: dict[str, Threshold] = {"fixed": fixed, "percentile": percentile, "fixed_on_scaled": fixed_on_scaled}

PROTOCOL_THRESHOLDS: dict[str, dict[str, str]] = {
    # supervised scores are probabilities, and 0.5 is the paper's "classifier output > 0.5" (section 4.3.7)
    "rigorous": {"unsupervised": "percentile", "semi_supervised": "percentile", "supervised": "fixed"},
    "paper": {"unsupervised": "fixed", "semi_supervised": "percentile", "supervised": "fixed"},
}


def threshold_for(protocol: str, paradigm: str, settings: DetectionSettings) -> Threshold:
    """The threshold rule of a protocol and paradigm, or the one that `detection.threshold` names for all of them.

    Raises:
        ConfigError: If the protocol or the paradigm is unknown.
    """
    if settings.threshold != "protocol":
        return THRESHOLDS[settings.threshold]
    if protocol not in PROTOCOL_THRESHOLDS:
        raise ConfigError(f"protocol: unknown {protocol!r}; known: {', '.join(PROTOCOL_THRESHOLDS)}")
    names = PROTOCOL_THRESHOLDS[protocol]
    if paradigm not in names:
        raise ConfigError(f"paradigm: unknown {paradigm!r}; known: {', '.join(names)}")
    return THRESHOLDS[names[paradigm]]


def _finite(train_scores: np.ndarray) -> np.ndarray:
    finite = train_scores[np.isfinite(train_scores)]
    if len(finite) == 0:
        raise UserError(
            f"a threshold needs at least one finite training score; got none among {len(train_scores)}: "
            "training diverged (lower the learning rate), or the node has no normal training row"
        )
    return finite
