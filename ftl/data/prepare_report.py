"""What was done to the telemetry: a fleet's report, and what of it is worth saying."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet

if TYPE_CHECKING:
    from ftl.data.plan import Plan
    from ftl.data.prepare_settings import PrepareSettings
    from ftl.data.survey import NodeSummary

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
    imputed = {node_id: node["imputed"] for node_id, node in nodes.items() if node.get("imputed")}
    if imputed:
        node_id, names = next(iter(imputed.items()))
        lines.append(
            f"{_number(sum(map(len, imputed.values())), 'column')} made up on {_number(len(imputed), 'node')} without "
            f"them, 0 in every row: first {names[0]!r} on {node_id}."
        )
    removed, lost = report["removed_rows"], report["removed_anomalous_rows"]
    if removed:
        lines.append(f"{_number(removed, 'row')} with a missing value removed, {lost:,} of them anomalous.")
    filled = sum(node.get("filled_cells", 0) for node in nodes.values())
    if filled:
        lines.append(f"{_number(filled, 'missing value')} filled (prepare.missing: {report['settings']['missing']}).")
    if report.get("indicators"):
        number = _number(len(report["indicators"]), "feature")
        lines.append(f"{number} added to say which values were missing, first {report['indicators'][0]!r}.")
    lines += describe_costs(report)
    unknown = sum(node["unknown_labels"] for node in nodes.values())
    if unknown:
        lines.append(f"{_number(unknown, 'row')} without a known label; they are not scored.")
    quiet = [node_id for node_id, node in nodes.items() if not node["anomalies"]["test"]]
    if quiet:
        number = _number(len(quiet), "node")
        lines.append(f"{number} without a test anomaly, first {quiet[0]}: no precision, recall or F1 there.")
    if report.get("counters"):
        number = _number(len(report["counters"]), "feature")
        lines.append(
            f"{number} only ever {'grows' if len(report['counters']) == 1 else 'grow'}, first "
            f"{report['counters'][0]!r}: read as the increase per window (prepare.counters: increase)."
        )
    if report["transform"]["signed_log1p"]:
        number = _number(len(report["transform"]["signed_log1p"]), "feature")
        lines.append(f"{number} read through a signed logarithm (prepare.transform: {report['transform']['rule']}).")
    lines += describe_drift(report)
    constant = {node_id: sorted({*node["constant"]} - {*node["muted"]}) for node_id, node in nodes.items()}
    constant = {node_id: names for node_id, names in constant.items() if names}
    if constant:
        node_id, names = next(iter(constant.items()))
        lines.append(
            f"{_number(sum(map(len, constant.values())), 'column')} constant in training on "
            f"{_number(len(constant), 'node')}, first {names[0]!r} on {node_id}: changes are measured in the fleet's "
            f"range (prepare.constant: {report['settings']['constant']})."
        )
    muted = {node_id: [*{*node["muted"]} - {*node.get("imputed", [])}] for node_id, node in nodes.items()}
    muted = {node_id: sorted(names) for node_id, names in muted.items() if names}
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
    survey: Sequence[NodeSummary],
    plan: Plan,
    settings: PrepareSettings,
    reports: Sequence[dict[str, Any]],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What was done, JSON-able; see :func:`describe_report` for the same in words.

    Args:
        fleet: The fleet, without a report.
        survey: All nodes that were read.
        plan: What was decided.
        settings: The section `prepare` of params.yaml.
        reports: Per node of the fleet, as :func:`ftl.data.node_block.write_node` gives them.
        notes: Of the source.
    """
    nodes = {}
    for k, (node_id, report) in enumerate(zip(fleet.node_ids, reports, strict=True)):
        muted = [name for name, is_muted in zip(fleet.features, fleet.muted[k], strict=True) if is_muted]
        nodes[node_id] = {**report, "dropped_columns": plan.alignment.dropped.get(node_id, []), "muted": muted}
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
        "indicators": [name for name, _ in plan.rules.indicators],
        "indicators_look_at": {
            name: [plan.rules.features[feature] for feature in looks_at] for name, looks_at in plan.rules.indicators
        },
        "costs": plan.costs,
        "split": {"rule": plan.rules.split, "cut_time": plan.cut_time},
        "window_seconds": fleet.window_seconds,
        "window": plan.rules.window,
        "treatments": dict(treatments),
        "removed_rows": sum(report["removed_rows"] for report in reports),
        "removed_anomalous_rows": sum(report["removed_anomalous_rows"] for report in reports),
        "counters": list(fleet.counters),
        "transform": {"rule": settings.transform, "signed_log1p": list(fleet.signed_log)},
        "scaler": settings.scaler,
        "rebasing": {"rule": settings.rebase, "hours": settings.rebase_hours, "rebased": list(fleet.rebased)},
        "clip": [fleet.clip_low, fleet.clip_high],
        "labels": {"borrowed": fleet.labels_borrowed, "lent_rows": sum(report["lent_rows"] for report in reports)},
        "nodes": nodes,
    }


def describe_drift(report: dict[str, Any]) -> list[str]:
    """Which nodes drift, which are re-based, and what re-basing would do."""
    if "rebasing" not in report:  # prepared by an earlier version
        return []
    nodes, rule, limit = report["nodes"], report["rebasing"]["rule"], report["settings"]["drift_share"]
    fired = [node_id for node_id, node in nodes.items() if node["drifts"]]
    untold = sum(node["drift_share"] is None for node in nodes.values())
    window = f"{report['rebasing']['hours']:g} h"
    rebased = report["rebasing"]["rebased"]
    lines = []
    if fired:
        worst = max(fired, key=lambda node_id: nodes[node_id]["drift_share"])
        lines.append(
            f"{len(fired)} of {_number(len(nodes), 'node')} {'drifts' if len(fired) == 1 else 'drift'}: most {worst}, "
            f"of whose later train rows {nodes[worst]['drift_share']:.0%} lie above what 2% of the earlier ones exceed "
            f"(prepare.drift_share: {limit:g})"
            + ("." if rebased else f"; re-basing would read rows as the distance to a node's last {window}.")
        )
    if rebased:
        lines.append(
            f"{_number(len(rebased), 'node')} re-based: rows are read as the distance to the median of the node's last "
            f"{window} (prepare.rebase: {rule})."
        )
    if untold and rule in ("drifting", "fleet"):
        lines.append(f"{_number(untold, 'node')} with too few train rows to tell drift; not taken for drifting.")
    return lines


def describe_costs(report: dict[str, Any]) -> list[str]:
    """What the rules for unlike columns and for missing values cost, and what the other ones would."""
    costs, settings = report.get("costs"), report["settings"]
    if costs is None:  # prepared by an earlier version
        return []
    lines = []
    if any(cost.get("lost_columns", 1) or cost["imputed"] for cost in costs["alignment"].values()):
        lines.append(f"Unlike columns (prepare.alignment): {_side_by_side(costs, settings, 'alignment', _kept)}.")
    if any(cost["rows_removed"] or cost["cells_filled"] for cost in costs["missing"].values()):
        lines.append(f"Missing values (prepare.missing): {_side_by_side(costs, settings, 'missing', _lost)}.")
    return lines


def _side_by_side(
    costs: dict[str, Any], settings: dict[str, Any], key: str, say: Callable[[dict[str, Any], bool], str]
) -> str:
    """The chosen rule first, then the others."""
    chosen = settings[key]
    others = [f"{rule} would {say(cost, False)}" for rule, cost in costs[key].items() if rule != chosen]
    return "; ".join([f"{chosen} {say(costs[key][chosen], True)}", *others])


def _kept(cost: dict[str, Any], chosen: bool) -> str:
    if "refused" in cost:
        return "leave no feature"
    s = "s" if chosen else ""
    text = f"keep{s} {_number(cost['features'], 'feature')} and lose{s} {_number(cost['lost_columns'], 'column')}"
    if cost["imputed"]:
        number = _number(sum(cost["imputed"].values()), "column")
        text += f", with {number} made up on {_number(len(cost['imputed']), 'node')}"
    return text


def _lost(cost: dict[str, int], chosen: bool) -> str:
    s = "s" if chosen else ""
    text = f"remove{s} no row"
    if cost["rows_removed"]:
        anomalous = f"{cost['anomalous_rows_removed']:,} of {_number(cost['anomalous_rows'], 'anomalous window')}"
        text = f"remove{s} {_number(cost['rows_removed'], 'row')} ({anomalous})"
    if cost["columns_removed"]:
        text += f" and {_number(cost['columns_removed'], 'column')}"
    if cost["cells_filled"]:
        text += f", fill{s} {_number(cost['cells_filled'], 'cell')}"
    if cost["nodes_lost"]:
        text += f", lose{s} {_number(cost['nodes_lost'], 'node')}"
    return text


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
