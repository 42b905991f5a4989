"""Counts of right and wrong alarms, and the metrics that are functions of these four counts alone."""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np


@dataclass(frozen=True)
class Confusion:
    """The four counts of a binary detector on one node; label 1 is an anomaly.

    Precision, recall, F1 and MCC speak of anomalies, so they are NaN where there is none to find. Where there are some,
    F1 and MCC are 0 if no row is flagged; precision is undefined (NaN) then.

    Note:
        The paper does not say what a node without test anomalies contributes. Here it is left out of precision, recall
        and F1 and kept for the TNR; counting it as recall 1 is one way to the paper's recall of 1.00 in all 144 cells.
    """

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def n_rows(self) -> int:
        return self.tp + self.fp + self.tn + self.fn

    @property
    def n_anomalies(self) -> int:
        return self.tp + self.fn

    @property
    def precision(self) -> float:
        return _share(self.tp, self.tp + self.fp) if self.n_anomalies else nan

    @property
    def recall(self) -> float:
        return _share(self.tp, self.n_anomalies)

    @property
    def tnr(self) -> float:
        """True negative rate, 1 - false positive rate; NaN without normal rows."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float:
        """Positive-class F1 = 2 tp / (2 tp + fp + fn), never the accuracy that is sometimes printed under its name."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn) if self.n_anomalies else nan

    @property
    def accuracy(self) -> float:
        return _share(self.tp + self.tn, self.n_rows)

    @property
    def mcc(self) -> float:
        """Matthews correlation; 0 where anomalies exist and a margin of the table is empty."""
        if not self.n_anomalies:
            return nan
        margins = (self.tp + self.fp) * self.n_anomalies * (self.tn + self.fp) * (self.tn + self.fn)
        return (self.tp * self.tn - self.fp * self.fn) / sqrt(margins) if margins else 0.0


def confusion(flagged: np.ndarray, label: np.ndarray) -> Confusion:
    """Count flagged (T,) bool against label (T,) 0/1."""
    anomalous = label == 1
    n_flagged, n_anomalies = int(np.count_nonzero(flagged)), int(np.count_nonzero(anomalous))
    tp = int(np.count_nonzero(flagged & anomalous))
    return Confusion(tp=tp, fp=n_flagged - tp, tn=len(label) - n_flagged - n_anomalies + tp, fn=n_anomalies - tp)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan
