"""ECOD (Li et al. 2022): how far out a row lies in the tails of each feature's training distribution.

Per feature the left tail of x is the share of rows at most x, the right tail the share at least x; a row's score is the
largest of three sums over features of -log tail: all left, all right, and of each feature the tail on the side to which
its distribution is skewed (algorithm 1 of that paper, where PyOD takes the largest per feature).

Note:
    The tails are those of the training rows and the scored row itself, (n(rows <= x) + 1) / (n + 1): never zero, and
    one test row's score does not depend on the other test rows.
"""

from dataclasses import dataclass

import numpy as np

from ftl.detection import AnomalyScore, ScoringSettings

MOST_TRAINING_ROWS = 2000


@dataclass(frozen=True)
class TailDetector:
    """Scores rows (T, F) by their tail probabilities.

    Args:
        ordered: Training values of each feature in ascending order, shape (F, n).
        skewed_left: Features whose training distribution has its long tail on the left, shape (F,), bool.
    """

    ordered: np.ndarray
    skewed_left: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        n_rows = self.ordered.shape[1]
        surprise = -np.log(np.arange(1, n_rows + 2) / (n_rows + 1))  # of a tail holding 0..n training rows
        left, right, skew_side = np.zeros((3, len(x)))
        columns = np.ascontiguousarray(x.T)
        for training, column, skewed_left in zip(self.ordered, columns, self.skewed_left, strict=True):
            order = np.argsort(column)  # values in order are found several times faster
            value = column[order]
            at_most = surprise[np.searchsorted(training, value, side="right")]
            at_least = surprise[n_rows - np.searchsorted(training, value, side="left")]
            left[order] += at_most
            right[order] += at_least
            skew_side[order] += at_most if skewed_left else at_least
        return np.maximum(np.maximum(left, right), skew_side)


def fit_ecod(x_train: np.ndarray, seed: int, settings: ScoringSettings) -> AnomalyScore:
    """Empirical tails of a node's training rows (T, F); of MOST_TRAINING_ROWS evenly spaced ones if there are more."""
    if len(x_train) > MOST_TRAINING_ROWS:
        x_train = x_train[np.linspace(0, len(x_train) - 1, MOST_TRAINING_ROWS).astype(np.int64)]
    centred = x_train - x_train.mean(axis=0, dtype=np.float64)
    third_moment = np.einsum("tf,tf,tf->f", centred, centred, centred)  # has the sign of the skewness
    ordered = np.sort(np.ascontiguousarray(x_train.T), axis=1)
    varies = ordered[:, 0] < ordered[:, -1]  # of a constant feature the third moment is rounding noise
    return TailDetector(ordered, varies & (third_moment < 0.0))
