"""Who trains the global model: the paper's node selection strategies (section 4.3.1)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """What is known of the nodes when participants are chosen.

    Attributes:
        f1: F1 of each node's local model on the rows that rank (validation, or test in the paper's protocol), shape
            (K,); NaN where undefined.
        loss: Mean anomaly-free loss of each local model on the same rows, shape (K,); decides where F1 is undefined or
            tied.
    """

    f1: np.ndarray
    loss: np.ndarray


SelectionPolicy = Callable[[Candidates, int, np.random.Generator], np.ndarray]
"""(candidates, n, random) -> n distinct positions of nodes, ascending."""


def top_n(candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
    """The n nodes whose local model has the highest F1 (paper, section 4.3.1).

    Nodes without a defined F1 (no anomaly among the ranking rows) come after those with one; ties go to the lower loss,
    then to the earlier node.
    """
    f1 = np.where(np.isnan(candidates.f1), -1.0, candidates.f1)
    loss = np.where(np.isnan(candidates.loss), np.inf, candidates.loss)
    order = np.lexsort((np.arange(len(f1)), loss, -f1))
    return np.sort(order[:n])


def random_n(candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
    """n nodes drawn at random without replacement."""
    return np.sort(random.permutation(len(candidates.f1))[:n])


SELECTION_POLICIES: dict[str, SelectionPolicy] = {"top_n": top_n, "random_n": random_n}
DRAWN_POLICIES = frozenset({"random_n"})
"""Policies whose choice is random, so that several draws are made."""
