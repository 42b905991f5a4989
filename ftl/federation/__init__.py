"""Choosing participants and making one model of theirs."""

from ftl.federation.aggregation import AGGREGATORS, Aggregator
from ftl.federation.methods import METHODS, Method, method_of
from ftl.federation.rounds import end_round, global_models, shared_bytes
from ftl.federation.selection import (
    DRAWN_POLICIES,
    SELECTION_POLICIES,
    Candidates,
    Federation,
    SelectionPolicy,
    federations_of,
    random_n,
    top_n,
)

__all__ = [
    "AGGREGATORS",
    "DRAWN_POLICIES",
    "METHODS",
    "SELECTION_POLICIES",
    "Aggregator",
    "Candidates",
    "Federation",
    "Method",
    "SelectionPolicy",
    "end_round",
    "federations_of",
    "global_models",
    "method_of",
    "random_n",
    "shared_bytes",
    "top_n",
]
