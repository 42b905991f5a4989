"""The unsupervised score and a head's put together, by a weight that validation nodes must have asked for.

Of the weights the better single score is taken unless a mixture is shown to be better than it: on validation the chosen
combination never falls below the better of the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.evaluation.significance import Interval, bootstrap_interval

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the head: 0 is the unsupervised score alone, 1 the head alone."""
LEAST_VOTERS = 3
"""Validation nodes, with fewer of which no mixture is taken: an interval over two tells little."""
SPREAD_OF_NORMAL = 1.349
"""Interquartile range of a normal distribution with variance 1."""


@dataclass(frozen=True)
class Choice:
    """A weight of the head, and why.

    Attributes:
        single: The weight of the better single score, 0 or 1.
        best: The weight of the mixture with the highest mean, NaN where nobody could vote.
        gain, interval: Of that mixture over the better single score, mean over validation nodes.
        n_voters: Nodes with both kinds of labels among their validation rows.
    """

    weight: float
    single: float
    best: float
    gain: float
    interval: Interval
    n_voters: int


def choose_weight(outcomes: np.ndarray, racks: Sequence[str | None] | None = None) -> Choice:
    """Choose by what participants send: for each weight one number, the AUPRC of that combination on validation rows.

    Args:
        outcomes: Shape (V, 5), in the order of :data:`WEIGHTS`; a row that is not finite has no vote.
        racks: Of the nodes, (V,); intervals resample racks where at least three are known.

    Returns:
        Without a voter, the unsupervised score alone; it needs no label.
    """
    votes = np.isfinite(outcomes).all(axis=1) if len(outcomes) else np.zeros(0, bool)
    known = outcomes[votes]
    if not len(known):
        return Choice(0.0, 0.0, np.nan, np.nan, Interval(), 0)
    mean = known.mean(axis=0)
    single = -1 if mean[-1] > mean[0] else 0  # a tie goes to the one without labels
    best = 1 + int(np.argmax(mean[1:-1]))
    of_voters = [rack for rack, vote in zip(racks, votes, strict=True) if vote] if racks is not None else None
    gain = known[:, best] - known[:, single]
    interval = bootstrap_interval(gain, of_voters)
    is_shown = interval.verdict == "better" and len(known) >= LEAST_VOTERS
    chosen = best if is_shown else single
    return Choice(WEIGHTS[chosen], WEIGHTS[single], WEIGHTS[best], float(gain.mean()), interval, len(known))


@dataclass(frozen=True)
class Yardstick:
    """Where the scores of a node's normal rows lie and how far they spread: median, and interquartile range."""

    centre: float
    spread: float

    @classmethod
    def of(cls, score: np.ndarray) -> "Yardstick":
        """Of calibration rows' scores, (T,); labels are not needed, as few of them are anomalous."""
        low, centre, high = np.percentile(score, [25, 50, 75])
        return cls(float(centre), max(float(high - low) / SPREAD_OF_NORMAL, 1e-9))

    def __call__(self, score: np.ndarray) -> np.ndarray:
        return (score - self.centre) / self.spread


def mixture(unsupervised: np.ndarray, head: np.ndarray, weight: float) -> np.ndarray:
    """(1 - w) z(unsupervised) + w z(head) of scores in units of their yardsticks, (T,) each."""
    return (1.0 - weight) * unsupervised + weight * head
