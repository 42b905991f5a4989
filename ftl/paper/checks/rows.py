"""What must hold within a row of Tables 2 to 4, and between them and Table 5."""

import numpy as np
import pandas as pd

from ftl.paper.findings import Finding, verdict
from ftl.paper.tables import EXACT, PRINTED, claimed, table_5, tables_2_to_4

BLOCK = ["paradigm", "dataset", "strategy"]
BEFORE = ["precision_before", "recall_before", "tnr_before", "f1_before"]


def gains_follow() -> Finding:
    """ΔF1 = after - before, to the digits printed."""
    rows = tables_2_to_4()
    gap = (rows["f1_after"] - rows["f1_before"] - rows["delta_f1"]).abs()
    wrong = gap > PRINTED
    return Finding(
        "delta-f1-identity",
        "Tables 2-4, eq. 5",
        "In every row ΔF1 is F1 after minus F1 before.",
        verdict(not wrong.any()),
        f"True in {(~wrong).sum()} of {len(rows)} rows.",
        {"n_rows": len(rows), "n_true": int((~wrong).sum()), "largest_gap": float(gap.max())},
        rows[wrong],
    )


def targets_are_the_rest() -> Finding:
    """Number of targets = 100 - N."""
    rows = tables_2_to_4()
    wrong = rows["n_targets"] != claimed("n_nodes") - rows["n"]
    return Finding(
        "targets-complement",
        "Tables 2-4",
        "In every row the targets are the nodes that did not take part (100 - N).",
        verdict(not wrong.any()),
        f"True in {(~wrong).sum()} of {len(rows)} rows. Top-N and Random-N rows of one N can therefore have the same "
        "targets, as section 3.4 demands, only if both chose the same nodes.",
        {"n_rows": len(rows), "n_true": int((~wrong).sum())},
        rows[wrong],
    )


def table_5_is_the_mean() -> Finding:
    """Table 5 against the means of the rows, also weighted by their number of targets."""
    rows = tables_2_to_4()
    means = pd.DataFrame(
        [dict(zip(BLOCK, key, strict=True)) | _means(block) for key, block in rows.groupby(BLOCK, sort=False)]
    )
    printed = table_5().melt(["paradigm", "dataset"], var_name="strategy", value_name="printed")
    printed["strategy"] = printed["strategy"].str.removesuffix("_delta_f1")
    table = means.merge(printed, on=BLOCK, validate="1:1")
    # A mean of printed gains is off by half a digit at most, and Table 5 is rounded itself.
    gaps = {name: (table[name] - table["printed"]).abs() for name in ("mean", "weighted_mean", "median")}
    fits = {name: int((gap <= 2 * PRINTED + EXACT).sum()) for name, gap in gaps.items()}
    unweighted = gaps["mean"]
    wrong = unweighted > 2 * PRINTED + EXACT
    return Finding(
        "table-5-means",
        "Table 5 against Tables 2-4",
        "Table 5 is the mean of the six ΔF1 of each block of Tables 2-4.",
        verdict(not wrong.any()),
        f"{fits['mean']} of {len(table)} entries agree within rounding; the largest gap is {unweighted.max():.3f}. "
        f"Weighting the rows by their number of targets explains {fits['weighted_mean']}, the median "
        f"{fits['median']} of {len(table)}.",
        {"n_entries": len(table), "largest_gap": float(unweighted.max()), **{f"n_fit_{k}": v for k, v in fits.items()}},
        table.round(4),
    )


def before_ignores_the_strategy() -> Finding:
    """The local models of the same targets do not depend on the strategy."""
    wide = tables_2_to_4().pivot(index=["paradigm", "dataset", "n"], columns="strategy", values=BEFORE)
    top, random = wide.xs("top_n", axis=1, level=1), wide.xs("random_n", axis=1, level=1)
    differs = np.abs(top[BEFORE].to_numpy() - random[BEFORE].to_numpy()).max(axis=1) > EXACT
    table = pd.DataFrame({"f1_before_top_n": top["f1_before"], "f1_before_random_n": random["f1_before"]})
    at_fault = table[differs].reset_index()
    blocks = sorted(set(zip(at_fault["paradigm"], at_fault["dataset"], strict=True)))
    named = ", ".join(f"{paradigm.replace('_', '-')} {dataset}" for paradigm, dataset in blocks)
    n_blocks = table.reset_index().groupby(["paradigm", "dataset"]).ngroups
    return Finding(
        "before-by-strategy",
        "Tables 2-4, sections 3.4 and 4.3.1",
        "The values before transfer are the same under both strategies: the same targets, their own models.",
        verdict(not differs.any()),
        f"They are identical in {n_blocks - len(blocks)} of {n_blocks} blocks and differ in {named or 'none'}"
        f" ({int(differs.sum())} of {len(differs)} pairs of rows).",
        {"n_pairs": len(differs), "n_differ": int(differs.sum()), "n_blocks_differ": len(blocks)},
        at_fault,
    )


def _means(block: pd.DataFrame) -> dict[str, float]:
    gain = block["delta_f1"]
    return {
        "mean": float(gain.mean()),
        "weighted_mean": float(np.average(gain, weights=block["n_targets"])),
        "median": float(gain.median()),
    }
