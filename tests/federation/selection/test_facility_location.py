from collections import Counter
from dataclasses import replace
from itertools import combinations
from math import e

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.federation.selection import Candidates, FacilityLocation, top_n
from ftl.randomness import generator
from tests.federation.selection.scenes import without_ties


def best_of(policy, known, allowed):
    """The highest F of all sets that are allowed, by trying them all."""
    nodes = range(len(known.f1))
    sets = (np.array(s) for n in range(1, len(nodes) + 1) for s in combinations(nodes, n) if allowed(list(s)))
    return max((policy.objective(known, s) for s in sets), default=0.0)


@settings(max_examples=25, deadline=None)
@given(n_nodes=st.integers(2, 8), seed=st.integers(0, 500), bonus=st.sampled_from([0.0, 0.5, 3.0]))
def test_greedy_comes_within_1_minus_1_over_e_of_the_best_set(n_nodes, seed, bonus):
    policy, known, n = FacilityLocation(quality_bonus=bonus), without_ties(n_nodes, seed), 1 + seed % n_nodes
    chosen = policy(known, n, generator(0))
    best = best_of(policy, known, lambda s: len(s) <= n)
    assert best * (1 - 1 / e) - 1e-9 <= policy.objective(known, chosen) <= best + 1e-9


@settings(max_examples=25, deadline=None)
@given(n_nodes=st.integers(2, 8), seed=st.integers(0, 500))
def test_the_objective_never_falls_and_gains_less_the_more_there_is(n_nodes, seed):
    policy, known = FacilityLocation(), without_ties(n_nodes, seed)
    order = np.random.default_rng(seed).permutation(n_nodes)
    new, few, many = order[:1], order[1 : 1 + n_nodes // 3], order[1:]
    gain = [
        policy.objective(known, np.r_[part, new].astype(int)) - policy.objective(known, part) for part in (few, many)
    ]
    assert gain[0] >= gain[1] - 1e-9
    assert gain[1] >= -1e-9


@settings(max_examples=25, deadline=None)
@given(n_nodes=st.integers(3, 8), seed=st.integers(0, 500))
def test_under_a_budget_greedy_comes_within_half_of_that(n_nodes, seed):
    known = without_ties(n_nodes, seed)
    policy = FacilityLocation(cost_budget=float(known.cost.sum() / 2))
    chosen = policy(known, n_nodes, generator(0))
    best = best_of(policy, known, lambda s: known.cost[s].sum() <= policy.cost_budget)
    assert known.cost[chosen].sum() <= policy.cost_budget
    assert policy.objective(known, chosen) >= best * (1 - 1 / e) / 2 - 1e-9


@settings(max_examples=25, deadline=None)
@given(n_nodes=st.integers(3, 8), seed=st.integers(0, 500))
def test_a_quota_per_rack_is_kept_and_greedy_reaches_half_of_the_best(n_nodes, seed):
    racks = tuple(f"r{k}" for k in np.random.default_rng(seed).integers(0, 3, n_nodes))
    known, policy = replace(without_ties(n_nodes, seed), racks=racks), FacilityLocation(max_per_rack=1)

    def most(s):
        return max(Counter(racks[node] for node in s).values())

    chosen = policy(known, n_nodes, generator(0))
    assert most(chosen) == 1
    assert len(chosen) == len(set(racks))
    assert policy.objective(known, chosen) >= best_of(policy, known, lambda s: most(s) <= 1) / 2 - 1e-9


TWO_KINDS = Candidates(
    np.array([0.9, 0.8, 0.7, 0.1, 0.2]),
    np.zeros(5),
    similarity=np.array([[1 if (a < 3) == (b < 3) else -1 for b in range(5)] for a in range(5)], float),
    cost=np.array([5.0, 1, 5, 1, 1]),
)
"""Nodes 0 to 2 are of one kind, 3 and 4 of another, which is worse."""


def chosen(n, **settings_):
    return FacilityLocation(**settings_)(TWO_KINDS, n, generator(0)).tolist()


def test_every_kind_of_node_is_served():
    assert chosen(2) == [0, 4]
    assert chosen(2, quality_bonus=0.0) == [0, 3], "without a bonus, a tie goes to the earlier node"


def test_a_high_bonus_makes_it_a_ranking():
    assert chosen(3, quality_bonus=100.0) == top_n(TWO_KINDS, 3, generator(0)).tolist()


def test_a_cheaper_node_that_serves_as_well_is_taken_where_the_budget_needs_it():
    assert chosen(2, quality_bonus=0.0, cost_budget=2.0) == [1, 3]


def test_fewer_are_taken_where_no_more_are_allowed():
    assert chosen(5, cost_budget=2.0) == [1, 4]
    assert chosen(3, cost_budget=0.5) == []


def test_nodes_of_unknown_rack_are_not_held_to_a_quota():
    known = replace(TWO_KINDS, racks=("a", "a", None, None, "a"))
    assert FacilityLocation(max_per_rack=1)(known, 5, generator(0)).tolist() == [0, 2, 3]


def test_without_costs_there_is_no_budget():
    with pytest.raises(ValueError, match=r"needs Candidates\.cost"):
        FacilityLocation(cost_budget=2.0)(replace(TWO_KINDS, cost=None), 2, generator(0))
