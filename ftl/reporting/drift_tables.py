"""What drift handling does, with and without: the study of `ftl study drift` as a section of the report."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from ftl.reporting.blocks import Block, Bullets, Fold, Paragraph, ReportTable
from ftl.reporting.formats import column, difference, number, whole
from ftl.reporting.run_tables import RunTables
from ftl.studies.drift.combination import DETECTORS, LADDER, MECHANISMS
from ftl.studies.drift.tables import (
    ALL_DETECTORS,
    ALONE,
    ON_TOP,
    all_differences,
    at,
    curve_table,
    gate_table,
    summary_table,
)
from ftl.studies.drift.verdict import MEASURES, verdict_sentences

LADDER_COLUMNS = {
    "AUROC": ("auroc", 3),
    "AUPRC": ("auprc", 3),
    "F1": ("f1", 3),
    "FPR": ("fpr", 3),
    "Alarms per node-day": ("alarms_per_node_day", 2),
    "of them false": ("false_alarms_per_node_day", 2),
    "Event recall": ("event_recall", 3),
}
_HOW = (
    "Every node is a target of cohorts that never saw it and has its whole history; PCA and autoencoder of the node "
    "alone (pca, local) and of a cohort (federated_pca, zero_shot). All combinations of re-basing, smoothing and "
    "thresholds were judged: `drift_summary.csv`, `drift_differences.csv`. A false alarm is a run of flagged rows "
    "without an anomalous one in it. Numbers of a verdict are means over the detectors."
)


def drift_blocks(run: RunTables) -> list[Block]:
    """Verdict, tables and gate of every dataset that was studied; nothing where there is no study."""
    if run.drift is None or run.drift.empty:
        return []
    blocks: list[Block] = [Paragraph(_HOW)]
    for (dataset, protocol), rows in run.drift.groupby(["dataset", "protocol"], sort=False):
        where = drift_where(run, str(dataset), str(protocol), rows)
        effects = all_differences(rows, run.racks(), over_detectors_alone=True)
        blocks.append(Paragraph(f"**{where}**"))
        blocks.append(Bullets(tuple(verdict_sentences(rows, effects))))
        blocks.append(_effects(effects, where))
        blocks += [Fold(table.caption, (table,)) for table in _folded(rows, where)]
    return blocks


def drift_where(run: RunTables, dataset: str, protocol: str, rows: pd.DataFrame) -> str:
    """``asd (real, 12 nodes), rigorous protocol``: the nodes are those that were studied."""
    return f"{dataset} ({run.origin(dataset)}, {rows['node'].nunique()} nodes), {protocol} protocol"


def _effects(effects: pd.DataFrame, where: str) -> ReportTable:
    """Each mechanism on against off, alone and on top of the others, and all three against nothing."""
    contexts = [(one.name, context) for one in MECHANISMS for context in (ALONE, ON_TOP)]
    lines = []
    for name, context in [*contexts, ("recommended", None)]:
        here = effects[effects["mechanism"] == name]
        here = here[here["context"] == context] if context else here
        by_metric = {row["metric"]: row for row in here.to_dict("records")}
        cells = {"Mechanism": name, "": context or "against nothing"}
        for metric, (word, digits) in MEASURES.items():
            row = by_metric.get(metric)
            cells[f"Δ {word}"] = difference(row["delta"], row["ci_low"], row["ci_high"], digits) if row else "-"
        lines.append(cells)
    return ReportTable(
        "drift_effects",
        f"Effect of each mechanism, mean over detectors, 95 % interval over nodes: {where}",
        pd.DataFrame(lines),
        effects,
        note="Of false-positive rate and false alarms, less is better. A threshold leaves AUROC as it is.",
    )


def _folded(rows: pd.DataFrame, where: str) -> Iterator[ReportTable]:
    summary = summary_table(rows)
    parts = []
    for detector in DETECTORS:
        of_detector = summary[summary["detector"] == detector]
        for name, combination in LADDER.items():
            parts.append(at(of_detector, combination).assign(switched_on=name))
    ladder = pd.concat(parts, ignore_index=True)
    shown = pd.DataFrame({"Detector": ladder["detector"], "Switched on": ladder["switched_on"]})
    for heading, (name, digits) in LADDER_COLUMNS.items():
        shown[heading] = column(ladder, name, partial(number, digits=digits))
    yield ReportTable("drift", f"Drift handling, means over nodes: {where}", shown, summary)
    yield _gate(gate_table(rows), where)
    yield _curve(curve_table(rows), where)


def _gate(gate: pd.DataFrame, where: str) -> ReportTable:
    shown = pd.DataFrame({"Detector": gate["detector"].replace(ALL_DETECTORS, "mean of all")})
    shown["Drift test"] = ["fired" if fired else "did not fire" for fired in gate["fired"]]
    for heading, name in {"Nodes": "n_nodes", "with anomalies": "n_judged", "AUROC raised": "n_helped"}.items():
        shown[heading] = column(gate, name, whole)
    for heading, name in {
        "Δ AUROC": "delta_auroc", "Δ false-positive rate": "delta_fpr", "Δ event recall": "delta_event_recall"
    }.items():  # fmt: skip
        shown[heading] = column(gate, name, lambda value: number(value, 3, signed=True))
    return ReportTable(
        "drift_gate",
        f"The label-free drift test against what re-basing did: {where}",
        shown,
        gate,
        note="Judged with labels, here alone: the test knows none. Smoothing off, own percentile.",
    )


def _curve(curve: pd.DataFrame, where: str) -> ReportTable:
    shown = pd.DataFrame({"Detector": curve["detector"], "With": curve["curve"]})
    shown["Percentile"] = [f"{value:g}" for value in curve["percentile"]]
    shown["False alarms per node-day"] = column(curve, "false_alarms_per_node_day", number)
    shown["a week, 100 nodes"] = column(curve, "false_alarms_per_week_of_100_nodes", whole)
    shown["Event recall"] = column(curve, "event_recall", lambda value: number(value, 3))
    return ReportTable("drift_curve", f"Event recall against false alarms: {where}", shown, curve)
