"""What a comparison says in the end: differences with intervals, and one sentence, also when there is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.significance import ROUNDING

SIGNIFICANT = 0.05
VERDICT_METRICS = ("auroc", "auprc", "f1")
"""What the sentences speak of; the tables have more."""
NO_DIFFERENCE = "no difference"
UNCORRECTED = " that holds after Holm's correction, though intervals leave out 0"
SITUATION = ("arm", "hours")
ARM_WORDS = {"zero_shot": "zero-shot", "full_fine_tune": "after fine-tuning", "fresh_decoder": "with a fresh decoder"}


def with_verdicts(differences: pd.DataFrame) -> pd.DataFrame:
    """Differences (:func:`ftl.studies.tables.differences`) whose verdict holds after Holm's correction.

    `interval_verdict` says what the interval says alone. `verdict` repeats it where the corrected p is below 5 % as
    well, and else says that no difference was shown; None where nothing is defined.
    """
    table = differences.rename(columns={"verdict": "interval_verdict"})
    sure = table["p_holm"] < SIGNIFICANT
    verdict = table["interval_verdict"].where(sure | table["interval_verdict"].isna(), NO_DIFFERENCE)
    table.insert(list(table.columns).index("interval_verdict") + 1, "verdict", verdict)
    return table


def spread_of_draws(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """How far random cohorts lie apart: per situation and metric, the SD over draws of the mean over all nodes.

    A draw has a cohort in each fold of a seed; variances within seeds are averaged over seeds.

    Args:
        rows: Of random cohorts alone, with the columns seed and draw.
    """
    keys = [*SITUATION, "metric"]
    long = rows.melt([*SITUATION, "seed", "draw"], list(metrics), "metric", "value")
    of_draw = long.groupby([*keys, "seed", "draw"], dropna=False, sort=False)["value"].mean()
    variance = of_draw.groupby([*keys, "seed"], dropna=False, sort=False).var(ddof=1)
    return variance.groupby(keys, dropna=False, sort=False).mean().pow(0.5).rename("sd_of_draws").reset_index()


def situation(arm: str, hours: float) -> str:
    """One in words; NaN hours are the whole history."""
    return f"{ARM_WORDS.get(arm, arm)} at {f'{hours:g} h' if np.isfinite(hours) else 'full history'}"


def sentences(table: pd.DataFrame, column: str, reference: str) -> list[str]:
    """One per policy or method, then one over all of them.

    Args:
        table: Of :func:`with_verdicts`.
        column: Which tells them apart.
        reference: What they are held against, in words.
    """
    told = records(table[table["metric"].isin(VERDICT_METRICS)])
    names = list(dict.fromkeys(row[column] for row in told))
    return [*(_of_one(name, [row for row in told if row[column] == name]) for name in names), _of_all(told, reference)]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each by its columns' names."""
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def _of_one(name: str, rows: Sequence[dict[str, Any]]) -> str:
    found = [row for row in rows if row["verdict"] in ("better", "worse")]
    if not found:
        auroc = [f"{_where(row)} {delta_in_words(row)}" for row in rows if row["metric"] == "auroc"]
        alone = any(row["interval_verdict"] in ("better", "worse") for row in rows)
        return f"{name}: {NO_DIFFERENCE}{UNCORRECTED if alone else ''}; AUROC {'; '.join(auroc)}."
    shown = [f"{row['verdict']} {row['metric'].upper()} {_where(row)} {delta_in_words(row)}" for row in found]
    return f"{name}: {'; '.join(shown)}."


def _of_all(told: Sequence[dict[str, Any]], reference: str) -> str:
    n_tests = max((_n_tests(told, metric) for metric in VERDICT_METRICS), default=0)
    outside = sum(row["interval_verdict"] in ("better", "worse") for row in told)
    counted = f"{n_tests} tests per metric, Holm-corrected; uncorrected, {outside} of {len(told)} intervals leave out 0"
    differing = sum(row["verdict"] in ("better", "worse") for row in told)
    if differing:
        return f"{differing} of {len(told)} comparisons with {reference} differ in AUROC, AUPRC or F1 ({counted})."
    n_nodes = max((row["n_nodes"] for row in told), default=0)
    powerless = n_tests * 2.0 ** (1 - n_nodes) >= SIGNIFICANT  # signed ranks at their best: all of one sign
    remark = f" With {n_nodes} nodes no difference whatever could pass that correction." if powerless else ""
    return f"None differs from {reference} in AUROC, AUPRC or F1 ({counted}).{remark}"


def _n_tests(told: Sequence[dict[str, Any]], metric: str) -> int:
    return sum(row["metric"] == metric and bool(np.isfinite(row["p_wilcoxon"])) for row in told)


def _where(row: dict[str, Any]) -> str:
    return situation(row["arm"], row["hours"])


def signed(value: float) -> str:
    """Three digits and a sign, also of what rounds to 0: -0.000 is below it; rounding errors are not."""
    return f"{0.0 if abs(value) < ROUNDING else value:+.3f}"


def delta_in_words(row: dict[str, Any]) -> str:
    """A difference and its interval."""
    return f"{signed(row['delta'])} [{signed(row['ci_low'])}, {signed(row['ci_high'])}]"
