"""Recompute the published numbers of a run from its scores alone, and compare: a check that shares no code with ftl.

    python scripts/recompute.py OUT

OUT is what ``ftl run ... --out OUT --dump-scores`` wrote. From OUT/scores.parquet come, per run of a model on a node,
the four counts, precision, recall, TNR, F1, AUROC and average precision; and per cell of the summary the mean over
nodes of F1(arm) - F1(local, same seed), Cohen's d_z and the p of the two-sided t-test. They are compared with
OUT/results.parquet and OUT/summary.csv. Ends with 0 if nothing differs by more than 1e-9, else with 1.

It needs numpy, pandas, pyarrow, scipy and scikit-learn, and reads the scores piece by piece.
"""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.stats import ttest_1samp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, roc_auc_score

TOLERANCE = 1e-9
ROUNDING = 1e-12  # differences between nodes that vary by less than this do not vary
PIECE = 1 << 20  # rows read at once

COHORT = ["dataset", "protocol", "paradigm", "policy", "n_participants", "draw", "seed"]
KEY = [*COHORT, "arm", "node"]
CELL = ["dataset", "protocol", "paradigm", "policy", "n_participants", "arm"]
PAIR = ["dataset", "protocol", "paradigm", "seed", "node"]
COUNTS = ["tp", "fp", "tn", "fn"]
METRICS = ["precision", "recall", "tnr", "f1", "auroc", "auprc"]
GAINS = ["n_nodes", "delta_f1", "cohens_d", "p_t"]


def main(out: Path) -> int:
    """Print the largest difference of every number; 0 if all of them are small enough."""
    results = pd.DataFrame(node_numbers(out / "scores.parquet"))
    published = pd.read_parquet(out / "results.parquet")
    summary = pd.read_csv(out / "summary.csv")
    print(f"{out}: {results['n_rows'].sum():,} scores of {len(results):,} runs")
    print(f"{'number':<12}{'compared':>10}{'undefined':>11}   largest difference")
    agree = compare(results, published, KEY, [*COUNTS, "threshold", *METRICS])
    blind = only_zero_shot(results)
    if blind.any():
        print(f"{blind.sum():,} runs of cohorts that have no arm but zero_shot: scores do not tell their targets")
        policies = results.loc[blind, "policy"].unique()
        summary = summary[~((summary["arm"] == "zero_shot") & summary["policy"].isin(policies))]
    agree &= compare(cell_numbers(results[~blind]), summary, CELL, GAINS)
    print(f"no difference above {TOLERANCE:g}" if agree else f"DIFFERENCES above {TOLERANCE:g}")
    return 0 if agree else 1


def node_numbers(path: Path) -> Iterator[dict[str, object]]:
    """Counts and metrics of every run of a model on a node; rows of unknown label do not count."""
    for key, score, threshold, label in runs(path):
        known = ~np.isnan(label)
        numbers = run_numbers(score[known], threshold[known], label[known] == 1)
        yield dict(zip(KEY, key, strict=True)) | numbers | {"threshold": float(np.median(threshold))}


def runs(path: Path) -> Iterator[tuple[tuple[object, ...], np.ndarray, np.ndarray, np.ndarray]]:
    """Key, scores, thresholds and labels (NaN unknown) of every run. A run's rows need not stand together."""
    numbers: dict[tuple[object, ...], int] = {}
    pieces = []
    with pq.ParquetFile(path, read_dictionary=["dataset", "protocol", "paradigm", "policy", "arm", "node"]) as file:
        for row_groups in in_pieces([file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]):
            table = file.read_row_groups(row_groups, columns=[*KEY, "score", "threshold", "label"])
            rows = table.unify_dictionaries().to_pandas()
            groups = rows.groupby(KEY, dropna=False, observed=True, sort=False)
            here = groups.ngroup().to_numpy()
            keys = rows.loc[groups.head(1).index, KEY].astype(object)
            number = [
                numbers.setdefault(tuple(None if pd.isna(value) else value for value in key), len(numbers))
                for key in keys.itertuples(index=False)
            ]
            pieces.append(
                (
                    np.array(number, np.int32)[here],
                    rows["score"].to_numpy(),
                    rows["threshold"].to_numpy(),
                    rows["label"].to_numpy(np.float32, na_value=np.nan),
                )
            )
    run, score, threshold, label = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    pieces.clear()
    order = np.argsort(run, kind="stable")
    ends = np.cumsum(np.bincount(run, minlength=len(numbers)))
    for key, first, last in zip(numbers, [0, *ends[:-1]], ends, strict=True):
        rows_of_run = order[first:last]
        yield key, score[rows_of_run], threshold[rows_of_run], label[rows_of_run]


def in_pieces(sizes: list[int]) -> Iterator[list[int]]:
    """Row groups to be read together: as few reads as memory allows, as there is a small group for every run."""
    piece, n_rows = [], 0
    for number, size in enumerate(sizes):
        piece.append(number)
        n_rows += size
        if n_rows >= PIECE or number == len(sizes) - 1:
            yield piece
            piece, n_rows = [], 0


def run_numbers(score: np.ndarray, threshold: np.ndarray, anomalous: np.ndarray) -> dict[str, float]:
    """What one run has to show: counts of alarms, and how well the scores rank the anomalous rows."""
    flagged = score > threshold
    tp, fp = int((flagged & anomalous).sum()), int((flagged & ~anomalous).sum())
    tn, fn = int((~flagged & ~anomalous).sum()), int((~flagged & anomalous).sum())
    numbers = {"n_rows": len(score), "tp": tp, "fp": fp, "tn": tn, "fn": fn}
    some, both = tp + fn > 0, tp + fn > 0 and tn + fp > 0
    return numbers | {
        "precision": tp / (tp + fp) if some and tp + fp else np.nan,
        "recall": tp / (tp + fn) if some else np.nan,
        "tnr": tn / (tn + fp) if tn + fp else np.nan,
        "f1": 2 * tp / (2 * tp + fp + fn) if some else np.nan,
        "auroc": roc_auc_score(anomalous, score) if both else np.nan,
        "auprc": average_precision_score(anomalous, score) if some else np.nan,
    }


def cell_numbers(results: pd.DataFrame) -> pd.DataFrame:
    """ΔF1, d_z and t-test of every cell: over its nodes, after a mean over draws and seeds within each node."""
    targets = results[~is_participant(results)]
    local = targets.loc[targets["arm"] == "local", [*PAIR, "f1"]]
    paired = targets.merge(local, on=PAIR, how="left", suffixes=("", "_local"))
    paired["gain"] = paired["f1"] - paired["f1_local"]
    of_nodes = paired.groupby([*CELL, "node"], dropna=False)["gain"].mean().reset_index()
    return of_nodes.groupby(CELL, dropna=False)["gain"].apply(gain_numbers).unstack().reset_index()


def gain_numbers(gain: "pd.Series[float]") -> pd.Series:
    """Mean, d_z and p over the nodes of a cell where F1 is defined."""
    gain = gain.dropna()
    n, mean = len(gain), gain.mean() if len(gain) else np.nan
    spread = gain.std(ddof=1) if n > 1 else np.nan
    tested = n > 1 and spread > ROUNDING
    p = ttest_1samp(gain, 0.0).pvalue if tested else np.nan
    return pd.Series({"n_nodes": n, "delta_f1": mean, "cohens_d": mean / spread if tested else np.nan, "p_t": p})


def only_zero_shot(results: pd.DataFrame) -> "pd.Series[bool]":
    """Runs of cohorts that were only judged with the global model as it is, on participants and targets alike."""
    tuned = (results["arm"] != "zero_shot") | results["policy"].isna()
    return ~tuned.groupby([results[name] for name in COHORT], dropna=False).transform("any")


def is_participant(results: pd.DataFrame) -> "pd.Series[bool]":
    """Runs of a global model on the nodes that trained it: those of its cohort which only ``zero_shot`` has."""
    cohort = results["policy"].notna()
    tuned = results[cohort & (results["arm"] != "zero_shot")]
    targets = pd.MultiIndex.from_frame(tuned[[*COHORT, "node"]].astype(str))
    rows = pd.MultiIndex.from_frame(results[[*COHORT, "node"]].astype(str))
    return cohort & ~rows.isin(targets)


def compare(ours: pd.DataFrame, published: pd.DataFrame, key: list[str], columns: list[str]) -> bool:
    """Print, for each column, the largest difference; True if it is small everywhere and the rows are the same."""
    ours, published = (table.set_index(_comparable(table, key))[columns].astype(float) for table in (ours, published))
    agree = True
    for name, missing in (
        ("published but not in the scores", published.index.difference(ours.index)),
        ("in the scores but not published", ours.index.difference(published.index)),
    ):
        if len(missing):
            agree = False
            print(f"{len(missing)} rows are {name}, first {dict(zip(key, missing[0], strict=True))}")
    ours, published = ours.align(published, join="inner", axis=0)
    for column in columns:
        left, right = ours[column].to_numpy(), published[column].to_numpy()
        undefined = np.isnan(left) & np.isnan(right)
        difference = np.where(undefined | (left == right), 0.0, np.abs(left - right))
        difference = np.nan_to_num(difference, nan=np.inf)  # defined on one side alone
        largest = float(difference.max(initial=0.0))
        print(f"{column:<12}{len(left):>10,}{undefined.sum():>11,}   {largest:.3g}")
        if largest > TOLERANCE:
            agree = False
            worst = int(difference.argmax())
            where = ", ".join(f"{name}={value}" for name, value in zip(key, ours.index[worst], strict=True))
            print(f"  scores say {left[worst]!r}, published is {right[worst]!r} at {where}")
    return agree


def _comparable(table: pd.DataFrame, key: list[str]) -> pd.MultiIndex:
    """The key as text, so that null, 3, 3.0 and "3" of different file formats meet."""

    def text(value: object) -> str:
        if pd.isna(value):
            return ""
        return str(value) if isinstance(value, str) else str(int(value))

    return pd.MultiIndex.from_arrays([[text(value) for value in table[name]] for name in key], names=key)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    warnings.filterwarnings("ignore", category=UndefinedMetricWarning)
    raise SystemExit(main(Path(sys.argv[1])))
