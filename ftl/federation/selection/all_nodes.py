"""Every node takes part; so that somebody remains to judge the model on, two halves of the fleet serve each other."""

from dataclasses import dataclass

import numpy as np

from ftl.federation.selection.candidates import Candidates, Federation


@dataclass(frozen=True)
class AllNodes:
    """All nodes train, in two halves: each node receives the model of the half that it is not in (cross-fitting).

    Where racks are known, the nodes of a rack are in one half, so that a target's model knows none of its neighbours;
    racks are dealt out from the largest on, each to the smaller half. Without racks, or with one alone, nodes are dealt
    at random. A node of unknown rack counts as a rack of its own.
    """

    def __call__(self, candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
        """All nodes, whatever n says."""
        return np.arange(len(candidates.f1))

    def federations(self, candidates: Candidates, n: int, random: np.random.Generator) -> list[Federation]:
        """Two federations that serve each other.

        Raises:
            ValueError: If there is one node alone.
        """
        if len(candidates.f1) < 2:
            raise ValueError(f"the policy all needs at least 2 nodes; got {len(candidates.f1)}")
        one, other = _halves(_groups(candidates), random)
        return [Federation(other, one), Federation(one, other)]


def _groups(candidates: Candidates) -> list[list[int]]:
    """Nodes that must not be parted."""
    racks = candidates.racks or (None,) * len(candidates.f1)
    names = [f"node {node}" if rack is None else f"rack {rack}" for node, rack in enumerate(racks)]
    groups = [[node for node, name in enumerate(names) if name == group] for group in dict.fromkeys(names)]
    return groups if len(groups) > 1 else [[node] for node in groups[0]]


def _halves(groups: list[list[int]], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    shuffled = [groups[number] for number in random.permutation(len(groups))]
    halves: tuple[list[int], list[int]] = ([], [])
    for group in sorted(shuffled, key=len, reverse=True):  # stable: equal sizes stay shuffled
        min(halves, key=len).extend(group)
    return np.sort(np.array(halves[0])), np.sort(np.array(halves[1]))
