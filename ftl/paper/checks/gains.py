"""The gains that the text names, and what the gains follow."""

import numpy as np
import pandas as pd

from ftl.paper.findings import CANNOT_BE_DECIDED, Finding, verdict
from ftl.paper.tables import CELL, EXACT, cell_name, claimed, claims, tables_2_to_4


def largest_gain() -> Finding:
    """ "Up to +0.50" of the abstract and the conclusion."""
    rows = tables_2_to_4()
    stated = claimed("largest_gain_abstract")
    above = rows[rows["delta_f1"] > stated + EXACT].sort_values("delta_f1", ascending=False)
    largest = rows.nlargest(1, "delta_f1").iloc[0]
    return Finding(
        "largest-gain",
        "abstract, sections 4.5.1 and 5, Tables 2-4",
        f"The largest gain in F1 is +{stated:.2f} (abstract, conclusion).",
        verdict(abs(float(largest["delta_f1"]) - stated) <= EXACT),
        f"{len(above)} rows lie above it. Section 4.5.1 names +{claimed('largest_gain_semi_supervised'):.2f}; the "
        f"tables' largest is +{largest['delta_f1']:.2f} ({cell_name(largest)}).",
        {"stated": stated, "largest": float(largest["delta_f1"]), "n_above": len(above)},
        above[[*CELL, "f1_before", "f1_after", "delta_f1"]],
    )


def range_of_f1_before() -> Finding:
    """Section 4.5.1's range of F1 before transfer, against the columns of Table 2."""
    rows = tables_2_to_4()
    rows = rows[(rows["paradigm"] == "semi_supervised") & (rows["strategy"] == "top_n")]
    stated = claims().loc["f1_before_semi_supervised_top_n"]
    ranges = {
        (str(dataset), name): (float(part[name].min()), float(part[name].max()))
        for dataset, part in rows.groupby("dataset")
        for name in ("f1_before", "precision_before")
    }
    given = (stated["low"], stated["high"])
    same = [f"{dataset} {name}" for (dataset, name), found in ranges.items() if np.allclose(found, given, atol=EXACT)]
    f1 = {dataset: found for (dataset, name), found in ranges.items() if name == "f1_before"}
    overall = min(low for low, _ in f1.values()), max(high for _, high in f1.values())
    return Finding(
        "range-of-f1-before",
        "section 4.5.1, Table 2",
        f"Under Top-N the semi-supervised F1 rises from {given[0]:.2f}-{given[1]:.2f}.",
        verdict(bool(np.allclose(overall, given, atol=EXACT))),
        "F1 before is "
        + ", ".join(f"{low:.2f} to {high:.2f} on {dataset}" for dataset, (low, high) in f1.items())
        + f"; the range in the text is that of: {', '.join(same) or 'no column'}.",
        {
            f"{dataset}_{name}_{end}": v
            for (dataset, name), found in ranges.items()
            for end, v in zip(("low", "high"), found, strict=True)
        },
        pd.DataFrame([{"dataset": d, "column": c, "low": low, "high": high} for (d, c), (low, high) in ranges.items()]),
    )


def tnr_gain() -> Finding:
    """The TNR gain that section 4.5.2 credits to Random-N."""
    rows = tables_2_to_4()
    rows = rows[(rows["paradigm"] == "unsupervised") & (rows["dataset"] == "D2") & (rows["n"] == 5)]
    gains = (rows["tnr_after"] - rows["tnr_before"]).set_axis(rows["strategy"]).round(4)
    stated = claimed("tnr_gain_unsupervised_D2_random_n_5")
    other = " That number is in the Top-N row." if abs(gains["top_n"] - stated) <= EXACT else ""
    return Finding(
        "tnr-gain",
        "section 4.5.2, Table 3",
        f"Unsupervised D2, Random-N, N=5: TNR gains +{stated:.2f}.",
        verdict(abs(gains["random_n"] - stated) <= EXACT),
        f"The row has +{gains['random_n']:.2f} (Top-N: +{gains['top_n']:.2f}).{other}",
        {"stated": stated, "random_n": float(gains["random_n"]), "top_n": float(gains["top_n"])},
        rows[[*CELL, "tnr_before", "tnr_after"]],
    )


def gain_follows_the_baseline() -> Finding:
    """Correlation of F1 before and after over the Top-N rows."""
    rows = tables_2_to_4()
    top = rows[rows["strategy"] == "top_n"]
    correlation = float(np.corrcoef(top["f1_before"], top["f1_after"])[0, 1])
    spread = top.groupby("paradigm", sort=False)["delta_f1"].agg(["mean", "std", "min", "max"])
    listed = ", ".join(
        f"{name.replace('_', '-')} {s['mean']:.2f} ± {s['std']:.2f}"
        for name, s in zip(spread.index.astype(str), spread.to_dict("records"), strict=True)
    )
    return Finding(
        "gain-follows-baseline",
        "Tables 2-4, Top-N rows",
        "The tables show that the gain comes from what the cohort has learned.",
        CANNOT_BE_DECIDED,
        f"F1 after follows F1 before (correlation {correlation:.2f} over {len(top)} rows), and within a paradigm the "
        f"gain hardly varies ({listed}). Shifting the decision threshold by a constant would look the same.",
        {
            "correlation": correlation,
            "n_rows": len(top),
            **{f"sd_gain_{k}": float(v) for k, v in spread["std"].items()},
        },
        spread.round(4).reset_index(),
    )


def top_beats_random() -> Finding:
    """ΔF1 of Top-N against Random-N, cell by cell."""
    wide = tables_2_to_4().pivot(index=["paradigm", "dataset", "n"], columns="strategy", values="delta_f1")
    wins, ties = wide["random_n"] > wide["top_n"] + EXACT, (wide["random_n"] - wide["top_n"]).abs() <= EXACT
    by_paradigm = {str(name): won for name, won in wins.groupby(level="paradigm", sort=False)}
    counts = {name: {"sum": int(won.sum()), "size": len(won)} for name, won in by_paradigm.items()}
    listed = ", ".join(f"{name.replace('_', '-')} {w['sum']} of {w['size']}" for name, w in counts.items())
    return Finding(
        "top-beats-random",
        "Tables 2-4, sections 4.5.4 and 4.5.5",
        "Top-N gives at least the ΔF1 of Random-N in every cell.",
        verdict(not wins.any()),
        f"Random-N gives the larger gain in {int(wins.sum())} of {len(wide)} cells ({listed}); {int(ties.sum())} are "
        "equal.",
        {
            "n_cells": len(wide),
            "n_random_wins": int(wins.sum()),
            "n_ties": int(ties.sum()),
            **{f"n_random_wins_{name}": w["sum"] for name, w in counts.items()},
        },
        wide[wins].reset_index()[["paradigm", "dataset", "n", "top_n", "random_n"]],
    )
