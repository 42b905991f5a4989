"""From a study's rows, one per node and seed, to means over nodes and paired differences with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.significance import compare, holm

SUMMARISED = ("f1", "precision", "recall", "fpr", "auroc", "auprc", "event_recall", "alarms_per_node_day")
COMPARED = ("f1", "fpr", "auroc", "auprc", "event_recall", "alarms_per_node_day")


def node_means(rows: pd.DataFrame, key: Sequence[str], metrics: Sequence[str] = SUMMARISED) -> pd.DataFrame:
    """Each node's mean over seeds (and draws), one row per `key` and node."""
    return rows.groupby([*key, "node"], dropna=False, sort=False)[list(metrics)].mean().reset_index()


def means(rows: pd.DataFrame, key: Sequence[str], metrics: Sequence[str] = SUMMARISED) -> pd.DataFrame:
    """Means over nodes of the nodes' means; `n_nodes` counts those where F1 is defined."""
    of_nodes = node_means(rows, key, metrics)
    grouped = of_nodes.groupby(list(key), dropna=False, sort=False)
    table = grouped[list(metrics)].mean()
    table["n_nodes"] = grouped["f1"].count()
    return table.reset_index()


def differences(
    rows: pd.DataFrame,
    key: Sequence[str],
    arm: str,
    against: object,
    racks: Mapping[str, str | None],
    metrics: Sequence[str] = COMPARED,
) -> pd.DataFrame:
    """Every arm against one of them, paired over nodes, with intervals (clustered by rack where racks are known).

    Args:
        key: What must be equal in both, such as the length of history.
        arm: The column that tells arms apart.
        against: The value of `arm` that the others are held against.

    Returns:
        One row per key, arm and metric: mean, reference, delta, ci_low, ci_high, verdict, p_wilcoxon and p_holm
        (over all rows of one metric), n_nodes.
    """
    of_nodes = node_means(rows, [*key, arm], metrics)
    found = []
    for place, here in _places(of_nodes, key):
        reference = here[here[arm] == against].set_index("node")
        for name, mine in here[here[arm] != against].groupby(arm, sort=False):
            nodes = [node for node in mine["node"] if node in reference.index]
            own, other = mine.set_index("node").loc[nodes], reference.loc[nodes]
            for metric in metrics:
                compared = compare(
                    other[metric].to_numpy(np.float64), own[metric].to_numpy(np.float64), [racks.get(n) for n in nodes]
                )
                found.append(
                    dict(zip(key, place, strict=True))
                    | {arm: name, "against": against, "metric": metric}
                    | {"mean": own[metric].mean(), "reference": other[metric].mean(), "delta": compared.delta}
                    | {"ci_low": compared.interval.low, "ci_high": compared.interval.high}
                    | {"verdict": _verdict(metric, compared.interval.verdict)}
                    | {"p_wilcoxon": compared.p_wilcoxon, "n_nodes": compared.n_nodes}
                )
    table = pd.DataFrame(found)
    if len(table):
        table["p_holm"] = table.groupby("metric")["p_wilcoxon"].transform(lambda p: holm(p.to_numpy(np.float64)))
    return table


def _places(table: pd.DataFrame, key: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The parts of a table that agree in `key`, each with what it agrees in; all of it where the key is empty."""
    if not key:
        yield (), table
        return
    for place, here in table.groupby(list(key), dropna=False, sort=False):
        yield tuple(np.atleast_1d(np.array(place, dtype=object))), here


def _verdict(metric: str, verdict: str | None) -> str | None:
    """Fewer false alarms are better."""
    if metric not in ("fpr", "alarms_per_node_day") or verdict not in ("better", "worse"):
        return verdict
    return {"better": "worse", "worse": "better"}[verdict]
