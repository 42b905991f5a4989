"""What each mechanism bought on a fleet, and what it cost, in sentences."""

import pandas as pd

from ftl.evaluation.significance import ROUNDING
from ftl.studies.drift.combination import CURVES, MECHANISMS, RECOMMENDED
from ftl.studies.drift.tables import (
    ALL_DETECTORS,
    ALONE,
    FALSE_ALARMS,
    ON_TOP,
    USABLE_FPR,
    curve_table,
    drifting_nodes,
    gate_table,
    main_rows,
    recall_at,
)

FEW = 0.25
"""Share of nodes; where the drift test fires on fewer, re-basing by it can hardly show in a mean over the fleet."""

MEASURES = {
    "auroc": ("AUROC", 3),
    "f1": ("F1", 3),
    "fpr": ("false-positive rate", 3),
    FALSE_ALARMS: ("false alarms per node-day", 2),
    "event_recall": ("event recall", 3),
}
"""Word and digits of the metrics that a verdict speaks of, in its order."""

ALWAYS_SAID = ("auroc", "f1", "event_recall")
"""Metrics of which a verdict speaks also where nothing can be told from chance."""

SPOKEN_CURVES = ("pca", "local")


def verdict_sentences(rows: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """One fleet's verdict: rows and differences of one dataset under one protocol, means over detectors."""
    table = differences[differences["detector"] == ALL_DETECTORS]
    spoken = [mechanism for mechanism in MECHANISMS if (table["mechanism"] == mechanism.name).any()]
    return [
        _of_the_test(rows),
        *(_of_mechanism(mechanism.name, mechanism.means, table) for mechanism in spoken),
        _of_all(table),
        *(_at_equal_alarms(rows, detector) for detector in SPOKEN_CURVES),
        _of_the_gate(rows),
    ]


def _of_the_test(rows: pd.DataFrame) -> str:
    fired, unknown, n_nodes = drifting_nodes(rows)
    said = f"The drift test fired on {fired} of {n_nodes} nodes"
    if unknown:
        said += f" and could not tell on {unknown}"
    if fired == 0:
        return f"{said}: re-basing drifting nodes is doing nothing."
    if fired == n_nodes:
        return f"{said}: re-basing drifting nodes is re-basing all."
    return said + (": few, so that re-basing them can change little." if fired < FEW * n_nodes else ".")


def _of_mechanism(name: str, means: str, table: pd.DataFrame) -> str:
    """What one mechanism does by itself, and what it adds to the others."""
    here = table[table["mechanism"] == name]
    parts = [f"{context}, it {_effect(here[here['context'] == context])}" for context in (ALONE, ON_TOP)]
    return f"{means[0].upper()}{means[1:]}: {'; '.join(parts)}."


def _of_all(table: pd.DataFrame) -> str:
    what = f"re-basing of {RECOMMENDED.rebase} nodes, smoothing, {RECOMMENDED.threshold} threshold"
    return f"All three ({what}) against nothing: {_effect(table[table['mechanism'] == 'recommended'])}."


def _effect(effects: pd.DataFrame) -> str:
    """``bought F1 +.05 [..] and cost event recall -.10 [..]``, or that nothing can be told from chance."""
    by_metric = effects.set_index("metric")
    verdicts = by_metric["verdict"]
    bought = [_number(by_metric, metric) for metric in MEASURES if verdicts.get(metric) == "better"]
    cost = [_number(by_metric, metric) for metric in MEASURES if verdicts.get(metric) == "worse"]
    open_ = [
        _number(by_metric, metric)
        for metric in ALWAYS_SAID
        if verdicts.get(metric) == "no difference" and abs(by_metric["delta"][metric]) > ROUNDING
    ]
    said = f"bought {', '.join(bought)}" if bought else "bought nothing that can be told from chance"
    said += f", and cost {', '.join(cost)}" if cost else ""
    return said + (f" (no difference shown in {', '.join(open_)})" if open_ else "")


def _number(by_metric: pd.DataFrame, metric: str) -> str:
    word, digits = MEASURES[metric]
    one = by_metric.loc[metric]
    return f"{word} {one['delta']:+.{digits}f} [{one['ci_low']:+.{digits}f}, {one['ci_high']:+.{digits}f}]"


def _at_equal_alarms(rows: pd.DataFrame, detector: str) -> str:
    """At as many false alarms as all three raise at the percentile of the settings: event recall of each curve."""
    curves = curve_table(rows)
    here = curves[curves["detector"] == detector]
    usual = float(main_rows(rows)["percentile"].iloc[0])
    of_all = here[(here["curve"] == "all three") & (here["percentile"] == usual)]
    if of_all.empty:
        return f"No node has anomalies that {detector} could miss: there is no curve."
    budget = float(of_all[FALSE_ALARMS].iloc[0])
    reached = {name: recall_at(here[here["curve"] == name], budget) for name in CURVES}
    said = ", ".join(f"{name} {value:.2f}" for name, value in reached.items() if value == value)
    missing = [name for name, value in reached.items() if value != value]
    limit = f"flags fewer than {USABLE_FPR:.0%} of the normal rows"
    more = f"; with {', '.join(missing)}, no percentile tried raises so few and {limit}" if missing else ""
    return (
        f"{detector} with all three raises {budget:.2f} false alarms per node-day, {700 * budget:.0f} a week for 100 "
        f"nodes. Event recall at no more than that and at most {USABLE_FPR:.0%} of normal rows flagged, each at its "
        f"best percentile: {said}{more}."
    )


def _of_the_gate(rows: pd.DataFrame) -> str:
    """The label-free test judged with labels, which it does not know itself."""
    gate = gate_table(rows)
    gate = gate[gate["detector"] == ALL_DETECTORS]
    parts = []
    for one in gate[gate["n_judged"] > 0].to_dict("records"):
        where = "it fired" if one["fired"] else "it did not fire"
        parts.append(
            f"where {where}, re-basing raised AUROC on {one['n_helped']} of {one['n_judged']} nodes (mean "
            f"{one['delta_auroc']:+.3f}, false-positive rate {one['delta_fpr']:+.3f})"
        )
    return (
        f"The test judged with labels: {'; '.join(parts)}." if parts else "No node has anomalies to judge the test by."
    )
