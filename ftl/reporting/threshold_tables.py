"""Which threshold rule was used, what it came to on the nodes, and the alarms that followed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ftl.detection.thresholds import PROTOCOL_THRESHOLDS
from ftl.evaluation.comparison import target_runs
from ftl.reporting.blocks import ReportTable
from ftl.reporting.formats import column, number, share, whole
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import ARMS, PARADIGMS, caption, ordered

_SETTINGS = {
    "percentile": "percentile",
    "fleet_percentile": "percentile",
    "fixed": "fixed_threshold",
    "fixed_on_scaled": "fixed_threshold",
    "conformal": "conformal_alpha",
    "pot": "pot_risk",
    "alarm_budget": "alarms_per_node_day",
    "federated_summary": "summary_spread",
}


def rule_of(detection: Mapping[str, Any], protocol: str, paradigm: str) -> str:
    """The rule's name, with the number that it takes where that is one setting: ``percentile (98)``."""
    name = str(detection.get("threshold", "unknown"))
    if name == "protocol":
        name = PROTOCOL_THRESHOLDS.get(protocol, {}).get(paradigm, name)
    setting = _SETTINGS.get(name)
    value = detection.get(setting or name)
    return f"{name} ({value:g})" if isinstance(value, int | float) and not isinstance(value, bool) else name


def threshold_tables(run: RunTables) -> list[ReportTable]:
    """One table per dataset: rule, threshold over nodes and alarms of every arm and baseline."""
    detection = run.params.get("detection", {})
    runs = target_runs(run.results)
    runs["fpr"] = 1 - runs["tnr"]
    runs["is_silent"] = runs["tp"] + runs["fp"] == 0
    key = ["dataset", "protocol", "paradigm", "arm"]
    groups = runs.groupby(key, sort=True)
    quantiles = groups["threshold"].quantile(np.array([0.0, 0.1, 0.5, 0.9, 1.0])).unstack()
    quantiles.columns = pd.Index(["lowest", "p10", "median", "p90", "highest"])
    means = groups.agg(
        n_nodes=("node", "nunique"), n_models=("node", "size"), fpr=("fpr", "mean"),
        alarms_per_node_day=("alarms_per_node_day", "mean"), share_silent=("is_silent", "mean"),
    )  # fmt: skip
    numbers = means.join(quantiles).reset_index()
    tables = []
    for dataset, protocol in run.scopes:
        here = numbers[(numbers["dataset"] == dataset) & (numbers["protocol"] == protocol)]
        for paradigm in ordered(here["paradigm"], PARADIGMS):
            part = here[here["paradigm"] == paradigm]
            order = part["arm"].map(ordered(part["arm"], ARMS).index).sort_values(kind="stable").index
            part = part.loc[order].reset_index(drop=True)
            rule = rule_of(detection, protocol, paradigm)
            part.insert(4, "rule", rule)
            tables.append(
                ReportTable(
                    "thresholds",
                    caption(run, f"Thresholds, rule {rule}", dataset, protocol, paradigm),
                    _shown(part),
                    part,
                )
            )
    return tables


def _shown(part: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame({"Arm": part["arm"]})
    shown["Models"] = column(part, "n_models", whole)
    for heading, name in {
        "Lowest": "lowest", "10 %": "p10", "Median": "median", "90 %": "p90", "Highest": "highest"
    }.items():  # fmt: skip
        shown[heading] = [f"{value:.4g}" for value in part[name]]
    shown["FPR"] = column(part, "fpr", lambda v: number(v, 4))
    shown["Alarms per node-day"] = column(part, "alarms_per_node_day", number)
    shown["Models without any alarm"] = column(part, "share_silent", share)
    return shown
