"""One pass over a source: every node is read once, reduced to a summary, and let go."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ftl.data.inspection.advice import advice_for
from ftl.data.inspection.outlook import Rehearsal
from ftl.data.inspection.survey import Inspection, NodeSummary, summarise
from ftl.data.inspection.timeline import Bins
from ftl.data.node_table import NodeTable, TelemetrySource
from ftl.errors import TelemetryError


def inspect_fleet(
    source: TelemetrySource,
    progress: Callable[[int, int, str], None] | None = None,
    on_table: Callable[[NodeTable], None] | None = None,
    is_prepared: bool = False,
) -> Inspection:
    """Read every node once and summarise it; never more than one node's values are in memory.

    Args:
        source: Where the telemetry comes from. A node that cannot be read is named in ``unreadable`` with the reason,
            and the others are read all the same.
        progress: Called after each node with how many are done, how many there are, and what is being done.
        on_table: Called with each table while it is in memory.
        is_prepared: Whether it is a prepared fleet, so that nobody needs to ask what preparing would make of it.
    """
    if is_prepared:
        return _inspect(source, progress, on_table)
    with tempfile.TemporaryDirectory(prefix="ftl-check-") as folder:
        rehearsal = Rehearsal(source, Path(folder))

        def look_at(table: NodeTable) -> None:
            rehearsal.take_down(table)
            if on_table is not None:
                on_table(table)

        inspection = _inspect(source, progress, look_at)
        if not rehearsal.has_room:
            note = f"no room in {tempfile.gettempdir()}, so it was not found out which nodes prepare would leave out; "
            note += "set TMPDIR to a folder with room"
            return replace(inspection, notes=(*inspection.notes, note))
        return replace(inspection, outlook=rehearsal.outlook(progress))


def _inspect(
    source: TelemetrySource,
    progress: Callable[[int, int, str], None] | None,
    on_table: Callable[[NodeTable], None] | None,
) -> Inspection:
    nodes: list[NodeSummary] = []
    unreadable: dict[str, str] = {}
    base = None
    node_ids = source.node_ids()
    for number, node_id in enumerate(node_ids, start=1):
        try:
            summary = _read_and_summarise(source, node_id, base, on_table)
        except (TelemetryError, OSError) as error:
            unreadable[node_id] = str(error)
        else:
            nodes.append(summary)
            base = base or summary.timeline.window
        if progress is not None:
            progress(number, len(node_ids), "Reading nodes")
    return Inspection(
        name=source.name,
        origin=source.origin,
        time_unit=source.time_unit,
        window_seconds=source.window_seconds(),
        nodes=tuple(_with_base(nodes, base or 1)),
        unreadable=unreadable,
        notes=tuple(getattr(source, "notes", ())),
        units=dict(getattr(source, "units", {})),
        advice=advice_for(source),
    )


def _read_and_summarise(
    source: TelemetrySource, node_id: str, base: int | None, on_table: Callable[[NodeTable], None] | None
) -> NodeSummary:
    table = source.read_node(node_id)
    if on_table is not None:
        on_table(table)
    return summarise(table, source.rack_of(node_id), source.time_unit == "seconds", base)


def _with_base(nodes: list[NodeSummary], base: int) -> list[NodeSummary]:
    """Nodes with one row or none that were read before the window was known, in bins of the common base."""
    return [
        replace(node, bins=Bins(base, 0, node.bins.first * node.bins.base // base, node.bins.counts))
        if node.bins.base != base
        else node
        for node in nodes
    ]
