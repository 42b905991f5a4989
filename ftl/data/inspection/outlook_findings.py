"""What preparing the fleet with default settings would leave out, and what to set so that it would not."""

from __future__ import annotations

from collections.abc import Iterator

from ftl.data.inspection.column_findings import common_columns
from ftl.data.inspection.finding import ERROR, WARNING, Evidence, Finding, Rule
from ftl.data.inspection.node_findings import splits, unusable_nodes
from ftl.data.inspection.outlook import REMOVED, Blame
from ftl.data.inspection.survey import Inspection
from ftl.data.inspection.words import count, moment, percent

BEFORE_CUT = "no test rows"


def refused(evidence: Evidence) -> Iterator[Finding]:
    """Preparing would stop, or leave one node alone, for a reason that no other rule has named."""
    outlook = evidence.inspection.outlook
    known = any(
        finding.level == ERROR for rule in (unusable_nodes, splits, common_columns) for finding in rule(evidence)
    )
    if outlook is None or known:
        return
    advice = _remedy(evidence.inspection, outlook.blame)
    if outlook.refused:
        yield Finding(ERROR, "preparing the fleet would stop, with default settings", outlook.refused, advice=advice)
    elif outlook.n_kept < 2:
        node_id, why = next(iter(outlook.excluded.items()))
        what = (
            f"preparing would leave {outlook.n_kept} node; a federation needs 2, one that trains and one that receives"
        )
        yield Finding(ERROR, what, f"node {node_id}: {why}", len(outlook.excluded), advice)


def left_out(evidence: Evidence) -> Iterator[Finding]:
    """Nodes with enough rows that would be left out all the same, one finding for each kind of reason."""
    inspection, outlook = evidence.inspection, evidence.inspection.outlook
    if outlook is None:
        return
    usable = {node.node_id for node in inspection.nodes if node.usable}
    reasons = {node_id: why for node_id, why in outlook.excluded.items() if node_id in usable}
    for nodes in _by_kind(reasons).values():
        first = nodes[0]
        where, advice = f"node {first}: {reasons[first]}", "bring longer tables of them, or leave them out yourself"
        if reasons[first] == BEFORE_CUT and outlook.cut_time is not None:
            where += f"; it ends {_end(inspection, first)}, the fleet's test part begins after "
            where += moment(outlook.cut_time, inspection.time_unit)
            advice = (
                "one cut in time holds for all nodes: bring their later rows, or set prepare.split or test_fraction"
            )
        elif REMOVED in reasons[first]:
            advice = _remedy(inspection, outlook.blame)
        yield Finding(
            WARNING,
            f"{len(nodes)} of {count(len(inspection.nodes), 'node')} would be left out by prepare",
            where,
            len(nodes),
            advice,
        )


def _by_kind(reasons: dict[str, str]) -> dict[str, list[str]]:
    """The nodes for which preparing gives the same kind of reason: numbers in it may differ."""
    kinds: dict[str, list[str]] = {}
    for node_id, why in reasons.items():
        kind = REMOVED if REMOVED in why else "".join(c for c in why if not c.isdigit())
        kinds.setdefault(kind, []).append(node_id)
    return kinds


def _end(inspection: Inspection, node_id: str) -> str:
    line = next(node.timeline for node in inspection.nodes if node.node_id == node_id)
    return moment(line.last, inspection.time_unit)


def _remedy(inspection: Inspection, blame: Blame | None) -> str:
    """Which column is to blame, and what to set."""
    if blame is None:
        return ""
    missing = f"{blame.column!r} is missing in {percent(blame.train)} of node {blame.node_id}'s training rows and "
    missing += f"{percent(blame.test)} of its test rows"
    return "; ".join((missing, *blame.remedies, *([] if blame.remedies else [inspection.advice.column])))


OUTLOOK_RULES: tuple[Rule, ...] = (
    refused,
    left_out,
)
