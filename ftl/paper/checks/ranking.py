"""What one ranking of one fleet implies for the participants and for the rest."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ftl.paper.findings import Finding, verdict
from ftl.paper.tables import EXACT, PRINTED, claimed, tables_2_to_4


def top_is_the_top() -> Finding:
    """No set of N nodes has a higher mean of the ranking score than the top N."""
    columns = ["paradigm", "dataset", "n"]
    wide = tables_2_to_4().pivot(index=columns, columns="strategy", values="f1_local_participants")
    impossible = wide["random_n"] > wide["top_n"] + 2 * PRINTED
    rows = wide[impossible].reset_index()[[*columns, "top_n", "random_n"]]
    gap = (wide["random_n"] - wide["top_n"])[impossible]
    return Finding(
        "random-above-top",
        "Tables 2-4, column F1 (AE)",
        "The mean local F1 of the Random-N participants does not exceed that of the Top-N participants, who are by "
        "definition the N nodes of highest local F1.",
        verdict(not impossible.any()),
        f"It does in {int(impossible.sum())} of {len(wide)} cells, by up to {gap.max():.2f}.",
        {"n_cells": len(wide), "n_impossible": int(impossible.sum()), "largest_excess": float(gap.max())},
        rows,
    )


def total_is_conserved() -> Finding:
    """N F1(AE) + (100 - N) F1(before) is the sum of the local F1 of all nodes, whatever N."""
    rows, n_nodes = _top_rows(), claimed("n_nodes")
    rows["fleet_total_f1"] = rows["n"] * rows["f1_local_participants"] + rows["n_targets"] * rows["f1_before"]
    table = rows.pivot(index=["paradigm", "dataset"], columns="n", values="fleet_total_f1")
    spread = table.max(axis=1) - table.min(axis=1)
    allowed = 2 * n_nodes * PRINTED  # each of two totals is uncertain by 100 x .005
    wrong = spread > allowed + EXACT
    table.columns = [f"N={n}" for n in table.columns]
    return Finding(
        "fleet-total",
        "Tables 2-4, Top-N rows",
        "The local F1 of all 100 nodes has one sum, so N x F1 (AE) + (100 - N) x F1 before is the same for every N.",
        verdict(not wrong.any()),
        f"It moves by {spread.min():.1f} to {spread.max():.1f} within a block, in {int(wrong.sum())} of {len(table)} "
        f"blocks by more than the {allowed:.1f} that rounding allows: F1 (AE) and F1 before are not from one ranking.",
        {
            "n_blocks": len(table),
            "n_broken": int(wrong.sum()),
            "smallest_spread": float(spread.min()),
            "largest_spread": float(spread.max()),
            "rounding_allows": allowed,
        },
        table.round(2).reset_index(),
    )


def implied_f1_of_ranks() -> Finding:
    """Differences of the totals give the mean local F1 of the ranks between two N: in [0, 1] and falling."""
    blocks = _top_rows().groupby(["paradigm", "dataset"], sort=False)
    table = pd.concat([_implied(block) for _, block in blocks], ignore_index=True)
    low, high = table["implied_f1"] - table["uncertainty"], table["implied_f1"] + table["uncertainty"]
    outside = (low > 1 + EXACT) | (high < -EXACT)
    previous_high = high.groupby([table["paradigm"], table["dataset"], table["column"]]).shift()
    rises = low > previous_high + EXACT
    rows = table.assign(outside=outside, rises=rises)[outside | rises]
    largest, smallest = (pick(1, "implied_f1").iloc[0] for pick in (table.nlargest, table.nsmallest))
    return Finding(
        "implied-rank-f1",
        "Tables 2-4, Top-N rows",
        "The mean local F1 of the nodes ranked between two N, implied by either column, lies in [0, 1] and falls with "
        "rank.",
        verdict(rows.empty),
        f"Of {len(table)} implied values {int(outside.sum())} lie outside [0, 1] beyond rounding, and "
        f"{int(rises.sum())} exceed the value of better ranks. Largest: {_implied_in_words(largest)}; smallest: "
        f"{_implied_in_words(smallest)}.",
        {
            "n_values": len(table),
            "n_outside": int(outside.sum()),
            "n_rising": int(rises.sum()),
            "largest": float(largest["implied_f1"]),
            "smallest": float(smallest["implied_f1"]),
            "semi_supervised_D1_before_ranks_4_5": _value(table, "semi_supervised", "D1", "F1 before", "4-5"),
            "supervised_D1_ae_ranks_21_25": _value(table, "supervised", "D1", "F1 (AE)", "21-25"),
            "supervised_D2_ae_ranks_21_25": _value(table, "supervised", "D2", "F1 (AE)", "21-25"),
        },
        rows.round({"implied_f1": 4, "uncertainty": 4}),
    )


def _top_rows() -> pd.DataFrame:
    rows = tables_2_to_4()
    return rows[rows["strategy"] == "top_n"].reset_index(drop=True)


def _implied(block: pd.DataFrame) -> pd.DataFrame:
    """Both columns of one block; the uncertainty is what rounding of the two printed means can do."""
    block = block.sort_values("n")
    n = block["n"].to_numpy()
    step = np.diff(n)
    ranks = [f"{low + 1}-{high}" for low, high in pairwise(n)]
    parts = []
    for name, column, count in (
        ("F1 (AE)", "f1_local_participants", block["n"].to_numpy()),
        ("F1 before", "f1_before", block["n_targets"].to_numpy()),
    ):
        total = count * block[column].to_numpy()
        implied = np.diff(total) * np.sign(count[1] - count[0]) / step
        uncertainty = PRINTED * (count[1:] + count[:-1]) / step
        parts.append(pd.DataFrame({"column": name, "ranks": ranks, "implied_f1": implied, "uncertainty": uncertainty}))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(paradigm=block["paradigm"].iloc[0], dataset=block["dataset"].iloc[0])[
        ["paradigm", "dataset", "column", "ranks", "implied_f1", "uncertainty"]
    ]


def _implied_in_words(row: "pd.Series[Any]") -> str:
    of = f"{str(row['paradigm']).replace('_', '-')} {row['dataset']}, column {row['column']}, ranks {row['ranks']}"
    return f"{row['implied_f1']:.2f} ({of})"


def _value(table: pd.DataFrame, paradigm: str, dataset: str, column: str, ranks: str) -> float:
    keys = {"paradigm": paradigm, "dataset": dataset, "column": column, "ranks": ranks}
    return float(table.loc[(table[list(keys)] == list(keys.values())).all(axis=1), "implied_f1"].item())
