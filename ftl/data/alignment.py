"""One feature list for all nodes: which columns of nodes with unlike tables a fleet keeps, and under which names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftl.errors import TelemetryError
from ftl.sharing.census import ColumnCensus, ColumnReport, census

CORE = re.compile(r"p(?P<socket>\d+)_core(?P<core>\d+)_temp(?P<statistic>_\w+)?")


@dataclass(frozen=True)
class AlignmentRule:
    """How a fleet gets one feature list.

    Attributes:
        rename: A node's columns with at least one value, to the names that the fleet knows them by, in the same order.
        choose: Per node these names, and the least share of nodes that must have a column, to the fleet's features.
    """

    rename: Callable[[Sequence[str]], list[str]]
    choose: Callable[[Mapping[str, Sequence[str]], float], tuple[str, ...]]


@dataclass(frozen=True)
class Alignment:
    """The fleet's features, and what became of the nodes' columns."""

    features: tuple[str, ...]
    dropped: dict[str, list[str]]  # per node, its columns that the fleet does not keep, under the fleet's names
    lacking: dict[str, list[str]]  # per column that the fleet does not keep, the nodes without a value in it
    imputed: dict[str, list[str]]  # per node, the features that it lacks: constant there, and muted


def as_named(present: Sequence[str]) -> list[str]:
    """Every column under its own name."""
    return list(present)


def core_slots(present: Sequence[str]) -> list[str]:
    """Core sensors ``p<socket>_core<number>_temp[_<statistic>]`` as slots ``p<socket>_c<slot>_temp[_<statistic>]``.

    The slots of a socket count its reporting cores upwards: of each Marconi100 socket 16 of 24 cores report, and which
    ones differs from chip to chip (telemetry of the same die position is not to be had). Other columns keep their name.

    Raises:
        TelemetryError: If a slot's name is taken by another column.
    """
    matches = [CORE.fullmatch(name) for name in present]
    cores = sorted({(int(match["socket"]), int(match["core"])) for match in matches if match})
    slots: dict[tuple[int, int], int] = {}
    reporting: Counter[int] = Counter()
    for socket, core in cores:
        slots[socket, core] = reporting[socket]
        reporting[socket] += 1
    names = []
    for name, match in zip(present, matches, strict=True):
        if match:
            socket, core = int(match["socket"]), int(match["core"])
            name = f"p{socket}_c{slots[socket, core]:02d}_temp{match['statistic'] or ''}"
        names.append(name)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TelemetryError(
            f"column {twice[0]!r} and a core renamed to it by prepare.alignment: slots cannot both be kept; "
            "rename one, or set prepare.alignment: intersection"
        )
    return names


def intersection(columns: Mapping[str, Sequence[str]], min_node_share: float = 1.0) -> tuple[str, ...]:
    """The columns that every node has, in the order of the first node; min_node_share says nothing here.

    Raises:
        TelemetryError: If no column is common to all nodes; names the node at which the last one was lost.
    """
    counted = census(ColumnReport(node_id, tuple(present)) for node_id, present in columns.items())
    if columns and not counted.intersection():
        raise TelemetryError(_nothing_in_common(columns))
    return counted.intersection()


def union(columns: Mapping[str, Sequence[str]], min_node_share: float) -> tuple[str, ...]:
    """The columns that at least this share of the nodes have, in the order in which they first occur.

    Raises:
        TelemetryError: If there is none.
    """
    counted = census(ColumnReport(node_id, tuple(present)) for node_id, present in columns.items())
    features = counted.union(min_node_share)
    if not features:
        most, count = max(counted.held_by.items(), key=lambda held: held[1])
        raise TelemetryError(
            f"no column is in {min_node_share:.0%} of the {len(columns)} nodes, most often {most!r} ({count}); "
            "lower prepare.min_node_share"
        )
    return features


def _nothing_in_common(columns: Mapping[str, Sequence[str]]) -> str:
    counted = ColumnCensus()
    for node_id, present in columns.items():
        counted += ColumnReport(node_id, tuple(present))
        if not counted.intersection():
            break
    return (
        f"node {node_id}: none of its {len(present)} non-empty feature columns is in all nodes before it; "
        "a fleet needs at least one common column: rename columns, or take this node out of the fleet"
    )


ALIGNMENTS: dict[str, AlignmentRule] = {
    "intersection": AlignmentRule(as_named, intersection),
    "slots": AlignmentRule(core_slots, intersection),
    "union": AlignmentRule(as_named, union),
}


def align(rule: str, columns: Mapping[str, Sequence[str]], min_node_share: float = 0.5) -> Alignment:
    """Apply a rule of :data:`ALIGNMENTS`.

    Args:
        rule: A key of ALIGNMENTS.
        columns: Per node, in fleet order, the columns with at least one value; an all-NaN column counts as absent.
        min_node_share: For ``union``.

    Raises:
        TelemetryError: If no feature is left, or a name would be given twice.
    """
    known: dict[str, str] = {}  # one copy of each name, however many nodes have it
    names = {}
    for node_id, present in columns.items():
        try:
            names[node_id] = [known.setdefault(name, name) for name in ALIGNMENTS[rule].rename(present)]
        except TelemetryError as error:
            raise TelemetryError(f"node {node_id}: {error}") from error
    features = ALIGNMENTS[rule].choose(names, min_node_share)
    kept = set(features)
    dropped = {node_id: [name for name in present if name not in kept] for node_id, present in names.items()}
    held = {node_id: set(present) for node_id, present in names.items()}
    lacking = {
        name: [node_id for node_id in names if name not in held[node_id]]
        for name in dict.fromkeys(name for lost in dropped.values() for name in lost)
    }
    imputed = {node_id: [name for name in features if name not in held[node_id]] for node_id in names}
    return Alignment(
        features,
        {node_id: lost for node_id, lost in dropped.items() if lost},
        lacking,
        {node_id: absent for node_id, absent in imputed.items() if absent},
    )


def columns_of(rule: str, table: Sequence[str], reports: Iterable[bool], features: Sequence[str]) -> list[int | None]:
    """Where a node's table holds each feature of the fleet; None where it does not.

    Args:
        rule: A key of ALIGNMENTS.
        table: All columns of the node's table.
        reports: Per column, whether it holds at least one value.
        features: Names as the rule gives them.
    """
    present = [column for column, holds in enumerate(reports) if holds]
    named = dict(zip(ALIGNMENTS[rule].rename([table[column] for column in present]), present, strict=True))
    return [named.get(name) for name in features]


def alignment_costs(columns: Mapping[str, Sequence[str]], min_node_share: float) -> dict[str, dict[str, Any]]:
    """What every rule would keep and lose: ``features``, ``lost_columns``, ``imputed`` (per node), or ``refused``."""
    costs: dict[str, dict[str, Any]] = {}
    for rule in ALIGNMENTS:
        try:
            result = align(rule, columns, min_node_share)
        except TelemetryError as error:
            costs[rule] = {"refused": str(error)}
            continue
        costs[rule] = {
            "features": len(result.features),
            "lost_columns": len(result.lacking),
            "imputed": {node_id: len(absent) for node_id, absent in result.imputed.items()},
        }
    return costs
