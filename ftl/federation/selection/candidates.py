"""What is known of the nodes when participants are chosen, and what a selection policy is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """What is known of the nodes when participants are chosen; no row of telemetry is.

    A policy raises ValueError where it needs something that is None.

    Attributes:
        f1: F1 of each node's local model on the rows that rank (validation, or test in the paper's protocol), shape
            (K,); NaN where undefined.
        loss: Mean anomaly-free loss of each local model on the same rows, shape (K,); decides where F1 is undefined or
            tied.
        unlabelled_loss: Mean loss on all of these rows, no label looked at, shape (K,).
        similarity: How alike two nodes are, from what they share of themselves, shape (K, K), symmetric, in [-1, 1],
            1 with itself (see :mod:`ftl.federation.descriptions`).
        racks: Each node's rack, None where unknown.
        cost: What taking part costs each node, > 0, shape (K,), such as its training rows.
    """

    f1: np.ndarray
    loss: np.ndarray
    unlabelled_loss: np.ndarray | None = None
    similarity: np.ndarray | None = None
    racks: tuple[str | None, ...] | None = None
    cost: np.ndarray | None = None

    def needed(self, name: str, policy: str) -> np.ndarray:
        """The array of this name.

        Raises:
            ValueError: If it is not known.
        """
        values: np.ndarray | None = getattr(self, name)
        if values is None:
            raise ValueError(f"the policy {policy} needs Candidates.{name}, which is None")
        return values


SelectionPolicy = Callable[[Candidates, int, np.random.Generator], np.ndarray]
"""(candidates, n, random) -> n distinct positions of nodes, ascending."""


@dataclass(frozen=True)
class Federation:
    """Nodes that train one global model, and who receives it; positions of nodes, ascending.

    Attributes:
        served: The nodes that receive the model; None: all that do not train it.
    """

    participants: np.ndarray
    served: np.ndarray | None = None


@runtime_checkable
class SeveralFederations(Protocol):
    """A policy whose participants train more than one global model."""

    def __call__(self, candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray: ...

    def federations(self, candidates: Candidates, n: int, random: np.random.Generator) -> list[Federation]: ...


def federations_of(
    policy: SelectionPolicy, candidates: Candidates, n: int, random: np.random.Generator
) -> list[Federation]:
    """Who trains together and for whom, under any policy: one federation that serves all others, unless it says so."""
    if isinstance(policy, SeveralFederations):
        return policy.federations(candidates, n, random)
    return [Federation(policy(candidates, n, random))]


def ranked(candidates: Candidates) -> np.ndarray:
    """All nodes from the best local model to the worst, shape (K,).

    By F1; nodes without a defined F1 (no anomaly among the ranking rows) come after those with one; ties go to the
    lower loss, then to the earlier node.
    """
    f1 = np.where(np.isnan(candidates.f1), -1.0, candidates.f1)
    loss = np.where(np.isnan(candidates.loss), np.inf, candidates.loss)
    return np.lexsort((np.arange(len(f1)), loss, -f1))
