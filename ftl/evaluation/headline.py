"""The few numbers for `dvc metrics`, and plain sentences on where federation helped and where it did not."""

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


def verdict_sentences(summary: pd.DataFrame, arm: str = "transfer") -> list[str]:
    """Where the arm helped and where it did not, one sentence per cell, after one count for each protocol and dataset.

    A gain is claimed only where the arm beat both local and local_long: the 95 % interval of the difference in F1 lies
    above 0.
    """
    sentences = []
    rows = summary[summary["arm"] == arm]
    for (protocol, dataset), cells in rows.groupby(["protocol", "dataset"], sort=True):
        n_gains = sum(_gained(cell) for _, cell in cells.iterrows())
        sentences.append(
            f"{dataset} ({protocol}): {arm} beat both local and local_long in {n_gains} of {len(cells)} cells."
        )
        sentences += [_sentence(cell) for _, cell in cells.iterrows()]
        sentences += _baseline_sentences(
            summary[(summary["protocol"] == protocol) & (summary["dataset"] == dataset)], arm
        )
    return sentences


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
    return f"{cell['paradigm']}{cohort}: {cell['arm']} {claim}: {' and '.join(against)} ({nodes})."


def _against(reference: str, verdict: str | None, delta: float, low: float, high: float) -> str:
    if verdict is None:
        return f"no interval against {reference}"
    words = {"better": "better than", "worse": "worse than", "no difference": "not shown to differ from"}[verdict]
    return f"{words} {reference} (ΔF1 {delta:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})"


def _baseline_sentences(cells: pd.DataFrame, arm: str) -> list[str]:
    """One sentence for each paradigm in which a simple baseline ranks at least as well as the arm's best cell."""
    sentences = []
    for paradigm, group in cells.groupby("paradigm", sort=True):
        ours, simple = _best(group[group["arm"] == arm]), _best(group[group["arm"].isin(BASELINES)])
        if ours is not None and simple is not None and simple["auroc_after"] >= ours["auroc_after"]:
            sentences.append(
                f"{paradigm}: the baseline {simple['arm']} ranks at least as well (AUROC {simple['auroc_after']:.3f}) "
                f"as {arm} at its best ({ours['auroc_after']:.3f})."
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
