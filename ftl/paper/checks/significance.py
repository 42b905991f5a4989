"""Asterisks, p-values and effect sizes against the text, and the spread over nodes that they need."""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ftl.paper.findings import CANNOT_BE_DECIDED, Finding, verdict
from ftl.paper.tables import CELL, cell_name, claimed, claims, table_6, tables_2_to_4

LEVEL = 0.05  # of the asterisk, by the captions of Tables 2 to 4


def asterisks() -> Finding:
    """Rows without asterisk, and the spread of ΔF1 over nodes that would explain them."""
    rows = tables_2_to_4()
    without = rows[~rows["significant"]]
    needed = [_sd_for(LEVEL, gain, n) for gain, n in zip(without["delta_f1"], without["n_targets"], strict=True)]
    table = without[[*CELL, "n_targets", "delta_f1"]].assign(sd_needed=np.round(needed, 4))
    implied = implied_sd()["sd_of_delta_f1"]
    numbers = {
        "n_rows": len(rows),
        "n_without": len(without),
        "sd_implied_low": float(implied.min()),
        "sd_implied_high": float(implied.max()),
    }
    says = "Every row carries it."
    for _, row in table.nlargest(1, "delta_f1").iterrows():
        numbers |= {"largest_gain_without": float(row["delta_f1"]), "sd_needed_there": float(row["sd_needed"])}
        says = (
            f"{len(without)} of {len(rows)} rows carry none: {'; '.join(map(cell_name, without.to_dict('records')))}. "
            f"For a gain of +{row['delta_f1']:.2f} on {row['n_targets']} nodes to miss p < .05, ΔF1 must have a "
            f"standard deviation of at least {row['sd_needed']:.2f} over nodes; Table 6 implies {implied.min():.2f} to "
            f"{implied.max():.2f}."
        )
    return Finding(
        "asterisks",
        "Tables 2-4, section 4.5.6",
        f"All comparisons have p < {claimed('p_value')}, as the text says; so all rows carry the asterisk (p < .05).",
        verdict(without.empty),
        says,
        numbers,
        table,
    )


def effect_size_is_over_nodes() -> Finding:
    """d = ΔF1 / SD: which SD, of nodes or of runs?"""
    table, sd_of_runs, n_runs = implied_sd(), claimed("sd_of_f1"), int(claimed("n_runs"))
    low, high = table["sd_of_delta_f1"].min(), table["sd_of_delta_f1"].max()
    over_runs = table["delta_f1"] / sd_of_runs
    return Finding(
        "effect-size-unit",
        "Table 6 with Tables 2-4, section 4.5.6",
        f"Cohen's d of Table 6 can be over the {n_runs} runs, whose F1 has a standard deviation of at most "
        f"{sd_of_runs}.",
        verdict(bool(high <= sd_of_runs * np.sqrt(2))),
        f"Table 6 implies a standard deviation of ΔF1 of {low:.3f} to {high:.3f}; over runs d would be about "
        f"{over_runs.min():.1f} to {over_runs.max():.1f}. The unit must be the node (its formula is not given).",
        {
            "sd_implied_low": float(low),
            "sd_implied_high": float(high),
            "d_over_runs_low": float(over_runs.min()),
            "d_over_runs_high": float(over_runs.max()),
        },
        table.round(4),
    )


def strongest_paradigms() -> Finding:
    """The text's order of the paradigms by d."""
    groups = table_6().groupby("paradigm", sort=False)["cohens_d"]
    means = {str(paradigm): float(d.mean()) for paradigm, d in groups}
    stated = claimed("cohens_d_mean_strongest", "low")
    strong = min(means["semi_supervised"], means["supervised"])
    return Finding(
        "strongest-paradigms",
        "Table 6, section 4.5.6",
        f"Semi-supervised and supervised settings have the strongest effects, mean d above {stated}.",
        verdict(strong > max(stated, means["unsupervised"])),
        "Means of Table 6: " + ", ".join(f"{name.replace('_', '-')} {mean:.4f}" for name, mean in means.items()) + ".",
        {f"mean_d_{name}": mean for name, mean in means.items()},
        pd.DataFrame({"paradigm": list(means), "mean_d": [round(mean, 4) for mean in means.values()]}),
    )


def range_of_effects() -> Finding:
    """The text's range of d is of more cells than are printed."""
    effects, stated = table_6()["cohens_d"], claims().loc["cohens_d"]
    return Finding(
        "effect-size-range",
        "Table 6, section 4.5.6",
        f"Cohen's d ranges from {stated['low']} to {stated['high']}.",
        CANNOT_BE_DECIDED,
        f"The {len(effects)} printed values, all at N=10, range from {effects.min():.2f} to {effects.max():.2f}; d of "
        "other N is not printed.",
        {"printed_low": float(effects.min()), "printed_high": float(effects.max()), "n_printed": len(effects)},
    )


def top_has_larger_effects() -> Finding:
    """Top-N against Random-N in Table 6."""
    wide = table_6().pivot(index=["paradigm", "dataset"], columns="strategy", values="cohens_d")
    wrong = wide["random_n"] > wide["top_n"]
    rows = wide[wrong].reset_index()[["paradigm", "dataset", "top_n", "random_n"]]
    named = [
        f"{str(r['paradigm']).replace('_', '-')} {r['dataset']} ({r['random_n']:.2f} > {r['top_n']:.2f})"
        for _, r in rows.iterrows()
    ]
    return Finding(
        "effect-size-by-strategy",
        "Table 6, section 4.5",
        "The effect under Top-N is at least that under Random-N.",
        verdict(not wrong.any()),
        f"Random-N has the larger d in {int(wrong.sum())} of {len(wide)} pairs: {', '.join(named)}.",
        {"n_pairs": len(wide), "n_random_larger": int(wrong.sum())},
        rows,
    )


def implied_sd() -> pd.DataFrame:
    """Table 6 beside its rows of Tables 2 to 4: delta_f1 / cohens_d is the standard deviation of ΔF1."""
    table = table_6().merge(tables_2_to_4()[[*CELL, "delta_f1"]], on=list(CELL), validate="1:1")
    return table.assign(sd_of_delta_f1=table["delta_f1"] / table["cohens_d"])


def _sd_for(p: float, delta: float, n: int) -> float:
    """The standard deviation at which a mean difference of n nodes has just this p, two-sided paired t-test."""
    return float(delta * np.sqrt(n) / stdtrit(n - 1, 1 - p / 2))
