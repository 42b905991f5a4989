"""What the study of labels found, in words: arm by arm against the unsupervised score, and whether the guard held."""

from typing import Any

import pandas as pd

UNSUPERVISED = "unsupervised"
SINGLES = (UNSUPERVISED, "federated_head")
"""The two that the arm `combined` chooses from and mixes."""
WITH_OTHERS_LABELS = ("latent_head", "federated_head", "average", "combined", "pooled_own")
_WORDS = {"better": "helped", "worse": "hurt", "no difference": "made no difference shown"}
_CHOSEN = {0.0: "the unsupervised score alone", 1.0: "the head alone"}


def verdict_sentences(dataset: str, rows: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """One sentence per arm that uses labels, one on what the guard did, and one on the combination's test rows.

    Args:
        dataset: Name and origin of the fleet, such as ``asd (real, 12 nodes)``.
        rows: Of the study.
        differences: Of every arm against the unsupervised score, and of `combined` against the better single score.
    """
    found = []
    against = differences[differences["against"] == UNSUPERVISED]
    for arm in (*WITH_OTHERS_LABELS, "own_labels"):
        here = against[against["arm"] == arm].set_index("metric")
        if len(here):
            whose = "A node's own labels" if arm == "own_labels" else "Labels of other nodes"
            found.append(f"{whose} {_verdict(here)} on {dataset}, {arm}: {_difference(here, 'auroc')}, "
                         f"{_difference(here, 'auprc')} against the unsupervised score")  # fmt: skip
    return [*found, _choices(rows), *_guard(dataset, rows, differences)]


def better_single(rows: pd.DataFrame, metric: str) -> str:
    """The one of the two single scores with the higher mean over nodes of the test rows; ties need no label."""
    singles = rows[rows["arm"].isin(SINGLES)]
    means = singles.groupby(["arm", "node"])[metric].mean().groupby("arm").mean()
    return max((arm for arm in SINGLES if arm in means.index), key=lambda arm: float(means.loc[arm]))


def _verdict(here: pd.DataFrame) -> str:
    """One word where AUROC and AUPRC agree or one of them shows nothing; else both."""
    found = {metric: _WORDS.get(str(here.loc[metric, "verdict"]), "cannot be judged") for metric in ("auroc", "auprc")}
    shown = {metric: word for metric, word in found.items() if word in (_WORDS["better"], _WORDS["worse"])}
    if not shown or len(set(found.values())) == 1:
        return found["auroc"]
    return " and ".join(f"{word} by {metric.upper()}" for metric, word in shown.items())


def _difference(here: pd.DataFrame, metric: str) -> str:
    row = here.loc[metric]
    return f"{metric.upper()} {row['delta']:+.3f} [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}]"


def _choices(rows: pd.DataFrame) -> str:
    chosen = rows[rows["arm"] == "combined"].drop_duplicates(["seed", "fold"])
    counts = chosen["weight"].value_counts().sort_index()
    weights = zip(counts.index.astype(float), counts, strict=True)
    parts = [f"{_CHOSEN.get(w, f'a mixture with {w:g} of the head')} in {n}" for w, n in weights]
    least, most = int(chosen["n_voters"].min()), int(chosen["n_voters"].max())
    voters = f"{least}" if least == most else f"{least} to {most}"
    return f"Of {len(chosen)} cohorts the guard took {', '.join(parts)}; {voters} participants of a cohort could vote"


def _place(row: "pd.Series[Any]") -> str:
    if row["delta"] == row["ci_low"] == row["ci_high"] == 0:
        return "is"
    return {"better": "lies above", "worse": "falls below"}.get(row["verdict"], "is not shown to differ from")


def _guard(dataset: str, rows: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """On validation the combination cannot fall below the better single score; here is what test rows say."""
    found = []
    for metric in ("auroc", "auprc"):
        single = better_single(rows, metric)
        here = differences[(differences["arm"] == "combined") & (differences["against"] == single)].set_index("metric")
        if len(here):
            said = f"combined {_place(here.loc[[metric]].iloc[0])} the better single score by {metric.upper()}"
            found.append(f"Test rows of {dataset}: {said}, {single}: {_difference(here, metric)}")
    return found
