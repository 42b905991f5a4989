"""What precision, recall, TNR and F1 say about each other, and about the counts behind them."""

import numpy as np
import pandas as pd

from ftl.paper.findings import CANNOT_BE_DECIDED, Finding, verdict
from ftl.paper.tables import CELL, EXACT, PRINTED, cell_name, claimed, tables_2_to_4

METRICS = ("precision", "recall", "tnr", "f1")
PREVALENCES = np.round(np.arange(0.01, 1.0, 0.01), 2)


def recall_is_one() -> Finding:
    """Recall of every cell, before and after."""
    cells = cells_144()
    one = cells["recall"] == 1
    return Finding(
        "recall-one",
        "Tables 2-4, columns Rec.",
        "Recall responds to the threshold, the paradigm, N and transfer in at least one cell.",
        verdict(not one.all()),
        f"Recall is 1.00 in {int(one.sum())} of {len(cells)} cells, before and after, under three thresholding rules. "
        "No anomaly is ever missed, so every printed gain is a gain in false alarms alone.",
        {"n_cells": len(cells), "n_one": int(one.sum())},
        cells[~one],
    )


def f1_of_pooled_counts() -> Finding:
    """F1 predicted from the printed TNR, recall 1 and the stated anomaly rates, under three readings of "F1"."""
    cells = cells_144()
    rates, tnr = prevalence(cells), cells["tnr"]
    predictions = {
        "pooled": pooled_f1(rates, tnr),
        "accuracy": rates + (1 - rates) * tnr,
        "bimodal": tnr + (1 - tnr) * 2 * rates / (1 + rates),
    }
    error = {name: _rmse(f1, cells["f1"]) for name, f1 in predictions.items()}
    by_rate = {float(rate): _rmse(pooled_f1(rate, tnr), cells["f1"]) for rate in PREVALENCES}
    best = min(by_rate, key=by_rate.__getitem__)
    near_tnr = (cells["precision"] - tnr).abs().mean()
    near_p = (cells["f1"] - cells["precision"]).mean()
    return Finding(
        "f1-of-pooled-counts",
        "Tables 2-4, section 4.4",
        "F1 is the positive class's F1 of the targets' counts at the stated anomaly rates (3 % and 1.7 %).",
        verdict(error["pooled"] <= 2 * PRINTED),
        f"With recall 1 the TNR fixes it, and the prediction misses by {error['pooled']:.3f} (root mean square); at "
        f"any single anomaly rate it misses by at least {by_rate[best]:.3f} (at {best:.0%}). What fits is accuracy "
        f"({error['accuracy']:.3f}), or a mean over nodes each of which is either perfect or flags everything "
        f"({error['bimodal']:.3f}). Precision, TNR and F1 nearly coincide: mean |P - TNR| {near_tnr:.3f}, mean F1 - P "
        f"{near_p:.3f}.",
        {
            **{f"rmse_{name}": value for name, value in error.items()},
            "best_single_prevalence": best,
            "rmse_at_best_prevalence": by_rate[best],
            "mean_abs_precision_minus_tnr": float(near_tnr),
            "mean_f1_minus_precision": float(near_p),
        },
    )


def implied_prevalence() -> Finding:
    """The anomaly rate at which pooled counts with recall 1 would give the printed precision and TNR."""
    cells = cells_144()
    false_alarms, precision = 1 - cells["tnr"], cells["precision"]
    implied = precision * false_alarms / (precision * false_alarms + 1 - precision)
    stated = prevalence(cells)
    expected = stated / (stated + (1 - stated) * false_alarms)
    rows = cells.assign(implied_prevalence=implied.round(4), precision_expected=expected.round(4))
    first = rows[(rows["paradigm"] == "unsupervised") & (rows["dataset"] == "D1")].iloc[0]
    return Finding(
        "implied-prevalence",
        "Tables 2-4, sections 4.2.1 and 4.2.2",
        "Precision, recall and TNR agree with each other at the stated anomaly rates, if they are of pooled counts.",
        verdict(bool(((implied >= 0.9 * stated) & (implied <= 1.1 * stated)).all())),
        f"They imply rates of {implied.min():.0%} to {implied.max():.0%}. For example {first['paradigm']} "
        f"{first['dataset']}, N={first['n']}, {first['when']}: TNR {first['tnr']:.2f} gives precision "
        f"{first['precision_expected']:.3f}, printed is {first['precision']:.2f}.",
        {
            "lowest": float(implied.min()),
            "highest": float(implied.max()),
            "example_precision_expected": float(first["precision_expected"]),
            "example_precision_printed": float(first["precision"]),
        },
        rows.nlargest(5, "implied_prevalence"),
    )


def f1_between_precision_and_pooled() -> Finding:
    """Recall 1 on every node puts the mean F1 between mean P and 2P / (1 + P)."""
    cells = cells_144()
    precision, f1 = cells["precision"], cells["f1"]
    highest = 2 * (precision + PRINTED) / (1 + precision + PRINTED)
    wrong = (f1 + PRINTED < precision - PRINTED - EXACT) | (f1 - PRINTED > highest + EXACT)
    bounds = cells.assign(lowest_f1=precision, highest_f1=(2 * precision / (1 + precision)).round(4))
    return Finding(
        "f1-range",
        "Tables 2-4",
        "Where every node has recall 1, the mean F1 lies between the mean P and 2P / (1 + P).",
        verdict(not wrong.any()),
        f"{int(wrong.sum())} of {len(cells)} cells lie outside beyond rounding: {_named(cells[wrong])}. There, recall "
        "cannot have been 1 on every node, or F1 and P are not of the same nodes.",
        {"n_cells": len(cells), "n_outside": int(wrong.sum())},
        bounds[wrong],
    )


def precision_below_its_bound() -> Finding:
    """With recall 1 a node's P = π / (π + (1 - π) FPR) is convex in FPR: mean P <= TNR + (1 - TNR) π."""
    cells = cells_144()
    rates = prevalence(cells)
    bound = cells["tnr"] + (1 - cells["tnr"]) * rates
    excess = cells["precision"] - bound
    tnr = cells["tnr"] + PRINTED
    beyond = cells["precision"] - PRINTED > tnr + (1 - tnr) * rates + EXACT
    above = excess > 2 * PRINTED
    return Finding(
        "precision-bound",
        "Tables 2-4",
        "The mean precision of nodes with recall 1 and the stated anomaly rate π does not exceed TNR + (1 - TNR) π.",
        verdict(not beyond.any()),
        f"It does by more than .01 in {int(above.sum())} cells (by up to {excess.max():.3f}), and in "
        f"{int(beyond.sum())} by more than any rounding explains: precision was undefined on some nodes, or the "
        "anomaly rate differs by node.",
        {
            "n_cells": len(cells),
            "n_above": int((excess > EXACT).sum()),
            "n_above_by_more_than_01": int(above.sum()),
            "n_beyond_rounding": int(beyond.sum()),
            "smallest_excess_of_those_above_01": float(excess[above].min()),
            "largest_excess": float(excess.max()),
        },
        cells.assign(bound=bound.round(4), excess=excess.round(4))[beyond],
    )


def population_of_nodes() -> Finding:
    """Two readings fit alike; the tables hold means over nodes alone."""
    cells = cells_144()
    rates, tnr = prevalence(cells), cells["tnr"]
    closeness = {
        "accuracy": float(((rates + (1 - rates) * tnr - cells["f1"]).abs() <= 2 * PRINTED).mean()),
        "bimodal": float(((tnr + (1 - tnr) * 2 * rates / (1 + rates) - cells["f1"]).abs() <= 2 * PRINTED).mean()),
    }
    return Finding(
        "what-f1-is",
        "Tables 2-4",
        "It can be told from the tables whether F1 is a mean over nodes or accuracy under another name.",
        CANNOT_BE_DECIDED,
        f"Accuracy meets {closeness['accuracy']:.0%} of the cells within .01, a mean over nodes that are either "
        f"perfect or flag everything {closeness['bimodal']:.0%}. Values per node, or counts, would decide it.",
        {f"share_within_01_{name}": value for name, value in closeness.items()},
    )


def cells_144() -> pd.DataFrame:
    """Tables 2 to 4, one row per cell and time: columns CELL, when, precision, recall, tnr, f1."""
    rows = tables_2_to_4()
    parts = []
    for when in ("before", "after"):
        part = rows[[*CELL, *(f"{name}_{when}" for name in METRICS)]]
        part = part.rename(columns={f"{name}_{when}": name for name in METRICS})
        part.insert(len(CELL), "when", when)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def prevalence(cells: pd.DataFrame) -> "pd.Series[float]":
    """The anomaly rate that section 4.2 states for each cell's dataset."""
    return cells["dataset"].map({name: claimed(f"anomaly_rate_{name}") for name in ("D1", "D2")})


def pooled_f1(prevalence: "pd.Series[float] | float", tnr: "pd.Series[float]") -> "pd.Series[float]":
    """F1 of the positive class from pooled counts with recall 1."""
    precision = prevalence / (prevalence + (1 - prevalence) * (1 - tnr))
    return 2 * precision / (1 + precision)


def _rmse(predicted: "pd.Series[float]", printed: "pd.Series[float]") -> float:
    return float(np.sqrt(((predicted - printed) ** 2).mean()))


def _named(cells: pd.DataFrame) -> str:
    return "; ".join(
        f"{cell_name(row)} {row['when']} (P {row['precision']:.2f}, F1 {row['f1']:.2f})" for _, row in cells.iterrows()
    )
