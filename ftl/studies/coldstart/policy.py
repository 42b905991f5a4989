"""What a joining node does with what the cohort shares: decided by its history and by how far it is from the others.

The decision looks at no label and at no row behind the history. It names the detectors whose scores are put together
(a geometric mean of scores, each in units of what the cohort expects of it), how the global model is fine-tuned for it,
and why.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

COHERENT = 5.0
"""Participants fit their own global model no worse than this many times their residual variance, in the median. Where
they do not, nodes have no scale in common (other units, other roles), and the global model speaks of none of them."""

STRANGE = 25.0
"""The global model misses half of a node's features by more than five times what it misses them by on participants (in
squares, 25): the node is of another kind than they, however well they fit each other."""

A_DAY = 24.0
OWN_ROWS = 50.0
"""Rows after which a node's own detectors weigh as much as the global ones, and no more before a day is over."""

GLOBAL_ROWS = 100.0
"""Rows after which a node's own detectors weigh more than the global model."""


@dataclass(frozen=True)
class Situation:
    """What the decision may look at.

    Attributes:
        n_rows: Of the node's history.
        hours: Its length, rows that are labelled anomalous and left out included.
        divergence: Of the global model from the node's rows, :func:`ftl.studies.cohort.divergence_of`.
        strangeness: The same of the feature in the middle, :func:`ftl.studies.cohort.strangeness_of`.
        of_participants: The divergence of each participant, shape (N,).
        frozen: Encoder layers on which the node does not diverge.
        n_layers: Of the encoder.
    """

    n_rows: int
    hours: float
    divergence: float
    strangeness: float
    of_participants: np.ndarray
    frozen: tuple[int, ...]
    n_layers: int


@dataclass(frozen=True)
class Decision:
    """What is done, and why.

    Attributes:
        action: A word for it.
        weights: Of each detector in the mean of log scores; they sum to 1.
        reason: One sentence.
    """

    action: str
    weights: Mapping[str, float]
    reason: str


def decide(situation: Situation) -> Decision:
    """The transfer policy.

    Note:
        Nothing in it was fitted to labels of the fleet that it is used on. Which detectors go together was chosen on
        the real fleet ASD and checked on others, see docs/decisions/0007.
    """
    usual = float(np.median(situation.of_participants))
    if not usual <= COHERENT:
        return _on_its_own(
            situation,
            f"participants diverge from their own global model ({usual:.3g} times their residual variance, limit "
            f"{COHERENT:g}): the nodes have no common scale",
        )
    if not situation.strangeness <= STRANGE:
        return _on_its_own(
            situation,
            f"the global model misses half of its features by {situation.strangeness:.3g} times the participants' "
            f"residual variance or more (limit {STRANGE:g}): it is of another kind than they",
        )
    if situation.hours < A_DAY:
        own = min(0.25, 0.5 * situation.n_rows / (situation.n_rows + OWN_ROWS))
        weights = {"zero_shot": 0.5 - own, "federated_pca": 0.5 - own, "selective": own, "pca": own}
        return Decision(
            "shared and own",
            weights,
            f"{situation.hours:.3g} h of history hold no whole day: two global detectors, and two of its own at "
            f"{own:.2f} each after {situation.n_rows} rows; {_fine_tuning(situation)}",
        )
    of_global = min(1 / 3, GLOBAL_ROWS / (GLOBAL_ROWS + situation.n_rows))
    own = (1 - of_global) / 2
    return Decision(
        "mostly own",
        {"zero_shot": of_global, "full_fine_tune": own, "local": own},
        f"{situation.n_rows} rows of history: the global model as it is weighs {of_global:.2f}, a wholly fine-tuned "
        "and a local one the rest",
    )


def _on_its_own(situation: Situation, why: str) -> Decision:
    if situation.hours < A_DAY:
        return Decision("own components", {"pca": 1.0}, f"{why}; {situation.n_rows} rows are too few for a net")
    return Decision("local", {"local": 1.0}, why)


def _fine_tuning(situation: Situation) -> str:
    """In words, how the global model is fine-tuned on the node."""
    unfrozen = [layer for layer in range(situation.n_layers) if layer not in situation.frozen]
    worst = float(np.max(situation.of_participants))
    far = f"its rows diverge {situation.divergence:.3g} (participants up to {worst:.3g})"
    if not unfrozen:
        return f"{far}, and no encoder layer by more than a participant's: the decoder alone is fine-tuned"
    if len(unfrozen) == situation.n_layers:
        return f"{far}, in every encoder layer: all of the model is fine-tuned"
    return f"{far}: the decoder and encoder layers {', '.join(map(str, unfrozen))} are fine-tuned"


def put_together(
    scores: Mapping[str, np.ndarray], levels: Mapping[str, float], weights: Mapping[str, float]
) -> np.ndarray:
    """The weighted geometric mean of scores (T,), each over its level; positive levels stand at 1."""
    logs = [
        weight * np.log(scores[kind] / max(levels[kind], LEAST_LEVEL) + LEAST_SCORE) for kind, weight in weights.items()
    ]
    return np.asarray(np.exp(np.sum(logs, axis=0)))


LEAST_LEVEL, LEAST_SCORE = 1e-9, 1e-6
