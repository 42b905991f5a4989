"""Did labels of other nodes help? Models that were trained with them, against what a node has without them.

All is computed from the results table: the transferred models of the paradigms that use labels, on the nodes that took
no part in their federation, against (a) the node's own model of the same paradigm and (b) its unsupervised one.
"""

from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.comparison import node_means, racks_of, target_runs
from ftl.evaluation.significance import compare
from ftl.reporting.blocks import Block, Bullets, Paragraph, ReportTable
from ftl.reporting.formats import column, difference, number, text, whole
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import caption

WITH_LABELS = ("semi_supervised", "supervised")
TRANSFERRED = ("transfer", "zero_shot")
METRICS = ("auroc", "auprc")
AGAINST = {"own": "the node's own model of this paradigm", "unsupervised": "the unsupervised local model"}
_PAIRING = ["dataset", "protocol", "seed", "node"]
_ROWS_SCORED = ("n_test_rows", "n_test_anomalies")
_WORDS = {"better": "helped", "worse": "hurt", "no difference": "made no difference shown"}


def label_blocks(run: RunTables) -> list[Block]:
    """A sentence per paradigm and arm, and the table behind them."""
    numbers = label_rows(run)
    if numbers.empty:
        return [Paragraph("No paradigm that uses labels was transferred: there is nothing to compare.")]
    tables = [
        _table(run, part.reset_index(drop=True), dataset, protocol)
        for dataset, protocol in run.scopes
        if len(part := numbers[(numbers["dataset"] == dataset) & (numbers["protocol"] == protocol)])
    ]
    return [Bullets(tuple(label_sentences(run, numbers))), *tables]


def label_rows(run: RunTables) -> pd.DataFrame:
    """One row per (dataset, protocol, paradigm, arm, against), over the cohorts whose target a node was.

    Returns:
        n_nodes, and of AUROC and AUPRC the mean of the arm, of the reference, delta, ci_low, ci_high and verdict;
        `apart` counts runs that were scored on other test rows than their reference: if there is one, there is no
        comparison, and all of these are empty.
    """
    runs = target_runs(run.results)
    local = runs[runs["arm"] == "local"]
    rows = []
    for dataset, protocol in run.scopes:
        here = runs[(runs["dataset"] == dataset) & (runs["protocol"] == protocol)]
        for paradigm in (name for name in WITH_LABELS if name in set(here["paradigm"])):
            for arm in TRANSFERRED:
                mine = here[(here["paradigm"] == paradigm) & (here["arm"] == arm)]
                for against, of in {"own": paradigm, "unsupervised": "unsupervised"}.items():
                    reference = local[local["paradigm"] == of]
                    if len(mine) and len(reference):
                        key = {"dataset": dataset, "protocol": protocol, "paradigm": paradigm, "arm": arm}
                        rows.append(key | {"against": against} | _compared(mine, reference, run.racks()))
    return pd.DataFrame(rows)


def label_sentences(run: RunTables, numbers: pd.DataFrame) -> list[str]:
    """`Labels of other nodes hurt on ...`, also where no difference is shown, or none can be computed."""
    sentences = []
    for key, part in numbers.groupby(["dataset", "protocol", "paradigm", "arm"], sort=False):
        dataset, protocol, paradigm, arm = map(str, key)
        where = f"{dataset} ({run.origin(dataset)}), {paradigm}, `{arm}`, {protocol} protocol"
        told = [_told(row) for row in part.to_dict("records")]
        sentences.append(f"{where}: against {'; against '.join(told)}.")
    return sentences


def _compared(mine: pd.DataFrame, reference: pd.DataFrame, racks: Any) -> dict[str, Any]:
    columns = [*_PAIRING, *_ROWS_SCORED, *METRICS]
    pairs = mine[columns].merge(reference[columns], on=_PAIRING, suffixes=("", "_reference"), validate="many_to_one")
    partner = pairs[[f"{name}_reference" for name in _ROWS_SCORED]].to_numpy()
    apart = int((pairs[list(_ROWS_SCORED)].to_numpy() != partner).any(axis=1).sum())
    found: dict[str, Any] = {"apart": apart, "n_nodes": 0}
    nodes = node_means(pairs, ["dataset"], [name for m in METRICS for name in (m, f"{m}_reference")])
    clusters = racks_of(racks, str(mine["dataset"].iloc[0]), nodes["node"].to_numpy())
    for metric in METRICS:
        before, after = (nodes[name].to_numpy(np.float64) for name in (f"{metric}_reference", metric))
        if apart:
            before, after = before[:0], after[:0]
        result = compare(before, after, clusters[: len(before)] if clusters is not None else None)
        known = ~(np.isnan(before) | np.isnan(after))
        found["n_nodes"] = max(found["n_nodes"], result.n_nodes)
        found[metric] = after[known].mean() if known.any() else np.nan
        found[f"{metric}_reference"] = before[known].mean() if known.any() else np.nan
        found |= {f"{metric}_delta": result.delta, f"{metric}_verdict": result.interval.verdict}
        found |= {f"{metric}_ci_low": result.interval.low, f"{metric}_ci_high": result.interval.high}
    return found


def _told(row: Any) -> str:
    against = AGAINST[row["against"]]
    if row["apart"]:
        return (
            f"{against} they cannot be compared: labels were lent by the first test rows, which leaves this paradigm "
            "fewer rows to be judged on (`ftl study labels` judges both on the same rows)"
        )
    if not row["n_nodes"]:
        return f"{against} they cannot be compared: no node has both kinds of test rows"
    numbers = ", ".join(f"{metric.upper()} {_delta(row, metric)}" for metric in METRICS)
    return f"{against} labels of other nodes **{verdict(row)}** ({numbers})"


def verdict(row: Any) -> str:
    """One word where AUROC and AUPRC agree or one of them shows nothing, else both."""
    words = {metric: _WORDS.get(str(row[f"{metric}_verdict"]), "cannot be judged") for metric in METRICS}
    shown = {metric: word for metric, word in words.items() if word in (_WORDS["better"], _WORDS["worse"])}
    if not shown or len(set(words.values())) == 1:
        return words["auroc"]
    return " and ".join(f"{word} by {metric.upper()}" for metric, word in shown.items())


def _delta(row: Any, metric: str) -> str:
    return difference(row[f"{metric}_delta"], row[f"{metric}_ci_low"], row[f"{metric}_ci_high"], 3)


def _table(run: RunTables, part: pd.DataFrame, dataset: str, protocol: str) -> ReportTable:
    shown = pd.DataFrame({"Paradigm": part["paradigm"], "Arm": part["arm"], "Against": part["against"].map(AGAINST)})
    shown["Nodes"] = column(part, "n_nodes", whole)
    for metric in METRICS:
        shown[metric.upper()] = column(part, metric, lambda value: number(value, 3))
        shown[f"{metric.upper()} there"] = column(part, f"{metric}_reference", lambda value: number(value, 3))
        shown[f"Δ{metric.upper()} [95 % CI]"] = [_delta(row, metric) for row in part.to_dict("records")]
    shown["Labels of other nodes"] = [
        "not on the same rows" if row["apart"] else text(verdict(row)) for row in part.to_dict("records")
    ]
    what = "Models trained with labels of other nodes, against a node's own models"
    note = "A node's value is its mean over the cohorts whose target it was, and over seeds; paired over nodes. "
    note += (
        "What is transferred are weights that labels of other nodes have shaped; `ftl study labels` takes labels by "
    )
    note += "themselves. Intervals are not corrected for the number of comparisons."
    return ReportTable("labels", caption(run, what, dataset, protocol), shown, part, note)
