"""The policies by the words of params.yaml, and what is particular about some of them."""

from ftl.federation.selection.all_nodes import AllNodes
from ftl.federation.selection.candidates import SelectionPolicy
from ftl.federation.selection.clustered import Clustered
from ftl.federation.selection.facility_location import FacilityLocation
from ftl.federation.selection.hybrid_maxmin import HybridMaxMin
from ftl.federation.selection.ranking import label_free, random_n, top_n

SELECTION_POLICIES: dict[str, SelectionPolicy] = {
    "top_n": top_n,
    "random_n": random_n,
    "label_free": label_free,
    "hybrid_maxmin": HybridMaxMin(),
    "facility_location": FacilityLocation(),
    "clustered": Clustered(),
    "all": AllNodes(),
}
DRAWN_POLICIES = frozenset({"random_n"})
"""Policies whose participants are random, so that several draws are made."""
UNSIZED_POLICIES = frozenset({"all"})
"""Policies that do not ask how many participants there shall be; their federations are told apart as draws."""
SIMILARITY_POLICIES = frozenset({"hybrid_maxmin", "facility_location", "clustered"})
"""Policies that need the similarity of nodes."""
