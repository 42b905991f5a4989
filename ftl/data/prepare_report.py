"""What was done to the telemetry: a fleet's report, and what of it is worth saying."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet
from ftl.data.node_table import ANOMALOUS, UNKNOWN

if TYPE_CHECKING:
    from ftl.data.prepare import NodeSurvey, Plan, PrepareSettings

PART_NAMES = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "gap": GAP}


def describe_report(report: dict[str, Any]) -> list[str]:
    """What is noteworthy in a fleet's report, as plain sentences for a terminal."""
    nodes = report["nodes"]
    rows = {part: sum(node["rows"][part] for node in nodes.values()) for part in PART_NAMES}
    anomalies = {part: sum(node["anomalies"][part] for node in nodes.values()) for part in PART_NAMES}
    counts = ", ".join(f"{part} {rows[part]:,} ({anomalies[part]:,} anomalous)" for part in PART_NAMES if rows[part])
    kept = f"{len(nodes)} of {report['nodes_read']} nodes, {report['n_features']} features"
    lines = [f"{report['name']} ({report['origin']}): {kept}; rows: {counts}; split: {report['split']['rule']}."]
    lines += [f"Node {node} is left out: {why}." for node, why in report["excluded"].items()]
    lines += [f"{note[:1].upper()}{note[1:]}." for note in report["notes"]]
    dropped = report["dropped_features"]
    if dropped:
        name, why = next(iter(dropped.items()))
        lines.append(f"{_number(len(dropped), 'feature')} dropped, first {name!r}: {why}.")
    lines += [f"On reading: {treatment}: {count:,}." for treatment, count in report["treatments"].items()]
    removed, lost = report["removed_rows"], report["removed_anomalous_rows"]
    if removed:
        lines.append(f"{_number(removed, 'row')} with a missing value removed, {lost:,} of them anomalous.")
    unknown = sum(node["unknown_labels"] for node in nodes.values())
    if unknown:
        lines.append(f"{_number(unknown, 'row')} without a known label; they are not scored.")
    quiet = [node_id for node_id, node in nodes.items() if not node["anomalies"]["test"]]
    if quiet:
        number = _number(len(quiet), "node")
        lines.append(f"{number} without a test anomaly, first {quiet[0]}: no precision, recall or F1 there.")
    if report["transform"]["signed_log1p"]:
        number = _number(len(report["transform"]["signed_log1p"]), "feature")
        lines.append(f"{number} read through a signed logarithm (prepare.transform: {report['transform']['rule']}).")
    constant = {node_id: sorted({*node["constant"]} - {*node["muted"]}) for node_id, node in nodes.items()}
    constant = {node_id: names for node_id, names in constant.items() if names}
    if constant:
        node_id, names = next(iter(constant.items()))
        lines.append(
            f"{_number(sum(map(len, constant.values())), 'column')} constant in training on "
            f"{_number(len(constant), 'node')}, first {names[0]!r} on {node_id}: changes are measured in the fleet's "
            f"range (prepare.constant: {report['settings']['constant']})."
        )
    muted = {node_id: node["muted"] for node_id, node in nodes.items() if node["muted"]}
    if muted:
        node_id, names = next(iter(muted.items()))
        lines.append(
            f"{_number(sum(map(len, muted.values())), 'constant column')} set to 0 on {_number(len(muted), 'node')}, "
            f"first {names[0]!r} on {node_id}."
        )
    clipped = sum(node["clipped_test_values"] for node in nodes.values())
    if clipped:
        share = clipped / (rows["test"] * report["n_features"])
        low, high = report["clip"]
        lines.append(f"{_number(clipped, 'test value')} ({share:.2%}) clipped to [{low:g}, {high:g}].")
    if report["labels"]["borrowed"]:
        lines.append(
            "No anomaly precedes the test part: paradigms that need labels borrow those of the first "
            f"{report['settings']['lend_fraction']:.0%} of each node's test rows and are scored on the rest "
            f"({report['labels']['lent_rows']:,} rows lent)."
        )
    return lines


def fleet_report(
    fleet: Fleet,
    survey: Sequence[NodeSurvey],
    plan: Plan,
    settings: PrepareSettings,
    clipped: Sequence[int],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What was done, JSON-able; see :func:`describe_report` for the same in words."""
    nodes: dict[str, Any] = {}
    for k, (node, keep) in enumerate(zip(plan.nodes, plan.keep, strict=True)):
        label, part = node.label[keep], plan.part[k]
        nodes[node.node_id] = {
            "rows_read": len(keep),
            "rows": {name: int((part == number).sum()) for name, number in PART_NAMES.items()},
            "anomalies": {
                name: int(((part == number) & (label == ANOMALOUS)).sum()) for name, number in PART_NAMES.items()
            },
            "unknown_labels": int((label == UNKNOWN).sum()),
            "removed_rows": int((~keep).sum()),
            "removed_anomalous_rows": int((node.label[~keep] == ANOMALOUS).sum()),
            "dropped_columns": plan.alignment.dropped.get(node.node_id, []),
            "treatments": node.treatments,
            "clipped_test_values": clipped[k],
            "constant": _constant_features(fleet, k),
            "muted": [name for name, muted in zip(fleet.features, fleet.muted[k], strict=True) if muted],
        }
    treatments: Counter[str] = Counter()
    for node in survey:
        treatments.update(node.treatments)
    return {
        "name": fleet.name,
        "origin": fleet.origin,
        "protocol": fleet.protocol,
        "settings": asdict(settings),
        "notes": list(notes),
        "nodes_read": len(survey),
        "excluded": plan.excluded,
        "n_features": len(fleet.features),
        "dropped_features": plan.dropped,
        "split": {"rule": plan.split, "cut_time": plan.cut_time},
        "window_seconds": fleet.window_seconds,
        "treatments": dict(treatments),
        "removed_rows": sum(node["removed_rows"] for node in nodes.values()),
        "removed_anomalous_rows": sum(node["removed_anomalous_rows"] for node in nodes.values()),
        "transform": {"rule": settings.transform, "signed_log1p": list(fleet.signed_log)},
        "scaler": settings.scaler,
        "clip": [fleet.clip_low, fleet.clip_high],
        "labels": {"borrowed": fleet.labels_borrowed, "lent_rows": int(fleet.lent.sum())},
        "nodes": nodes,
    }


def _constant_features(fleet: Fleet, node: int) -> list[str]:
    """Features that are constant on the node's train rows, muted ones included."""
    train = fleet.x[fleet.rows(node, TRAIN)]
    constant = train.min(axis=0) == train.max(axis=0)
    return [name for name, is_constant in zip(fleet.features, constant, strict=True) if is_constant]


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
