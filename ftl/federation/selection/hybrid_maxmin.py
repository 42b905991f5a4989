"""Quality-seeded coverage: a few of the best nodes, then always the one that is least like those chosen."""

from dataclasses import dataclass

import numpy as np

from ftl.federation.selection.candidates import Candidates, ranked


@dataclass(frozen=True)
class HybridMaxMin:
    """Hybrid MaxMin (paper, section 4.5.5): the top s by rank, then the node farthest from its nearest chosen one.

    Distance is 1 - similarity; ties go to the earlier node.

    Attributes:
        n_quality_seeds: s, how many nodes are taken by rank (all, where n is not larger). The paper gives no number.
    """

    n_quality_seeds: int = 1

    def __call__(self, candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
        distance = 1.0 - candidates.needed("similarity", "hybrid_maxmin")
        chosen = ranked(candidates)[: min(self.n_quality_seeds, n)].tolist()
        to_nearest = distance[:, chosen].min(axis=1)
        while len(chosen) < n:
            to_nearest[chosen] = -np.inf
            farthest = int(np.argmax(to_nearest))
            chosen.append(farthest)
            to_nearest = np.minimum(to_nearest, distance[:, farthest])
        return np.sort(np.array(chosen, dtype=np.int64))
