"""The random scorer: what a detector reaches that knows nothing."""

import zlib
from dataclasses import dataclass

import numpy as np

from ftl.detection import AnomalyScore, ScoringSettings
from ftl.randomness import generator


@dataclass(frozen=True)
class RandomScorer:
    """Uniform scores in [0, 1), the same for the same seed and the same batch of rows, unrelated to what they hold."""

    seed: int

    def __call__(self, x: np.ndarray) -> np.ndarray:
        # Training and test rows must not share their draws; a checksum of the batch parts them, and repeats itself.
        return generator(self.seed, "random scorer", zlib.crc32(x.tobytes())).random(len(x))


def fit_random(x_train: np.ndarray, seed: int, settings: ScoringSettings) -> AnomalyScore:
    """A random scorer; nothing is learned from the training rows (T, F)."""
    return RandomScorer(seed)
