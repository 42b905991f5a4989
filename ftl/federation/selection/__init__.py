"""Who trains the global model: the paper's node selection strategies (section 4.3.1), its roadmap (4.5.5), and more."""

from ftl.federation.selection.all_nodes import AllNodes
from ftl.federation.selection.candidates import Candidates, Federation, SelectionPolicy, federations_of, ranked
from ftl.federation.selection.clustered import Clustered
from ftl.federation.selection.facility_location import FacilityLocation
from ftl.federation.selection.hybrid_maxmin import HybridMaxMin
from ftl.federation.selection.policies import (
    DRAWN_POLICIES,
    SELECTION_POLICIES,
    SIMILARITY_POLICIES,
    UNSIZED_POLICIES,
)
from ftl.federation.selection.ranking import label_free, random_n, top_n

__all__ = [
    "DRAWN_POLICIES",
    "SELECTION_POLICIES",
    "SIMILARITY_POLICIES",
    "UNSIZED_POLICIES",
    "AllNodes",
    "Candidates",
    "Clustered",
    "FacilityLocation",
    "Federation",
    "HybridMaxMin",
    "SelectionPolicy",
    "federations_of",
    "label_free",
    "random_n",
    "ranked",
    "top_n",
]
