"""What is wrong with nodes: unreadable, too short, off the clock, unlike the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ftl.data.drift import drifts
from ftl.data.inspection.finding import ERROR, NOTE, WARNING, Evidence, Finding, Rule
from ftl.data.inspection.survey import LEAST_ROWS, Inspection
from ftl.data.inspection.timeline import longest_silence
from ftl.data.inspection.words import count, duration, moment, percent, whole_months

LONG_SILENCE = 0.02  # of the whole period; shorter ones are gaps like others


def unreadable_nodes(evidence: Evidence) -> Iterator[Finding]:
    """Nodes whose tables could not be read."""
    if unreadable := evidence.inspection.unreadable:
        node, why = next(iter(unreadable.items()))
        yield Finding(
            ERROR,
            f"{count(len(unreadable), 'node')} cannot be read",
            why if str(node) in why else f"node {node}: {why}",
            len(unreadable),
            "mend or remove these nodes; preparing the fleet stops at the first of them",
        )


def unusable_nodes(evidence: Evidence) -> Iterator[Finding]:
    """Nodes with fewer rows than training needs or without a value, and fleets in which too few others are left."""
    nodes = evidence.inspection.nodes
    n_usable = sum(node.usable for node in nodes)
    if n_usable < 2:
        yield Finding(
            ERROR,
            f"{count(n_usable, 'node has', 'nodes have')} at least {LEAST_ROWS} rows with values; a federation needs "
            "2, one that trains and one that receives",
            advice="bring more nodes, or longer tables",
        )
    short = [node for node in nodes if node.n_rows < LEAST_ROWS]
    if short:
        empty = sum(node.n_rows == 0 for node in short)
        yield Finding(
            WARNING,
            f"{count(len(short), 'node')} with fewer than {LEAST_ROWS} rows"
            + (f", {empty} of them empty" if empty else ""),
            f"node {short[0].node_id}: {count(short[0].n_rows, 'row')}",
            len(short),
            "they are left out of the fleet",
        )
    silent = [node for node in nodes if node.n_rows >= LEAST_ROWS and not node.usable]
    if silent:
        what = f"{count(len(silent), 'node')} without a single value"
        yield Finding(WARNING, what, f"node {silent[0].node_id}", len(silent), "they are left out of the fleet")


def cohorts(evidence: Evidence) -> Iterator[Finding]:
    """More participants than there are nodes: of every cohort a target must remain."""
    outlook, sizes = evidence.inspection.outlook, evidence.n_participants
    usable = sum(node.usable for node in evidence.inspection.nodes)
    n_nodes = outlook.n_kept if outlook is not None and not outlook.refused else usable
    too_large = [size for size in sizes if size >= n_nodes]
    if n_nodes >= 2 and too_large:
        example = sorted({1, max(1, n_nodes // 4), n_nodes // 2})[-2:]
        yield Finding(
            NOTE,
            f"{n_nodes} nodes are too few for the default cohorts of {', '.join(map(str, sizes))} participants, which "
            f"need at least {max(sizes) + 1} nodes",
            count=len(too_large),
            advice=f"ftl run stops without -S select.n_participants=[{','.join(map(str, example))}] or the like",
        )


def splits(evidence: Evidence) -> Iterator[Finding]:
    """A split of the source must be in all nodes or in none."""
    nodes = [node for node in evidence.inspection.nodes if node.usable]
    without = [node for node in nodes if not node.has_split]
    if without and len(without) < len(nodes):
        yield Finding(
            ERROR,
            f"{len(nodes) - len(without)} of {len(nodes)} nodes have a split column",
            f"not node {without[0].node_id}",
            len(without),
            "give it to all nodes or to none, or set prepare.split to chronological or random",
        )


def windows(evidence: Evidence) -> Iterator[Finding]:
    """The window length that was found, against the declared one and between nodes."""
    inspection = evidence.inspection
    known = [node for node in inspection.nodes if node.timeline.window is not None]
    lengths = [node.timeline.window for node in known if node.timeline.window is not None]
    if not lengths:
        return
    usual = max(set(lengths), key=lengths.count)
    declared = inspection.window_seconds
    if inspection.time_unit == "seconds" and declared is not None:
        wrong = [n for n, length in zip(known, lengths, strict=True) if abs(length - declared) > 0.01 * declared]
        if wrong:
            found = wrong[0].timeline.window or 0
            differ = count(len(wrong), "node has", "nodes have")
            yield Finding(
                WARNING,
                f"window length declared as {declared / 60:g} min, but {differ} another",
                f"node {wrong[0].node_id}: rows are usually {found / 60:g} min apart",
                len(wrong),
                f"{inspection.advice.window}; alarms per day are counted with it",
            )
            return
    elif declared is None and inspection.time_unit == "steps":
        advice = "add window_minutes to fleet.yaml, so that alarms per day can be counted"
        yield Finding(NOTE, "time is counted in steps of unknown length", advice=advice)
    odd = [node for node, length in zip(known, lengths, strict=True) if length != usual]
    if odd:
        yield Finding(
            WARNING,
            f"rows of {count(len(odd), 'node')} are not {_length(inspection, usual)} apart as in the others",
            f"node {odd[0].node_id}: {_length(inspection, odd[0].timeline.window or 0)}",
            len(odd),
            "bring all nodes to one window length",
        )


def gaps(evidence: Evidence) -> Iterator[Finding]:
    """Rows that are missing between others, and rows off the grid."""
    inspection = evidence.inspection
    lines = [(node, node.timeline) for node in inspection.nodes if node.n_rows > 1]
    missing = sum(line.missing_windows for _, line in lines)
    if missing:
        share = missing / (missing + sum(node.n_rows for node, _ in lines))
        node, line = max(lines, key=lambda pair: pair[1].longest_gap)
        n_gaps, n_with = sum(line.n_gaps for _, line in lines), sum(line.n_gaps > 0 for _, line in lines)
        yield Finding(
            WARNING if share > 0.1 else NOTE,
            f"{count(n_gaps, 'gap')} on {count(n_with, 'node')}; {count(missing, 'window')} lost ({percent(share)})",
            f"longest: node {node.node_id}, {_length(inspection, line.longest_gap)}",
            n_gaps,
            "windows of sequence models do not cross gaps",
        )
    off = [(node, line) for node, line in lines if line.irregular > 0.05 * (node.n_rows - 1)]
    if off:
        node, line = off[0]
        yield Finding(
            WARNING,
            f"irregular times on {count(len(off), 'node')}: distances that are no whole number of windows",
            f"node {node.node_id}: {percent(line.irregular / (node.n_rows - 1))} of its distances",
            len(off),
            "resample to windows of one length, as the readers of raw samples do",
        )


def clocks(evidence: Evidence) -> Iterator[Finding]:
    """Rows whose date cannot be true; all else that is said of times looks past them."""
    wrong = [node for node in evidence.inspection.nodes if node.timeline.implausible]
    if wrong:
        rows = sum(node.timeline.implausible for node in wrong)
        yield Finding(
            WARNING,
            f"{count(rows, 'row')} before 2000, after 2100 or over 10 years from the other rows of their node",
            f"node {wrong[0].node_id}: {count(wrong[0].timeline.implausible, 'row')}",
            len(wrong),
            f"a clock was wrong, or {evidence.inspection.advice.clock}; gaps are counted without these rows",
        )


def silence(evidence: Evidence) -> Iterator[Finding]:
    """A stretch of time of which no node has a row."""
    inspection = evidence.inspection
    found = longest_silence(inspection.grid, [node.timeline for node in inspection.nodes if node.n_rows])
    if found is None:
        return
    after, until, share = found
    unit = inspection.time_unit
    months = whole_months(after, until) if unit == "seconds" else []
    windows = [node.timeline.window for node in inspection.nodes if node.timeline.window is not None]
    if not months and (share < LONG_SILENCE or until - after < 10 * max(windows)):
        return
    first, last = (months[0], months[-1]) if months else ("", "")
    named = f": the whole of {first}" + (f" to {last}" if last != first else "") if months else ""
    yield Finding(
        WARNING if share > 0.1 else NOTE,
        f"no node has a row for {duration(until - after, unit)} ({percent(share)} of the whole period){named}",
        f"between {moment(after, unit)} and {moment(until, unit)}" + (" UTC" if unit == "seconds" else ""),
        advice="if something was not brought, bring it; if the collection paused, nothing needs to be done",
    )


def drifting_nodes(evidence: Evidence) -> Iterator[Finding]:
    """Nodes whose own later train rows exceed what their earlier ones would set as a threshold.

    A prepared fleet says it in its report, of the rows before any re-basing.
    """
    inspection = evidence.inspection
    if inspection.outlook is None:
        return
    told = [node for node in inspection.nodes if node.usable and not np.isnan(node.drift_share)]
    firing = [node for node in told if drifts(node.drift_share)]
    if firing:
        worst = max(firing, key=lambda node: node.drift_share)
        when, rule = "if false alarms are many", "drifting"
        if 2 * len(firing) >= len(inspection.nodes):
            when, rule = "as thresholds are set on the past", "fleet"
        whose = f"node {worst.node_id}: {percent(worst.drift_share)} of its later train rows"
        unknown = inspection.time_unit == "steps" and inspection.window_seconds is None
        needs = "; it needs window_minutes in fleet.yaml" if unknown else ""
        yield Finding(
            NOTE,
            f"{count(len(firing), 'node drifts', 'nodes drift')} within the train part; {len(told)} can be told",
            f"{whose} exceed what 2 % of the earlier ones do",
            len(firing),
            f"{when}, -S prepare.rebase={rule} reads rows as the distance to the node's last day (docs/drift.md)"
            f"{needs}",
        )


def outlying_nodes(evidence: Evidence) -> Iterator[Finding]:
    """Nodes unlike the others."""
    positions = evidence.positions
    order = np.argsort(np.where(positions.outlying, -positions.distance, np.inf), kind="stable")
    outlying = order[: int(positions.outlying.sum())]
    if len(outlying):
        first = int(outlying[0])
        yield Finding(
            NOTE,
            f"{count(len(outlying), 'node')} unlike the others",
            f"node {evidence.inspection.nodes[first].node_id}, most in {positions.column[first]!r} "
            f"({positions.column_z[first]:+.1f} usual spreads from the median node)",
            len(outlying),
            "a shared model may fit them badly",
        )


def reading(evidence: Evidence) -> Iterator[Finding]:
    """Repairs made on reading, and what the source says of itself."""
    for what, (number, n_nodes, first) in evidence.inspection.treatments.items():
        places = f"node {first}" + (f" and {n_nodes - 1} more" if n_nodes > 1 else "")
        yield Finding(NOTE, f"on reading: {what}: {number:,}", places, number)
    for note in evidence.inspection.notes:
        yield Finding(NOTE, note)


def _length(inspection: Inspection, units: int) -> str:
    return duration(units, inspection.time_unit)


NODE_RULES: tuple[Rule, ...] = (
    unreadable_nodes,
    unusable_nodes,
    cohorts,
    splits,
    clocks,
    windows,
    silence,
    gaps,
    drifting_nodes,
    outlying_nodes,
    reading,
)
