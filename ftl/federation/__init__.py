"""Choosing participants and making one model of theirs."""

from ftl.federation.aggregation import AGGREGATORS, Aggregator, aggregate_cohorts
from ftl.federation.selection import DRAWN_POLICIES, SELECTION_POLICIES, Candidates, SelectionPolicy, random_n, top_n

__all__ = [
    "AGGREGATORS",
    "DRAWN_POLICIES",
    "SELECTION_POLICIES",
    "Aggregator",
    "Candidates",
    "SelectionPolicy",
    "aggregate_cohorts",
    "random_n",
    "top_n",
]
