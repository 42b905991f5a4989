"""What can be switched on against drift, and all the ways to put it together."""

import itertools
from dataclasses import dataclass

DETECTORS = ("pca", "local", "federated_pca", "zero_shot")
"""PCA and autoencoder of a node's own rows in its own scale; PCA and autoencoder of a cohort in the cohort's scale."""

REBASES = ("none", "drifting", "all")
"""Whose rows are read as the distance to the node's own trailing median: nobody's; those of a node whose own
label-free test fires; everybody's."""

SMOOTHINGS = (False, True)

THRESHOLDS = ("percentile", "fleet_percentile", "trailing", "trailing_fleet")
"""Of :data:`ftl.detection.thresholds.THRESHOLDS`."""


@dataclass(frozen=True)
class Combination:
    """One setting of everything that is done against drift."""

    rebase: str = "none"
    smoothed: bool = False
    threshold: str = "percentile"


NOTHING = Combination()
RECOMMENDED = Combination("drifting", True, "trailing")
"""Set before any fleet was looked at (docs/drift.md); no study changes it."""

ALL = tuple(itertools.starmap(Combination, itertools.product(REBASES, SMOOTHINGS, THRESHOLDS)))


@dataclass(frozen=True)
class Mechanism:
    """One thing that is switched on: which field of a combination, from what to what."""

    name: str
    field: str
    off: str | bool
    on: str | bool
    means: str


MECHANISMS = (
    Mechanism("rebase_drifting", "rebase", "none", "drifting", "re-basing of nodes whose drift test fires"),
    Mechanism("rebase_all", "rebase", "none", "all", "re-basing of every node"),
    Mechanism("smoothing", "smoothed", False, True, "causal smoothing of scores"),
    Mechanism("trailing", "threshold", "percentile", "trailing", "a threshold that trails the node's own scores"),
    Mechanism("fleet", "threshold", "percentile", "fleet_percentile", "the fleet's percentile as a floor"),
    Mechanism(
        "trailing_fleet", "threshold", "percentile", "trailing_fleet", "both, fleet floor and trailing threshold"
    ),
)

CURVES = {
    "nothing": NOTHING,
    "re-basing": Combination(rebase="drifting"),
    "smoothing": Combination(smoothed=True),
    "trailing threshold": Combination(threshold="trailing"),
    "all three": RECOMMENDED,
}
"""The combinations whose percentile is varied."""

LADDER = {
    "nothing": NOTHING,
    "re-basing, drifting": Combination(rebase="drifting"),
    "re-basing, all": Combination(rebase="all"),
    "smoothing": Combination(smoothed=True),
    "fleet percentile": Combination(threshold="fleet_percentile"),
    "trailing": Combination(threshold="trailing"),
    "trailing_fleet": Combination(threshold="trailing_fleet"),
    "smoothing, trailing": Combination(smoothed=True, threshold="trailing"),
    "all three": RECOMMENDED,
}
"""The combinations that are shown to people; the files hold all of them."""
