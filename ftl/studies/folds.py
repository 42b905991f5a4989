"""Who is a target and who may take part: every node is a target once per seed, of a cohort that never saw it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.errors import ConfigError
from ftl.randomness import generator


@dataclass(frozen=True)
class Fold:
    """Targets of one seed, and the nodes outside of them.

    Attributes:
        targets: Positions in the fleet, ascending.
        candidates: All other nodes, ascending.
        participants: Those of the candidates that take part, drawn at random, ascending.
    """

    seed: int
    number: int
    targets: tuple[int, ...]
    candidates: tuple[int, ...]
    participants: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"seed{self.seed}-fold{self.number}"


def make_folds(n_nodes: int, n_folds: int, n_participants: int, seeds: Sequence[int]) -> list[Fold]:
    """Cut the fleet into folds, anew for every seed; the fleet's other nodes are each fold's candidates.

    Args:
        n_folds: At most as many as there are nodes.
        n_participants: Of every cohort; where fewer candidates are left, all of them take part.

    Raises:
        ConfigError: If the fleet has fewer than two nodes.
    """
    if n_nodes < 2:
        raise ConfigError(
            f"a federation needs at least 2 nodes, one that takes part and one that receives; got {n_nodes}"
        )
    folds = []
    for seed in seeds:
        order = generator(seed, "folds").permutation(n_nodes)
        for number, targets in enumerate(np.array_split(order, min(max(n_folds, 2), n_nodes))):
            candidates = np.setdiff1d(np.arange(n_nodes), targets)
            drawn = generator(seed, "cohort", number).permutation(candidates)[:n_participants]
            folds.append(Fold(seed, number, _ascending(targets), _ascending(candidates), _ascending(drawn)))
    return folds


def _ascending(nodes: np.ndarray) -> tuple[int, ...]:
    return tuple(sorted(int(node) for node in nodes))
