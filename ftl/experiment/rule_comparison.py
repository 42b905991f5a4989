"""Rules of alarms side by side: what each makes of the same stored scores, without writing results of each.

All of it is measured on the test part, with its labels: good for seeing what a rule does to a fleet, not for choosing
the rule whose F1 is then reported.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ftl.config import build
from ftl.data.fleet import Fleet, read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import NEEDS_FLEET
from ftl.errors import UserError
from ftl.evaluation.comparison import node_means, target_runs
from ftl.evaluation.results import CELL_COLUMNS
from ftl.evaluation.summary import read_summary
from ftl.experiment.evaluate import key_of
from ftl.experiment.fleet_reports import heard, speaks
from ftl.experiment.results_folder import SUMMARY_FILE, FleetFolders, read_results_folder, read_scored_folder
from ftl.experiment.rethreshold import with_other_rules
from ftl.experiment.scored import ScoredNode, read_scored
from ftl.experiment.threshold_trials import ALARM_METRICS, TrialNode, trial, trial_nodes
from ftl.experiment.units import unit_folders

COMPARED_ARMS = ("local", "local_long", "transfer")

Progress = Callable[[int, int, str], None]  # done, total, what


class RuleComparison(NamedTuple):
    """What rules came to.

    Attributes:
        table: One row per cell and rule: the cell's key, rule, n_nodes (those with F1) and ALARM_METRICS, means over
            nodes as in the summary.
        refused: Rules that cannot be used on these results, and why.
    """

    table: pd.DataFrame
    refused: dict[str, str]


def headline_cells(summary: pd.DataFrame) -> pd.DataFrame:
    """Rows of local, local_long and transfer, the last with one cohort per dataset: top_n, middle N (lower of two)."""
    chosen = [cell for arm in COMPARED_ARMS[:2] for cell in summary.index[summary["arm"] == arm]]
    for _, cells in summary[summary["arm"] == COMPARED_ARMS[2]].groupby(["dataset", "protocol"], sort=True):
        top = cells[cells["policy"] == ("top_n" if "top_n" in set(cells["policy"]) else cells["policy"].iloc[0])]
        sizes = sorted(set(top["n_participants"]))
        chosen += list(top.index[top["n_participants"] == sizes[(len(sizes) - 1) // 2]])
    return summary.loc[sorted(chosen)]


def summary_of(folder: Path) -> pd.DataFrame:
    """The summary of a results folder.

    Raises:
        UserError: If it is no results folder, or the summary is missing or damaged.
    """
    read_results_folder(folder)
    try:
        return read_summary(folder / SUMMARY_FILE)
    except OSError as error:
        raise UserError(
            f"{folder / SUMMARY_FILE}: cannot be read: {error.strerror}; evaluate the results again"
        ) from error
    except (ValueError, KeyError) as error:
        raise UserError(f"{folder / SUMMARY_FILE}: damaged ({error!r}); evaluate the results again") from error


def rule_rows(summary: pd.DataFrame, rule: str) -> pd.DataFrame:
    """The headline cells of a summary, as rows of a comparison."""
    cells = headline_cells(summary)
    values = {name: cells[f"{name}_after"].to_numpy() for name in ALARM_METRICS}
    return cells[[*CELL_COLUMNS, "n_nodes"]].assign(rule=rule, **values).reset_index(drop=True)


def compare_rules(
    folder: Path, rules: Mapping[str, Mapping[str, Any]], progress: Progress | None = None
) -> RuleComparison:
    """Judge the stored scores of the headline cells by several rules.

    Args:
        folder: A results folder.
        rules: Name of the rule -> changes to the section `detection` of the results.
        progress: Called with every unit of scores.

    Raises:
        ConfigError: If a change is wrong, or needs training.
        UserError: If there are no results, their scores are gone, or no rule can be used.
    """
    datasets, params = read_scored_folder(folder)
    settings = {
        name: build(DetectionSettings, with_other_rules(params, changes)["detection"], "detection.")
        for name, changes in rules.items()
    }
    cells = headline_cells(summary_of(folder))
    wanted = set(cells[["dataset", "paradigm", "arm", "policy", "n_participants"]].itertuples(index=False, name=None))
    units = [(name, read_fleet(folders.fleet), unit) for name, folders in datasets.items() for unit in _units(folders)]
    rows: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    for done, (dataset, fleet, unit) in enumerate(units):
        scored = [node for node in read_scored(unit) if _cell_of(dataset, node) in wanted]
        others = _others(unit, scored) if any(rule.threshold in NEEDS_FLEET for rule in settings.values()) else []
        ready: dict[float, list[TrialNode]] = {}
        for rule, detection in settings.items():
            if rule in refused:
                continue
            half_life = detection.smoothing_half_life
            if half_life not in ready:
                ready[half_life] = trial_nodes(fleet, (*scored, *others), half_life)
            tried, speakers = ready[half_life][: len(scored)], ready[half_life][len(scored) :]
            try:
                rows += _rows(fleet, tried, speakers, rule, detection)
            except UserError as error:
                refused[rule] = str(error)
        if progress is not None:
            progress(done + 1, len(units), "scores")
    if len(refused) == len(settings):
        raise UserError(next(iter(refused.values())))
    return RuleComparison(_means([row for row in rows if row["rule"] not in refused], list(settings)), refused)


def _units(folders: FleetFolders) -> Iterator[Path]:
    for stage in ("local", "transfer"):
        yield from unit_folders(folders.stages[stage])


def _cell_of(dataset: str, node: ScoredNode) -> tuple[Any, ...]:
    n_participants = pd.NA if node.n_participants is None else node.n_participants
    return (dataset, node.paradigm, node.arm, node.policy, n_participants)


def _others(unit: Path, scored: list[ScoredNode]) -> list[ScoredNode]:
    """Nodes that are not compared, but heard by those that are: the participants of their cohorts."""
    listened_to = heard(scored)
    of_runs = {node.run for node in scored}
    return [node for node in read_scored(unit) if node.run not in of_runs and speaks(node, listened_to)]


def _rows(
    fleet: Fleet, nodes: list[TrialNode], speakers: list[TrialNode], rule: str, detection: DetectionSettings
) -> Iterator[dict[str, Any]]:
    for node, threshold in trial(nodes, detection, fleet.protocol, speakers):
        yield {
            **key_of(fleet, node.scored),
            "rule": rule,
            **node.metrics(threshold),
        }


def _means(rows: list[dict[str, Any]], order: list[str]) -> pd.DataFrame:
    """Mean over draws and seeds of a node, then over the nodes where it is defined; rules in the order asked for."""
    cell = [*CELL_COLUMNS, "rule"]
    frame = pd.DataFrame(rows).astype({"n_participants": "Int64", "draw": "Int64", "role": object, "policy": object})
    nodes = node_means(target_runs(frame), cell, ALARM_METRICS)
    means = nodes.groupby(cell, dropna=False, sort=True).agg(
        n_nodes=("f1", lambda f1: int(np.count_nonzero(~np.isnan(f1)))),
        **{name: (name, "mean") for name in ALARM_METRICS},
    )
    table = means.reset_index()
    table["_rule"] = table["rule"].map({rule: number for number, rule in enumerate(order)})
    by_cell = table.sort_values([*CELL_COLUMNS, "_rule"], na_position="first", kind="stable", ignore_index=True)
    return by_cell.drop(columns="_rule")
