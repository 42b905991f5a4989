"""One feature list for all nodes: which columns of nodes with unlike tables a fleet keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ftl.errors import TelemetryError

AlignmentRule = Callable[[Mapping[str, Sequence[str]]], tuple[str, ...]]


@dataclass(frozen=True)
class Alignment:
    """The fleet's features, and per node the columns that it has and the fleet does not."""

    features: tuple[str, ...]
    dropped: dict[str, list[str]]
    lacking: dict[str, list[str]]  # per dropped column, the nodes without a value in it


def intersection(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The columns that every node has, in the order of the first node.

    Raises:
        TelemetryError: If no column is common to all nodes; names the node at which the last one was lost.
    """
    common: dict[str, None] | None = None
    for node_id, present in columns.items():
        held = set(present)
        common = {name: None for name in (present if common is None else common) if name in held}
        if not common:
            raise TelemetryError(
                f"node {node_id}: none of its {len(present)} non-empty feature columns is in all nodes before it; "
                "a fleet needs at least one common column: rename columns, or take this node out of the fleet"
            )
    return tuple(common or ())


def align(rule: str, columns: Mapping[str, Sequence[str]]) -> Alignment:
    """Apply a rule of :data:`ALIGNMENTS`.

    Args:
        rule: A key of ALIGNMENTS.
        columns: Per node, in fleet order, the columns with at least one value; an all-NaN column counts as absent.
    """
    features = ALIGNMENTS[rule](columns)
    kept = set(features)
    dropped = {node_id: [name for name in present if name not in kept] for node_id, present in columns.items()}
    held = {node_id: set(present) for node_id, present in columns.items()}
    lacking = {
        name: [node_id for node_id in columns if name not in held[node_id]]
        for name in dict.fromkeys(name for names in dropped.values() for name in names)
    }
    return Alignment(features, {node_id: names for node_id, names in dropped.items() if names}, lacking)


ALIGNMENTS: dict[str, AlignmentRule] = {"intersection": intersection}
