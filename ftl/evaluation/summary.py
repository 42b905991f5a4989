"""The summary: Tables 2 to 4 of the paper for every arm, with interval, tests, effect sizes and what the mean hides.

One row per (dataset, protocol, paradigm, policy, n_participants, arm), computed from the results table alone. "Before"
is the arm local on the same nodes and seeds, "after" the row's arm on the targets (arms without cohort: on all nodes).

How a number comes about: a node's value is its mean over draws and seeds; the row's value is the mean over nodes where
it is defined. Precision, recall, F1, MCC, AUROC, AUPRC and VUS-PR are defined on nodes with test anomalies; TNR,
accuracy and alarms on all nodes. Precision is undefined also where nothing was flagged: n_precision_undefined counts
the nodes where that happened in at least one run. f1_pooled comes from counts summed over nodes and runs;
f1_worst_decile is the mean over the worst tenth of the nodes (at least one). delta_f1, cohens_d (d_z) and p_t are over
the n_nodes nodes with F1, see :mod:`ftl.evaluation.significance`; with several draws of a cohort these can be more than
its n_targets.
"""

import os
from math import ceil, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.comparison import (
    Block,
    Racks,
    blocks,
    holm_per_protocol,
    node_means,
    pair_with,
    racks_of,
    target_runs,
)
from ftl.evaluation.results import CELL_COLUMNS, KEY_COLUMNS
from ftl.evaluation.significance import ROUNDING, Comparison, Interval, compare

SIGNIFICANCE_LEVEL = 0.05
BEFORE, LONG = "_before", "_local_long"

_VALUES_BEFORE = ("precision", "recall", "tnr", "f1", "accuracy", "auroc", "auprc")
_VALUES_LONG = ("f1", "auroc")
_VALUES_AFTER = (
    *_VALUES_BEFORE,
    *("mcc", "vus_pr", "event_recall", "detection_delay", "alarms_per_node_day", "prevalence", "n_train_steps"),
)
_SUMS = ("tp", "fp", "fn", "precision_undefined")

SUMMARY_COLUMNS = (
    *CELL_COLUMNS,
    *("f1_local_participants", "f1_federated_participants", "n_targets"),
    *("precision_before", "recall_before", "tnr_before", "f1_before"),
    *("precision_after", "recall_after", "tnr_after", "f1_after"),
    *("delta_f1", "significant", "significant_t", "ci_low", "ci_high", "ci_method"),
    *("p_t", "p_wilcoxon", "p_holm", "cohens_d", "cohens_d_av", "hedges_g", "degenerate"),
    *("n_nodes", "n_without_anomalies", "n_precision_undefined", "share_harmed", "share_recall_one"),
    *("f1_median", "f1_worst_decile", "f1_pooled", "f1_of_means", "accuracy_before", "accuracy_after"),
    *("auroc_before", "auroc_after", "auprc_before", "auprc_after", "prevalence", "mcc_after", "vus_pr_after"),
    *("event_recall_after", "detection_delay_after", "alarms_per_node_day_after", "fpr_after", "n_train_steps"),
    *("delta_auroc", "ci_low_auroc", "ci_high_auroc"),
    *("delta_f1_vs_local_long", "ci_low_vs_local_long", "ci_high_vs_local_long", "p_vs_local_long"),
    *("delta_auroc_vs_local_long", "ci_low_auroc_vs_local_long", "ci_high_auroc_vs_local_long"),
    *("verdict_vs_local", "verdict_vs_local_long"),
)
_TEXTS = (
    *(name for name in CELL_COLUMNS if name != "n_participants"),
    *("ci_method", "degenerate", "verdict_vs_local", "verdict_vs_local_long"),
)
_INTEGERS = ("n_targets", "n_nodes", "n_without_anomalies", "n_precision_undefined")


def summarise(results: pd.DataFrame, racks: Racks | None = None) -> pd.DataFrame:
    """The results table -> the summary.

    p_holm is Holm's correction of p_t; its family is every row of the same protocol that claims a gain, that is all
    arms and baselines but local, where p_t is defined. significant = p_holm < .05; significant_t = p_t < .05 is what
    the paper's asterisk stands for. A verdict says whether the 95 % interval of the difference in F1 leaves out 0, and
    is null where there is no interval. `degenerate` says why a cell has no test. Rows of the reference itself (local,
    and local_long in its columns) have difference 0 and no test.

    Args:
        results: Table as of :func:`ftl.evaluation.results.read_results`, in any row order.
        racks: dataset -> node -> rack, where known: intervals then resample racks.

    Returns:
        One row per cell, columns SUMMARY_COLUMNS, in the order of the cell's key, cells without cohort first.

    Raises:
        ValueError: If a run lacks its local partner, or was scored on other test rows than it.
    """
    runs = _paired_runs(results)
    cell = list(CELL_COLUMNS)
    nodes = _node_table(runs, cell)
    rows = [
        _cell(key["arm"], block, racks_of(racks, key["dataset"], block["node"])) for key, block in blocks(nodes, cell)
    ]
    keys = nodes[cell].drop_duplicates(ignore_index=True)
    summary = pd.concat([keys, pd.DataFrame(rows, index=keys.index)], axis=1)

    per_run = runs.groupby([*cell, "draw", "seed"], dropna=False).size()
    n_targets = per_run.groupby(cell, dropna=False).max().rename("n_targets").reset_index()
    summary = summary.merge(n_targets, on=cell).merge(_participants(results), on=cell[:-1], how="left")
    summary = summary.reindex(columns=SUMMARY_COLUMNS).sort_values(
        cell, na_position="first", kind="stable", ignore_index=True
    )

    summary["p_holm"] = holm_per_protocol(summary["protocol"], summary["p_t"].to_numpy(dtype=float))
    summary["significant"] = summary["p_holm"] < SIGNIFICANCE_LEVEL
    summary["significant_t"] = summary["p_t"] < SIGNIFICANCE_LEVEL
    return _typed(summary)


def write_summary(summary: pd.DataFrame, path: Path) -> None:
    """Write summary.csv; numbers in full, so that reading them back gives the same bits. Null and NaN are empty."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    summary.to_csv(temporary, index=False, lineterminator="\n")
    os.replace(temporary, path)


def read_summary(path: Path) -> pd.DataFrame:
    """Read what :func:`write_summary` wrote, in the same types."""
    words = pd.read_csv(path, dtype=object, keep_default_na=False)  # numbers by Python's float: exact in every pandas
    values = words.astype(object).where(words != "", None)
    for name in ("significant", "significant_t"):
        values[name] = values[name] == "True"
    return _typed(values)


def _paired_runs(results: pd.DataFrame) -> pd.DataFrame:
    """Runs that count for their arm, each beside its local (and, where there is one, local_long) partner."""
    runs = target_runs(results)
    some = runs["n_test_anomalies"] > 0
    runs["prevalence"] = (runs["n_test_anomalies"] / runs["n_test_rows"]).where(some)
    runs["precision_undefined"] = (runs["precision"].isna() & some).astype("int64")
    runs["n_train_steps"] = runs["n_train_steps"].astype("float64")
    paired = pair_with(runs, runs[runs["arm"] == "local"], _VALUES_BEFORE, BEFORE)
    long = runs[runs["arm"] == "local_long"]
    if long.empty:
        return paired.assign(**{f"{name}{LONG}": nan for name in _VALUES_LONG})
    return pair_with(paired, long, _VALUES_LONG, LONG)


def _node_table(runs: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """One row per (cell, node): means of the metrics over draws and seeds, sums of the counts."""
    values = [*_VALUES_AFTER, *(f"{name}{BEFORE}" for name in _VALUES_BEFORE), *(f"{v}{LONG}" for v in _VALUES_LONG)]
    sums = runs.groupby([*cell, "node"], dropna=False, sort=True)[list(_SUMS)].sum().reset_index()
    return node_means(runs, cell, values).join(sums[list(_SUMS)])


def _cell(arm: str, node: Block, racks: list[str | None] | None) -> dict[str, Any]:
    """The numbers of one cell from the values of its nodes, (K,) each."""
    f1, f1_before = node["f1"], node["f1_before"]
    defined = ~np.isnan(f1)
    vs_local = compare(f1_before, f1, racks)
    auroc = compare(node["auroc_before"], node["auroc"], racks)
    vs_long = compare(node[f"f1{LONG}"], f1, racks)
    auroc_vs_long = compare(node[f"auroc{LONG}"], node["auroc"], racks)
    if arm == "local":
        vs_local, auroc = _untested(vs_local), _untested(auroc)
    if arm == "local_long":
        vs_long, auroc_vs_long = _untested(vs_long), _untested(auroc_vs_long)
    row = {f"{name}_before": _mean(node[f"{name}{BEFORE}"]) for name in _VALUES_BEFORE}
    row |= {f"{name}_after": _mean(node[name]) for name in _VALUES_AFTER}
    tp, fp, fn = (float(node[name][defined].sum()) for name in ("tp", "fp", "fn"))
    precision, recall = row["precision_after"], row["recall_after"]
    return row | {
        "prevalence": row["prevalence_after"],
        "n_train_steps": row["n_train_steps_after"],
        "fpr_after": 1 - row["tnr_after"],
        "n_nodes": int(defined.sum()),
        "n_without_anomalies": int((~defined).sum()),
        "n_precision_undefined": int((node["precision_undefined"] > 0).sum()),
        "share_harmed": _share(f1[defined] - f1_before[defined] < -ROUNDING),
        "share_recall_one": _share(node["recall"][defined] == 1),
        "f1_median": float(np.median(f1[defined])) if defined.any() else nan,
        "f1_worst_decile": _worst_decile(f1[defined]),
        "f1_pooled": 2 * tp / (2 * tp + fp + fn) if defined.any() else nan,
        "f1_of_means": 2 * precision * recall / (precision + recall) if precision + recall > 0 else nan,
        "delta_f1": vs_local.delta,
        "ci_low": vs_local.interval.low,
        "ci_high": vs_local.interval.high,
        "ci_method": vs_local.interval.method,
        "p_t": vs_local.p_t,
        "p_wilcoxon": vs_local.p_wilcoxon,
        "cohens_d": vs_local.cohens_d,
        "cohens_d_av": vs_local.cohens_d_av,
        "hedges_g": vs_local.hedges_g,
        "degenerate": vs_local.degenerate,
        "verdict_vs_local": vs_local.interval.verdict,
        "delta_auroc": auroc.delta,
        "ci_low_auroc": auroc.interval.low,
        "ci_high_auroc": auroc.interval.high,
        "delta_f1_vs_local_long": vs_long.delta,
        "ci_low_vs_local_long": vs_long.interval.low,
        "ci_high_vs_local_long": vs_long.interval.high,
        "p_vs_local_long": vs_long.p_t,
        "verdict_vs_local_long": vs_long.interval.verdict,
        "delta_auroc_vs_local_long": auroc_vs_long.delta,
        "ci_low_auroc_vs_local_long": auroc_vs_long.interval.low,
        "ci_high_auroc_vs_local_long": auroc_vs_long.interval.high,
    }


def _participants(results: pd.DataFrame) -> pd.DataFrame:
    """F1 of the participants themselves: their local models (the paper's F1(AE)), and the global one (F1(FL))."""
    shared = [name for name in CELL_COLUMNS if name != "arm"]
    chosen = results[((results["role"] == "participant") & (results["arm"] == "zero_shot")).to_numpy(dtype=bool)]
    chosen = chosen.sort_values(list(KEY_COLUMNS), na_position="first", kind="stable")
    chosen = pair_with(chosen, results[results["arm"] == "local"], ["f1"], BEFORE)
    nodes = node_means(chosen, shared, ["f1", f"f1{BEFORE}"])
    means = nodes.groupby(shared, dropna=False)[[f"f1{BEFORE}", "f1"]].mean().reset_index()
    return means.rename(columns={f"f1{BEFORE}": "f1_local_participants", "f1": "f1_federated_participants"})


def _untested(comparison: Comparison) -> Comparison:
    """A reference against itself: difference 0 by definition, nothing to test."""
    return Comparison(comparison.n_nodes, comparison.delta, nan, nan, nan, nan, nan, Interval(), None)


def _worst_decile(f1: np.ndarray) -> float:
    """Mean F1 of the worst tenth of the nodes, at least one."""
    return float(np.sort(f1)[: ceil(len(f1) / 10)].mean()) if len(f1) else nan


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else nan


def _share(claims: np.ndarray) -> float:
    return float(claims.mean()) if len(claims) else nan


def _typed(summary: pd.DataFrame) -> pd.DataFrame:
    types: dict[str, str] = dict.fromkeys(SUMMARY_COLUMNS, "float64")
    types |= dict.fromkeys(_INTEGERS, "int64") | dict.fromkeys(("significant", "significant_t"), "bool")
    types |= {"n_participants": "Int64"} | dict.fromkeys(_TEXTS, "object")
    typed = summary[list(SUMMARY_COLUMNS)].astype(types)
    texts = list(_TEXTS)
    typed[texts] = typed[texts].where(typed[texts].notna(), None)
    return typed
