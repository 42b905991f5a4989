"""Isolation forest (Liu et al. 2008), scikit-learn's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ftl.detection import AnomalyScore, ScoringSettings
from ftl.randomness import generator

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

N_TREES = 100
MOST_TRAINING_ROWS = 2000  # a tree sees 256 of them; more rows change nothing but the time


@dataclass(frozen=True)
class IsolationDetector:
    """Scores rows (T, F) by how few random cuts isolate them, in (0, 1)."""

    forest: "IsolationForest"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) == 0:
            return np.empty(0)
        return -np.asarray(self.forest.score_samples(x), dtype=np.float64)


def fit_isolation_forest(x_train: np.ndarray, seed: int, settings: ScoringSettings) -> AnomalyScore:
    """A forest on at most MOST_TRAINING_ROWS of a node's training rows (T, F), drawn by the seed."""
    from sklearn.ensemble import IsolationForest  # slow to import, and only this baseline needs it

    random = generator(seed, "isolation forest")
    if len(x_train) > MOST_TRAINING_ROWS:
        x_train = x_train[np.sort(random.choice(len(x_train), MOST_TRAINING_ROWS, replace=False))]
    forest = IsolationForest(n_estimators=N_TREES, n_jobs=1, random_state=int(random.integers(2**31)))
    return IsolationDetector(forest.fit(x_train))
