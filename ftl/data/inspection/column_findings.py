"""What is wrong with columns and their values: absent, missing, constant, drifting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ftl.data.inspection.finding import ERROR, NOTE, WARNING, Evidence, Finding, Rule
from ftl.data.inspection.survey import SPARSE, Inspection
from ftl.data.inspection.tables import DRIFTED, common_features
from ftl.data.inspection.words import count, percent


def common_columns(evidence: Evidence) -> Iterator[Finding]:
    """Columns that only some nodes have."""
    inspection = evidence.inspection
    usable = [k for k, node in enumerate(inspection.nodes) if node.usable]
    common = common_features(inspection)
    held = (inspection.per_column("present") > 0)[usable]
    some = held.any(axis=0)
    if not usable:
        return
    lost = int(some.sum()) - len(common)
    if not common:
        yield Finding(
            ERROR,
            f"none of the {count(int(some.sum()), 'column')} has values on all of {count(len(usable), 'node')}",
            _costliest_node(inspection, usable, held[:, some]),
            lost,
            "rename columns so that nodes agree, take the odd nodes out, or choose another prepare.alignment",
        )
    elif lost:
        partial = evidence.features[some & ~held.all(axis=0)].iloc[0]
        yield Finding(
            WARNING if lost > 0.1 * some.sum() else NOTE,
            f"{count(lost, 'column')} of {int(some.sum())} absent or empty on some nodes; {len(common)} common to all",
            f"{partial['feature']!r} on node {partial['first_without']}"
            + _costliest_node(inspection, usable, held[:, some], before="; "),
            lost,
            "prepare.alignment: intersection drops them; other rules keep some of them, at a cost that they report",
        )


def sparse_columns(evidence: Evidence) -> Iterator[Finding]:
    """Columns missing in many rows of the nodes that have them, and which of them preparing gives up."""
    sparse = evidence.features[evidence.features["missing"] > SPARSE].sort_values("missing", ascending=False)
    if len(sparse):
        worst, outlook = sparse.iloc[0], evidence.inspection.outlook
        which = f"{'all ' if len(sparse) == len(evidence.features) else ''}{count(len(sparse), 'column')}"
        dropped = {} if outlook is None else outlook.dropped
        given_up = [name for name in sparse["feature"] if "missing" in dropped.get(name, "")]
        advice = "prepare.missing says what becomes of missing values, prepare.max_missing which columns are given up"
        if given_up:
            advice = f"{len(given_up)} of them given up by default, first {given_up[0]!r}: {dropped[given_up[0]]}, "
            advice += "after filling (prepare.missing, prepare.max_missing)"
        yield Finding(
            WARNING,
            f"{which} missing in more than {percent(SPARSE)} of rows",
            f"{worst['feature']!r}: {percent(worst['missing'])} missing",
            len(sparse),
            advice,
        )


def incomplete_rows(evidence: Evidence) -> Iterator[Finding]:
    """Rows that lack a value, and how many of the anomalies are among them."""
    nodes, n_rows = evidence.inspection.nodes, evidence.inspection.n_rows
    anomalous = sum(node.labels.anomalous for node in nodes)
    incomplete, lost = sum(node.incomplete for node in nodes), sum(node.labels.incomplete for node in nodes)
    if not incomplete:
        return
    fewer = sum(node.incomplete_without_sparse for node in nodes)
    lost_of_fewer = sum(node.labels.incomplete_without_sparse for node in nodes)
    worst = max(nodes, key=lambda node: node.incomplete / max(node.n_rows, 1))
    aside = ""
    if fewer < incomplete:
        aside = f"; setting aside columns missing in more than {percent(SPARSE)} of a node's rows leaves "
        aside += f"{fewer:,}, " if fewer else "none"
        aside += f"{lost_of_fewer:,} of them anomalous" if fewer else ""
    advice = "policies that drop rows remove them; prepare.missing names others"
    removed, lost_later = fewer, lost_of_fewer
    outlook = evidence.inspection.outlook
    if outlook is not None and (cost := outlook.costs.get(outlook.settings.missing)):
        removed, lost_later = cost["rows_removed"], cost["anomalous_rows_removed"]
        advice = f"by default (prepare.missing: {outlook.settings.missing}) "
        advice += (
            "missing values are filled and no row is removed"
            if not removed
            else (
                f"{count(removed, 'row is', 'rows are')} removed, {lost_later:,} of them anomalous; the prepared fleet "
                "reports what other policies cost"
            )
        )
    yield Finding(
        WARNING if removed > 0.1 * n_rows or lost_later > 0.1 * anomalous else NOTE,
        f"{count(incomplete, 'row')} ({percent(incomplete / n_rows)}) lack a value, {lost:,} of the {anomalous:,} "
        f"anomalous rows among them{aside}",
        f"node {worst.node_id}: {percent(worst.incomplete / max(worst.n_rows, 1))} of its rows",
        incomplete,
        advice,
    )


def constant_columns(evidence: Evidence) -> Iterator[Finding]:
    """Columns that never change."""
    features = evidence.features
    constant = features[(features["constant"] > 0) & (features["constant"] == features["nodes"])]
    somewhere = features[(features["constant"] > 0) & (features["constant"] < features["nodes"])]
    if len(constant):
        same = "all columns never change" if len(constant) == len(features) else None
        yield Finding(
            WARNING if same else NOTE,
            same or f"{count(len(constant), 'column')} constant on every node that has them",
            f"{constant.iloc[0]['feature']!r}",
            len(constant),
            "they tell nothing apart" + ("; nothing can be learnt from them" if same else ""),
        )
    if len(somewhere):
        most = somewhere.sort_values("constant", ascending=False, kind="stable").iloc[0]
        yield Finding(
            NOTE,
            f"{count(len(somewhere), 'column')} constant on some nodes only",
            f"{most['feature']!r} on {count(int(most['constant']), 'node')} of {int(most['nodes'])}",
            len(somewhere),
            "prepare.constant says how a later change there is measured",
        )


def drift(evidence: Evidence) -> Iterator[Finding]:
    """Columns whose later values differ from the earlier ones on most nodes."""
    features = evidence.features
    moved = features[(features["drifted"] > 0.5) & ~features["counter"]].sort_values("drift", ascending=False)
    if len(moved):
        first = moved.iloc[0]
        yield Finding(
            WARNING if len(moved) > 0.25 * len(features) else NOTE,
            f"{count(len(moved), 'column')} of {len(features)} drift between train and test part on most nodes "
            f"(stability index above {DRIFTED})",
            f"{first['feature']!r}: index {first['drift']:.2f} (median node)",
            len(moved),
            "expect false alarms after the cut; look whether seasons, cooling or software changed",
        )


def counters(evidence: Evidence) -> Iterator[Finding]:
    """Columns that only ever grow; a prepared fleet, which nobody prepares again, holds their increases."""
    growing = evidence.features.loc[evidence.features["counter"], "feature"]
    if len(growing) and evidence.inspection.outlook is not None:
        yield Finding(
            NOTE,
            f"{count(len(growing), 'column')} only ever {'grows' if len(growing) == 1 else 'grow'}",
            f"{growing.iloc[0]!r}",
            len(growing),
            "prepare reads them as the increase per window (prepare.counters: increase); not counted as drift",
        )


def _costliest_node(inspection: Inspection, usable: Sequence[int], held: np.ndarray, before: str = "") -> str:
    """Which single node costs the others most columns, in words; empty where no single node does."""
    lonely = (~held).sum(axis=0) == 1
    costs = (~held[:, lonely]).sum(axis=1)
    if not len(usable) or not costs.any():
        return ""
    node = inspection.nodes[usable[int(costs.argmax())]].node_id
    return f"{before}without node {node} there would be {int(costs.max())} more"


COLUMN_RULES: tuple[Rule, ...] = (
    common_columns,
    sparse_columns,
    incomplete_rows,
    constant_columns,
    counters,
    drift,
)
