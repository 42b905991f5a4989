"""The few numbers for `dvc metrics`, and plain sentences on where federation helped and where it did not."""

import math
from typing import Any

import pandas as pd

from ftl.evaluation.results import BASELINES

_GAINS = (
    "delta_f1",
    "delta_f1_vs_local_long",
    "delta_auroc_vs_local_long",
    "verdict_vs_local",
    "verdict_vs_local_long",
)


def headline(summary: pd.DataFrame) -> dict[str, Any]:
    """What a change is judged by: protocol -> dataset -> paradigm -> a handful of numbers.

    The gains are those of transfer under top_n at the middle one of the N that were run (the lower of two), against
    local and local_long. The best arm and the best baseline are those of highest AUROC, among arms at that N and arms
    without a cohort; the former stand over the targets, the latter over all nodes.

    Returns:
        A dict for JSON: NaN and null are None.
    """
    found: dict[str, Any] = {}
    for (protocol, dataset, paradigm), cells in summary.groupby(["protocol", "dataset", "paradigm"], sort=True):
        top = cells[(cells["policy"] == "top_n") & (cells["arm"] == "transfer")].sort_values("n_participants")
        middle = top.iloc[(len(top) - 1) // 2] if len(top) else None
        numbers: dict[str, Any] = {"n_participants": None if middle is None else int(middle["n_participants"])}
        numbers |= {name: None if middle is None else _plain(middle[name]) for name in _GAINS}
        at_middle = cells[cells["policy"].isna() | (cells["n_participants"] == numbers["n_participants"]).fillna(False)]
        is_baseline = at_middle["arm"].isin(BASELINES)
        for name, group in (("arm", at_middle[~is_baseline]), ("baseline", at_middle[is_baseline])):
            best = _best(group)
            numbers[f"auroc_best_{name}"] = None if best is None else float(best["auroc_after"])
            numbers[f"best_{name}"] = None if best is None else str(best["arm"])
        found.setdefault(str(protocol), {}).setdefault(str(dataset), {})[str(paradigm)] = numbers
    return found


def overview_sentences(summary: pd.DataFrame, arm: str = "transfer") -> list[str]:
    """Where the arm helped and where it did not, in a few sentences for each protocol and dataset.

    A gain is claimed only where the arm beat both local and local_long: the 95 % interval of the difference in F1 lies
    above 0.
    """
    sentences = []
    for (protocol, dataset), group in summary.groupby(["protocol", "dataset"], sort=True):
        cells = group[group["arm"] == arm]
        if not (cells["n_nodes"] > 0).any():
            sentences.append(f"{dataset} ({protocol}): {_not_scored(cells, arm)}")
            continue
        n_gains = sum(_gained(cell) for _, cell in cells.iterrows())
        sentences.append(
            f"{dataset} ({protocol}): {arm} beat both local and local_long in {n_gains} of {len(cells)} cells."
        )
        sentences += [_paradigm_sentence(part, arm) for _, part in cells.groupby("paradigm", sort=True)]
        sentences += _baseline_sentences(group)
    return sentences


def verdict_sentences(summary: pd.DataFrame, arm: str = "transfer") -> list[str]:
    """The verdict on every cell of the arm, a sentence each."""
    return [_sentence(cell) for _, cell in summary[summary["arm"] == arm].iterrows()]


def _sentence(cell: "pd.Series[Any]") -> str:
    cohort = "" if cell["policy"] is None else f", {cell['policy']}, N = {cell['n_participants']}"
    against = [
        _against("local", cell["verdict_vs_local"], cell["delta_f1"], cell["ci_low"], cell["ci_high"]),
        _against(
            "local_long",
            cell["verdict_vs_local_long"],
            *(cell[f"{name}_vs_local_long"] for name in ("delta_f1", "ci_low", "ci_high")),
        ),
    ]
    claim = "helped" if _gained(cell) else "did not help"
    if cell["verdict_vs_local"] is None or cell["verdict_vs_local_long"] is None:
        claim = "cannot be judged"
    nodes = f"{cell['n_nodes']} node" + ("" if cell["n_nodes"] == 1 else "s")
    return f"{cell['dataset']}, {cell['paradigm']}{cohort}: {cell['arm']} {claim}: {' and '.join(against)} ({nodes})."


def _against(reference: str, verdict: str | None, delta: float, low: float, high: float) -> str:
    if verdict is None:
        return f"no interval against {reference}"
    words = {"better": "better than", "worse": "worse than", "no difference": "not shown to differ from"}[verdict]
    return f"{words} {reference} (ΔF1 {delta:+.3f}, {_interval(low, high)})"


def _interval(low: float, high: float) -> str:
    return "too few nodes for an interval" if math.isnan(low) else f"95 % interval {low:+.3f} to {high:+.3f}"


def _paradigm_sentence(cells: pd.DataFrame, arm: str) -> str:
    """One paradigm of one dataset: how the arm's cells compare with both controls."""
    parts = []
    for reference, suffix in (("local", ""), ("local_long", "_vs_local_long")):
        verdicts, delta = cells[f"verdict_vs_{reference}"], cells[f"delta_f1{suffix}"]
        spread = f"{delta.min():+.3f} to {delta.max():+.3f}" if delta.notna().any() else "undefined"
        parts.append(
            f"against {reference} ΔF1 {spread}, better in {(verdicts == 'better').sum()}, worse in "
            f"{(verdicts == 'worse').sum()} of {len(cells)} cells"
        )
    return f"{cells['dataset'].iloc[0]}, {cells['paradigm'].iloc[0]}: {arm} {'; '.join(parts)}."


def _not_scored(cells: pd.DataFrame, arm: str) -> str:
    """Why there is nothing to judge."""
    if cells.empty:
        return f"the arm {arm} was not run, so that there is nothing to judge."
    return (
        f"{arm} could not be scored: no target node has an anomaly among its test rows, so that F1 is undefined and "
        "nothing can be said about a gain."
    )


def _baseline_sentences(cells: pd.DataFrame) -> list[str]:
    """For each paradigm, how the best simple baseline ranks beside local_long on the same nodes."""
    sentences = []
    for paradigm, group in cells.groupby("paradigm", sort=True):
        simple = _best(group[group["arm"].isin(set(BASELINES) - {"random", "untrained"})])
        if simple is not None and pd.notna(simple["delta_auroc_vs_local_long"]):
            low, high = simple["ci_low_auroc_vs_local_long"], simple["ci_high_auroc_vs_local_long"]
            sentences.append(
                f"{simple['dataset']}, {paradigm}: the best simple baseline, {simple['arm']}, has AUROC "
                f"{simple['auroc_after']:.3f}: {simple['delta_auroc_vs_local_long']:+.3f} against local_long on the "
                f"same nodes ({_interval(low, high)})."
            )
    return sentences


def _gained(cell: "pd.Series[Any]") -> bool:
    return bool(cell["verdict_vs_local"] == "better" and cell["verdict_vs_local_long"] == "better")


def _best(cells: pd.DataFrame) -> "pd.Series[Any] | None":
    """The row of highest AUROC (the first of equals), or None where none is defined."""
    ranked = cells[cells["auroc_after"].notna()]
    return ranked.iloc[int(ranked["auroc_after"].argmax())] if len(ranked) else None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return None if pd.isna(value) else float(value)
