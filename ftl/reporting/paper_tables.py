"""The paper's Tables 2 to 6 from a run: transfer cell by cell, its means over N, and its effect sizes."""

from math import nan
from typing import Any

import pandas as pd

from ftl.evaluation.comparison import compare_arms
from ftl.evaluation.results import CELL_COLUMNS
from ftl.reporting.blocks import ReportTable
from ftl.reporting.formats import column, count, difference, number, share, text, whole
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import PARADIGMS, caption, cohort_columns, in_order, ordered, tables_like_the_paper

ARM = "transfer"
TABLE_NUMBERS = {"semi_supervised": 2, "unsupervised": 3, "supervised": 4}  # as the paper numbers them
COHEN_BANDS = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"), (float("inf"), "large"))
_KEY = ["dataset", "protocol", "paradigm", "policy", "n_participants"]
_TRANSFER_NUMBERS = [
    *("f1_local_participants", "f1_federated_participants", "n_targets", "n_nodes"),
    *(f"{metric}_{when}" for when in ("before", "after") for metric in ("precision", "recall", "tnr", "f1")),
    *("delta_f1", "ci_low", "ci_high", "significant", "p_t", "p_wilcoxon", "p_holm", "cohens_d", "share_harmed"),
    *("delta_f1_vs_local_long", "ci_low_vs_local_long", "ci_high_vs_local_long", "p_vs_local_long"),
    *("verdict_vs_local", "verdict_vs_local_long"),
]


def transfer_cells(run: RunTables, dataset: str | None = None, protocol: str | None = None) -> pd.DataFrame:
    """Rows of the summary that say what transfer did, of all datasets or of one."""
    cells = run.summary[run.summary["arm"] == ARM]
    return cells if dataset is None else cells[(cells["dataset"] == dataset) & (cells["protocol"] == protocol)]


def transfer_tables(run: RunTables) -> list[ReportTable]:
    """Tables 2 to 4: one row per policy and N, one table per dataset and paradigm."""
    tables = []
    for dataset, protocol in run.scopes:
        cells = transfer_cells(run, dataset, protocol)
        for (_, paradigm), shown in tables_like_the_paper(cells).items():
            table_number = TABLE_NUMBERS.get(paradigm)
            what = "Targets before and after transfer"
            if table_number is not None:
                what = f"Table {table_number}: targets before and after transfer"
            numbers = in_order(cells[cells["paradigm"] == paradigm])
            tables.append(
                ReportTable(
                    "transfer",
                    caption(run, what, dataset, protocol, paradigm),
                    shown,
                    numbers[[*_KEY, *(name for name in _TRANSFER_NUMBERS if name in numbers)]],
                    number=table_number,
                )
            )
    return sorted(tables, key=lambda table: table.number or 0)


def mean_tables(run: RunTables) -> list[ReportTable]:
    """Table 5: means over N of the rows of Tables 2 to 4, for each paradigm and policy."""
    tables = []
    for dataset, protocol in run.scopes:
        cells = transfer_cells(run, dataset, protocol)
        rows = [
            _mean_row(paradigm, policy, group)
            for paradigm in ordered(cells["paradigm"], PARADIGMS)
            for policy, group in in_order(cells[cells["paradigm"] == paradigm]).groupby("policy", sort=False)
        ]
        if rows:
            numbers = pd.DataFrame(rows)
            numbers.insert(0, "dataset", dataset)
            numbers.insert(1, "protocol", protocol)
            what = "Table 5: transfer, means over N"
            tables.append(
                ReportTable("means", caption(run, what, dataset, protocol), _means_shown(numbers), numbers, number=5)
            )
    return tables


def effect_tables(run: RunTables) -> list[ReportTable]:
    """Table 6: effect sizes of transfer over nodes, against local and against local_long."""
    long = compare_arms(run.results, ARM, "local_long", run.racks())
    long = long[[*CELL_COLUMNS, "cohens_d"]].rename(columns={"cohens_d": "cohens_d_vs_local_long"})
    tables = []
    for dataset, protocol in run.scopes:
        cells = transfer_cells(run, dataset, protocol)
        if cells.empty:
            continue
        cells = in_order(cells).merge(long, on=list(CELL_COLUMNS), how="left")
        order = cells["paradigm"].map(ordered(cells["paradigm"], PARADIGMS).index)
        cells = cells.loc[order.sort_values(kind="stable").index].reset_index(drop=True)
        cells["sd_delta_f1"] = (cells["delta_f1"] / cells["cohens_d"]).abs()
        names = ["n_nodes", "delta_f1", "sd_delta_f1", "cohens_d", "cohens_d_av", "hedges_g", "cohens_d_vs_local_long"]
        note = "Sizes by Cohen's bands for d_z: below 0.2 negligible, 0.5 small, 0.8 medium, else large."
        what = "Table 6: effect sizes of transfer over target nodes"
        tables.append(
            ReportTable(
                "effects",
                caption(run, what, dataset, protocol),
                _effects_shown(cells),
                cells[[*_KEY, *names]],
                note,
                number=6,
            )
        )
    return tables


def effect_band(d: Any) -> str:
    """Cohen's word for a standardised difference; of a loss, that it is one."""
    if pd.isna(d):
        return text(None)
    size = next(word for bound, word in COHEN_BANDS if abs(float(d)) < bound)
    return f"{size} loss" if d < 0 and size != "negligible" else size


def _mean_row(paradigm: str, policy: Any, cells: pd.DataFrame) -> dict[str, Any]:
    """Unweighted means, as the paper takes them, and how many of the cells bear them out."""
    judged = cells["verdict_vs_local"].notna() & cells["verdict_vs_local_long"].notna()
    both = (cells["verdict_vs_local"] == "better") & (cells["verdict_vs_local_long"] == "better")
    either = (cells["verdict_vs_local"] == "worse") | (cells["verdict_vs_local_long"] == "worse")
    names = ("f1_before", "f1_after", "delta_f1", "delta_f1_vs_local_long", "share_harmed")
    return {
        "paradigm": paradigm,
        "policy": policy,
        "n_participants": ", ".join(str(int(n)) for n in sorted(cells["n_participants"].dropna())),
        **{name: float(cells[name].mean()) if name in cells else nan for name in names},
        "lowest_delta_f1": float(cells["delta_f1"].min()),
        "highest_delta_f1": float(cells["delta_f1"].max()),
        "n_cells": len(cells),
        "n_judged": int(judged.sum()),
        "n_better_than_both": int(both.sum()),
        "n_worse_than_either": int(either.sum()),
    }


def _means_shown(numbers: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Paradigm": numbers["paradigm"],
            "Policy": column(numbers, "policy", text),
            "N": numbers["n_participants"],
            "F1 before": column(numbers, "f1_before", number),
            "F1 after": column(numbers, "f1_after", number),
            "Mean ΔF1 vs local [lowest, highest]": [
                difference(row["delta_f1"], row["lowest_delta_f1"], row["highest_delta_f1"])
                for _, row in numbers.iterrows()
            ],
            "Mean ΔF1 vs local_long": column(numbers, "delta_f1_vs_local_long", lambda v: number(v, 2, True)),
            "Harmed": column(numbers, "share_harmed", share),
            "Better than both": [_of_cells(row, "n_better_than_both") for _, row in numbers.iterrows()],
            "Worse than either": [_of_cells(row, "n_worse_than_either") for _, row in numbers.iterrows()],
        }
    )


def _of_cells(row: "pd.Series[Any]", name: str) -> str:
    if not row["n_judged"]:
        return "cannot be judged"
    return f"{row[name]} of {count(int(row['n_judged']), 'cell')}"


def _effects_shown(cells: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame({"Paradigm": cells["paradigm"].to_list()}).join(cohort_columns(cells))
    shown["n (nodes)"] = column(cells, "n_nodes", whole)
    shown["Mean ΔF1"] = column(cells, "delta_f1", lambda v: number(v, 3, True))
    shown["SD of ΔF1"] = column(cells, "sd_delta_f1", lambda v: number(v, 3))
    shown["d_z"] = column(cells, "cohens_d", lambda v: number(v, 2, True))
    shown["d_av"] = column(cells, "cohens_d_av", lambda v: number(v, 2, True))
    shown["Hedges' g"] = column(cells, "hedges_g", lambda v: number(v, 2, True))
    shown["Size of d_z"] = column(cells, "cohens_d", effect_band)
    shown["d_z vs local_long"] = column(cells, "cohens_d_vs_local_long", lambda v: number(v, 2, True))
    return shown
