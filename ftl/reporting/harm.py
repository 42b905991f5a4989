"""Who was harmed: ΔF1 node by node, which a mean over nodes hides."""

import numpy as np
import pandas as pd

from ftl.evaluation.results import CELL_COLUMNS
from ftl.evaluation.significance import ROUNDING
from ftl.reporting.blocks import ReportTable
from ftl.reporting.formats import column, number, share, text, whole
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import PARADIGMS, caption, cohort_columns, in_order, ordered

QUANTILES = {"worst": 0.0, "10 %": 0.1, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "90 %": 0.9, "best": 1.0}
MOST_WORST = 5
_SCOPE = ["dataset", "protocol", "paradigm"]


def distribution(gains: pd.DataFrame) -> pd.DataFrame:
    """How ΔF1 is spread over nodes: one row per cell.

    Args:
        gains: One row per (cell, node) with delta_f1 and delta_f1_vs_local_long.

    Returns:
        The key of the cell, n_nodes, n_harmed (ΔF1 < 0), n_unchanged, n_improved, share_harmed,
        share_harmed_vs_local_long, and the quantiles of QUANTILES.
    """
    rows = []
    for key, group in gains.groupby(list(CELL_COLUMNS), dropna=False, sort=True):
        delta, long = (group[name].to_numpy(dtype=float) for name in ("delta_f1", "delta_f1_vs_local_long"))
        harmed, improved = int((delta < -ROUNDING).sum()), int((delta > ROUNDING).sum())
        known = long[~np.isnan(long)]
        rows.append(
            dict(zip(CELL_COLUMNS, key, strict=True))
            | {"n_nodes": len(delta), "n_harmed": harmed, "n_unchanged": len(delta) - harmed - improved}
            | {"n_improved": improved, "share_harmed": harmed / len(delta)}
            | {"share_harmed_vs_local_long": float((known < -ROUNDING).mean()) if len(known) else np.nan}
            | dict(zip(QUANTILES, np.quantile(delta, list(QUANTILES.values())), strict=True))
        )
    names = ["n_nodes", "n_harmed", "n_unchanged", "n_improved", "share_harmed", "share_harmed_vs_local_long"]
    table = pd.DataFrame(rows, columns=[*CELL_COLUMNS, *names, *QUANTILES])
    return table.astype({"n_participants": "Int64"})


def worst_nodes(gains: pd.DataFrame, most: int = MOST_WORST) -> pd.DataFrame:
    """The nodes that lost most, on average over the cohorts whose target they were.

    Returns:
        At most `most` rows per (dataset, protocol, paradigm), the worst first: node, mean_delta_f1, worst_delta_f1,
        n_cells_harmed, n_cells; nodes that lost nothing on average are not among them.
    """
    marked = gains.assign(is_harmed=gains["delta_f1"] < -ROUNDING)
    nodes = marked.groupby([*_SCOPE, "node"], sort=True).agg(
        mean_delta_f1=("delta_f1", "mean"),
        worst_delta_f1=("delta_f1", "min"),
        n_cells_harmed=("is_harmed", "sum"),
        n_cells=("delta_f1", "size"),
    )
    nodes = nodes[nodes["mean_delta_f1"] < -ROUNDING].reset_index()
    nodes = nodes.sort_values([*_SCOPE, "mean_delta_f1", "node"], kind="stable", ignore_index=True)
    return nodes.groupby(_SCOPE, sort=False).head(most).reset_index(drop=True)


def distribution_tables(run: RunTables, gains: pd.DataFrame) -> list[ReportTable]:
    """One table per dataset and paradigm: how ΔF1 is spread over nodes in every cell."""
    spread = distribution(gains)
    tables = []
    for dataset, protocol in run.scopes:
        here = spread[(spread["dataset"] == dataset) & (spread["protocol"] == protocol)]
        for paradigm in ordered(here["paradigm"], PARADIGMS):
            part = in_order(here[here["paradigm"] == paradigm]).reset_index(drop=True)
            shown = cohort_columns(part)
            for heading, name in {"Nodes": "n_nodes", "Harmed": "n_harmed", "Unchanged": "n_unchanged"}.items():
                shown[heading] = column(part, name, whole)
            shown["Improved"] = column(part, "n_improved", whole)
            shown["Share harmed"] = column(part, "share_harmed", share)
            shown["vs local_long"] = column(part, "share_harmed_vs_local_long", share)
            for name in QUANTILES:
                shown[f"ΔF1 {name}"] = column(part, name, lambda v: number(v, 2, True))
            what = "ΔF1 over target nodes"
            tables.append(
                ReportTable("harmed", caption(run, what, dataset, protocol, paradigm), shown, part.drop(columns="arm"))
            )
    return tables


def worst_tables(run: RunTables, gains: pd.DataFrame) -> list[ReportTable]:
    """One table per dataset: the nodes that lost most under each paradigm."""
    nodes, racks = worst_nodes(gains), run.racks()
    tables = []
    for dataset, protocol in run.scopes:
        part = nodes[(nodes["dataset"] == dataset) & (nodes["protocol"] == protocol)]
        if part.empty:
            continue
        order = part["paradigm"].map(ordered(part["paradigm"], PARADIGMS).index).sort_values(kind="stable").index
        part = part.loc[order].reset_index(drop=True)
        part.insert(4, "rack", part["node"].map(racks.get(dataset, {})))
        shown = pd.DataFrame({"Paradigm": part["paradigm"], "Node": part["node"]})
        if part["rack"].notna().any():
            shown["Rack"] = column(part, "rack", text)
        shown["Mean ΔF1"] = column(part, "mean_delta_f1", lambda v: number(v, 3, True))
        shown["Worst ΔF1"] = column(part, "worst_delta_f1", lambda v: number(v, 3, True))
        shown["Cells harmed"] = [f"{a} of {b}" for a, b in zip(part["n_cells_harmed"], part["n_cells"], strict=True)]
        what = "The nodes that lost most, on average over the cohorts whose target they were"
        tables.append(ReportTable("worst_nodes", caption(run, what, dataset, protocol), shown, part))
    return tables
