"""Quality-aware facility location: participants that are good, and like the nodes that they serve."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ftl.federation.selection.candidates import Candidates, ranked


@dataclass(frozen=True)
class FacilityLocation:
    """Greedy maximisation of served similarity with a bonus for quality (paper, section 4.5.5).

    F(S) = sum_i max_{j in S} s_ij + quality_bonus * sum_{j in S} q_j, with s_ij = (1 + similarity) / 2 and q_j the
    share of the other nodes that rank below j. F is monotone and submodular: without quota and budget, greedy reaches
    at least 1 - 1/e of the best F of n nodes (Nemhauser et al., 1978); with a quota per rack 1/2 (Fisher et al., 1978).
    Under a budget, the better of greedy by gain and greedy by gain per cost is taken, as either alone can be
    arbitrarily bad (Leskovec et al., 2007). Ties go to the earlier node.

    Fewer than n nodes are returned where quota or budget allow no more.

    Attributes:
        quality_bonus: At 1, the best node instead of the worst is worth one more node served perfectly.
        max_per_rack: Most participants of one rack; None: no quota. Nodes of unknown rack are not held to it.
        cost_budget: Most that the participants' costs may sum to; None: no budget.
    """

    quality_bonus: float = 1.0
    max_per_rack: int | None = None
    cost_budget: float | None = None

    def __call__(self, candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
        by_gain = self._greedy(candidates, n, per_cost=False)
        if self.cost_budget is None:
            return np.sort(by_gain)
        by_ratio = self._greedy(candidates, n, per_cost=True)
        better = self.objective(candidates, by_ratio) > self.objective(candidates, by_gain)
        return np.sort(by_ratio if better else by_gain)

    def objective(self, candidates: Candidates, chosen: np.ndarray) -> float:
        """F of a set of nodes; 0 of none."""
        service, bonus = self._terms(candidates)
        return float(service[:, chosen].max(axis=1).sum() + bonus[chosen].sum()) if len(chosen) else 0.0

    def _terms(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """s, shape (K, K) (row: who is served), and the bonus of each node, shape (K,)."""
        similarity = candidates.needed("similarity", "facility_location")
        worse = np.empty(len(similarity))
        worse[ranked(candidates)] = np.arange(len(similarity))[::-1]
        return (1.0 + similarity) / 2, self.quality_bonus * worse / max(len(similarity) - 1, 1)

    def _greedy(self, candidates: Candidates, n: int, per_cost: bool) -> np.ndarray:
        """Nodes in the order in which they are taken, at most n."""
        service, bonus = self._terms(candidates)
        cost = np.ones(len(bonus)) if self.cost_budget is None else candidates.needed("cost", "facility_location")
        served = np.zeros(len(bonus))
        chosen: list[int] = []
        while len(chosen) < n:
            gain = np.maximum(service - served[:, None], 0).sum(axis=0) + bonus
            worth = np.where(self._allowed(candidates, chosen, cost), gain / cost if per_cost else gain, -np.inf)
            best = int(np.argmax(worth))
            if worth[best] == -np.inf:
                break
            chosen.append(best)
            served = np.maximum(served, service[:, best])
        return np.array(chosen, dtype=np.int64)

    def _allowed(self, candidates: Candidates, chosen: list[int], cost: np.ndarray) -> np.ndarray:
        """Which nodes may still be taken, bool, shape (K,)."""
        allowed = np.ones(len(cost), bool)
        allowed[chosen] = False
        if self.cost_budget is not None:
            allowed &= cost[chosen].sum() + cost <= self.cost_budget
        if self.max_per_rack is not None and candidates.racks is not None:
            taken = Counter(candidates.racks[node] for node in chosen)
            allowed &= np.array([rack is None or taken[rack] < self.max_per_rack for rack in candidates.racks])
        return allowed
