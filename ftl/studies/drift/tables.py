"""From the drift study's rows to means per combination, effects of each mechanism, curves, and the gate's quality."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ftl.evaluation.significance import ROUNDING, holm
from ftl.studies.drift.combination import (
    CURVES,
    MECHANISMS,
    NOTHING,
    RECOMMENDED,
    Combination,
    Mechanism,
)
from ftl.studies.tables import COMPARED, SUMMARISED, differences, means

Racks = Mapping[str, Mapping[str, str | None]]

FALSE_ALARMS = "false_alarms_per_node_day"
SHOWN_METRICS = (*SUMMARISED, FALSE_ALARMS)
EFFECTS = (*COMPARED, FALSE_ALARMS)
SCOPE = ("dataset", "protocol")
SWITCHES = ("rebase", "smoothed", "threshold")
ALL_DETECTORS = "all"
"""Each node's mean over the detectors."""

USABLE_FPR = 0.1

ALONE, ON_TOP = "alone", "on top of the others"


def main_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows at the percentile of the settings."""
    return rows[~rows["swept"].astype(bool)]


def summary_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over nodes per detector and combination; `n_nodes` counts those where F1 is defined."""
    return means(main_rows(rows), (*SCOPE, "detector", *SWITCHES), SHOWN_METRICS)


def at(rows: pd.DataFrame, combination: Combination) -> pd.DataFrame:
    """The rows of one combination."""
    same = [rows[name] == value for name, value in vars(combination).items()]
    return rows[np.logical_and.reduce(same)]


def all_differences(rows: pd.DataFrame, racks: Racks, over_detectors_alone: bool = False) -> pd.DataFrame:
    """Every mechanism switched on against off with everything else equal, and all three against nothing.

    Paired over nodes, intervals clustered by rack where racks are known; `mechanism` and `context` say what is switched
    on, and whether everything else is off (`alone`), or all else that is recommended on (`on top of the others`), or
    anything between (the column is empty). The detector `all` is each node's mean over the detectors.

    Args:
        over_detectors_alone: Leave out the single detectors.
    """
    rows = main_rows(rows)
    over = _over_detectors(rows)
    rows = over if over_detectors_alone else pd.concat([rows, over], ignore_index=True)
    found = []
    for (dataset, _), here in rows.groupby(list(SCOPE), sort=False):
        known = racks.get(str(dataset), {})
        for mechanism in MECHANISMS:
            found += list(_effects(here, mechanism, known))
        recommended = _pair(here, RECOMMENDED, NOTHING, known)
        found.append(recommended.assign(mechanism="recommended", context=None))
    table = pd.concat(found, ignore_index=True)
    table["verdict"] = [
        _fewer_is_better(low, high) if metric == FALSE_ALARMS else verdict
        for metric, low, high, verdict in zip(
            table["metric"], table["ci_low"], table["ci_high"], table["verdict"], strict=True
        )
    ]
    table["p_holm"] = table.groupby([*SCOPE, "metric"])["p_wilcoxon"].transform(lambda p: holm(p.to_numpy(np.float64)))
    return table


def curve_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Event recall against false alarms per node-day as the percentile is varied: means over nodes with anomalies.

    `false_alarms_per_week_of_100_nodes` is the same number as an operator meets it: 700 node-days.
    """
    parts = []
    for name, combination in CURVES.items():
        here = at(rows, combination)
        here = here[here["event_recall"].notna()]
        table = means(here, (*SCOPE, "detector", "percentile"), ("event_recall", FALSE_ALARMS, "fpr", "f1"))
        parts.append(table.assign(curve=name))
    table = pd.concat(parts, ignore_index=True).sort_values(
        ["dataset", "protocol", "detector", "curve", "percentile"], kind="stable", ignore_index=True
    )
    table["false_alarms_per_week_of_100_nodes"] = 700.0 * table[FALSE_ALARMS]
    return table


def recall_at(curve: pd.DataFrame, budget: float) -> float:
    """The event recall that a curve reaches with at most so many false alarms per node-day; NaN where it never does.

    Points at which more than :data:`USABLE_FPR` of the normal rows are flagged do not count: an alarm that never ends
    is a single one, and meets every event.
    """
    within = curve[(curve[FALSE_ALARMS] <= budget) & (curve["fpr"] <= USABLE_FPR)]
    return float(within["event_recall"].max()) if len(within) else float("nan")


def gate_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The label-free test judged with labels: did re-basing help the nodes whose test fired, and hurt the others?

    One row per detector (and `all`) and outcome of the test: nodes, of which re-basing raised AUROC, and the means of
    its effect on AUROC, false-positive rate and event recall, nothing else being switched on.
    """
    rows = main_rows(rows)
    rows = pd.concat([rows, _over_detectors(rows)], ignore_index=True)
    effects = ["auroc", "fpr", "event_recall"]
    key = [*SCOPE, "detector", "node"]
    parts = {}
    for rebase in ("none", "all"):
        parts[rebase] = at(rows, Combination(rebase=rebase)).groupby(key, sort=False)[[*effects, "drifts"]].mean()
    change = parts["all"][effects] - parts["none"][effects]
    change = change.assign(fired=parts["none"]["drifts"] > 0.5, helped=change["auroc"] > 0).reset_index()
    change = change.sort_values("fired", ascending=False, kind="stable")
    grouped = change.groupby([*SCOPE, "detector", "fired"], sort=False)
    table = grouped.agg(
        n_nodes=("node", "size"),
        n_judged=("auroc", "count"),
        n_helped=("helped", "sum"),
        delta_auroc=("auroc", "mean"),
        delta_fpr=("fpr", "mean"),
        delta_event_recall=("event_recall", "mean"),
    )
    return table.reset_index()


def drifting_nodes(rows: pd.DataFrame) -> tuple[int, int, int]:
    """How many nodes' tests fired, how many could not be told, and how many nodes there are."""
    of_nodes = rows.groupby("node").agg(share=("drift_share", "mean"), drifts=("drifts", "max"))
    return int(of_nodes["drifts"].sum()), int(of_nodes["share"].isna().sum()), len(of_nodes)


def _fewer_is_better(low: float, high: float) -> str | None:
    if np.isnan(low):
        return None
    return "worse" if low > ROUNDING else "better" if high < -ROUNDING else "no difference"


def _over_detectors(rows: pd.DataFrame) -> pd.DataFrame:
    key = [*SCOPE, "seed", "node", *SWITCHES]
    mean = rows.groupby(key, sort=False)[[*SHOWN_METRICS, "drift_share", "drifts"]].mean().reset_index()
    return mean.assign(detector=ALL_DETECTORS)


def _effects(rows: pd.DataFrame, mechanism: Mechanism, racks: Mapping[str, str | None]) -> Iterator[pd.DataFrame]:
    """One mechanism on against off, at every setting of everything else."""
    others = [name for name in SWITCHES if name != mechanism.field]
    two = rows[rows[mechanism.field].isin([mechanism.off, mechanism.on])]
    key = (*SCOPE, "detector", *others)
    table = differences(two, key, mechanism.field, mechanism.off, racks, EFFECTS)
    context = np.full(len(table), None, dtype=object)
    for word, base in ((ON_TOP, RECOMMENDED), (ALONE, NOTHING)):
        same = np.logical_and.reduce([table[name] == getattr(base, name) for name in others])
        context[same] = word
    yield table.drop(columns="p_holm").assign(mechanism=mechanism.name, context=context)


def _pair(rows: pd.DataFrame, on: Combination, off: Combination, racks: Mapping[str, str | None]) -> pd.DataFrame:
    both = pd.concat([at(rows, off).assign(state="off"), at(rows, on).assign(state="on")])
    table = differences(both, (*SCOPE, "detector"), "state", "off", racks, EFFECTS)
    return table.drop(columns="p_holm").assign(**vars(on))
