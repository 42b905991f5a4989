"""What ``prepare`` would make of a fleet with its default settings, asked of the very functions that prepare it.

Of every node its times, labels and missing cells are kept in a temporary folder while the fleet is read, and planned
from when all have been. No value is looked at again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.cleaning import MISSING_POLICIES
from ftl.data.fleet import TEST, TRAIN, VALIDATION
from ftl.data.inspection.words import count
from ftl.data.node_choice import FleetRules, choose, parts_of
from ftl.data.node_table import NodeTable, TelemetrySource
from ftl.data.node_workers import NodeWorkers
from ftl.data.plan import Plan, plan_fleet
from ftl.data.prepare_settings import PrepareSettings
from ftl.data.split import SplitSettings, choose_split, find_cut_time
from ftl.data.survey import NodeFiles, NodeSummary, NodeSurvey, write_survey
from ftl.errors import TelemetryError, is_disk_full

PROTOCOL = "rigorous"
REMOVED = "incomplete rows removed"  # in the reason for which a node is left out


@dataclass(frozen=True)
class Blame:
    """The column for whose sake most rows of a node would go, and its missing shares there, after filling."""

    node_id: str
    column: str
    train: float  # of the rows that train
    test: float  # of the rows that test
    remedies: tuple[str, ...] = ()  # settings that would keep more nodes, and how many


@dataclass(frozen=True)
class Outlook:
    """What would be left of a fleet."""

    settings: PrepareSettings
    refused: str = ""  # why preparing would stop
    excluded: Mapping[str, str] = field(default_factory=dict)  # node -> why it would be left out
    n_kept: int = 0  # nodes
    dropped: Mapping[str, str] = field(default_factory=dict)  # column -> why it would be given up
    costs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # per policy for missing values
    cut_time: int | None = None  # last time of the training period, of a chronological split
    blame: Blame | None = None


class Rehearsal:
    """Takes down what planning needs of every table, and plans.

    Args:
        source: Where the tables come from.
        folder: An empty one for temporary files: some ten bytes per row.
    """

    def __init__(self, source: TelemetrySource, folder: Path) -> None:
        self.files = NodeFiles(source, folder, 0)
        self.window = source.window_seconds() if source.time_unit == "seconds" else None
        self.survey: list[NodeSummary] = []
        self.has_room = True
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._cut: int | None = None

    def take_down(self, table: NodeTable) -> None:
        """Keep what planning needs of a node; without room on the disk, of no node."""
        if not self.has_room:
            return
        number, survey = len(self.survey), NodeSurvey.of(table)
        try:
            write_survey(survey, self.files.path(number, "survey.npz"))
        except OSError as error:
            if not is_disk_full(error):
                raise
            self.has_room = False
            return
        self.survey.append(
            NodeSummary(
                number=number,
                node_id=table.node_id,
                n_rows=len(table.time),
                features=self._names.setdefault(table.features, table.features),
                reports=~survey.missing.empty_columns(),
                has_split=table.split is not None,
                usual_step=float(np.median(np.diff(table.time))) if len(table.time) > 1 else None,
                treatments={},
            )
        )

    def outlook(self, progress: Callable[[int, int, str], None] | None = None) -> Outlook | None:
        """What prepare would do by default; None without nodes, or where there was no room to take them down."""
        if not self.has_room or not self.survey:
            return None
        settings = PrepareSettings()
        plan = self._plan(settings, progress)
        if isinstance(plan, str):
            hurt = self._first_loser(settings) if REMOVED in plan else None
            return Outlook(settings, refused=plan, blame=self._blame(settings, hurt))
        hurt = next((node_id for node_id, why in plan.excluded.items() if REMOVED in why), None)
        return Outlook(
            settings,
            excluded=plan.excluded,
            n_kept=len(plan.nodes),
            dropped=plan.dropped,
            costs=plan.costs["missing"],
            cut_time=plan.cut_time,
            blame=self._blame(settings, hurt, len(plan.nodes)),
        )

    def _plan(self, settings: PrepareSettings, progress: Callable[[int, int, str], None] | None = None) -> Plan | str:
        """The plan, or why there is none."""
        try:
            with NodeWorkers(self.files, progress) as workers:
                return plan_fleet(workers, self.survey, settings, PROTOCOL, self.window)
        except TelemetryError as error:
            return str(error)

    def _rules(self, settings: PrepareSettings, node: NodeSummary) -> FleetRules:
        """The rules of a fleet that keeps all columns of this node."""
        usable = self._usable(settings)
        split = choose_split(settings.split, PROTOCOL, [each.has_split for each in usable])
        if split == "chronological" and self._cut is None:
            self._cut = find_cut_time(self.files.times(each.number for each in usable), settings.test_fraction)
        steps = [each.usual_step for each in usable if each.usual_step is not None]
        return FleetRules(
            split=split,
            how=SplitSettings(
                settings.test_fraction, settings.validation_fraction, settings.gap, cut_time=self._cut or 0
            ),
            alignment=settings.alignment,
            missing=settings.missing,
            window=self.window or float(np.median(steps or [1.0])),
            fill_limit=settings.fill_limit,
            min_train_rows=settings.min_train_rows,
            features=tuple(node.present()),
        )

    def _usable(self, settings: PrepareSettings) -> list[NodeSummary]:
        return [node for node in self.survey if node.n_rows >= settings.min_train_rows and node.reports.any()]

    def _first_loser(self, settings: PrepareSettings) -> str | None:
        """The first node that would lose rows to missing values; None where none would."""
        with suppress(TelemetryError):
            for node in self._usable(settings):
                if not choose(self.files.survey(node.number), self._rules(settings, node)).keep.all():
                    return node.node_id
        return None

    def _blame(self, settings: PrepareSettings, node_id: str | None, n_kept: int = 0) -> Blame | None:
        """The column that costs this node most, and the settings with which more than `n_kept` nodes would be left."""
        if node_id is None:
            return None
        node = next(each for each in self.survey if each.node_id == node_id)
        rules = self._rules(settings, node)
        survey = self.files.survey(node.number)
        choice = choose(survey, rules)
        left = choice.gaps.after(choice.filled)
        part = parts_of(survey.rows, rules, np.ones(len(survey.label), bool))
        parts = (np.isin(part, (TRAIN, VALIDATION)), part == TEST)
        train, test = (_shares(left.missing, left.rows, among) for among in parts)
        worst = int(np.argmax(np.where(train > settings.max_missing, -1.0, np.maximum(train, test))))
        trials: list[tuple[str, Any]] = [("missing", name) for name in MISSING_POLICIES if name != settings.missing]
        if (lower := math.ceil(100 * train[worst]) / 100 - 0.01) > 0:
            trials.insert(0, ("max_missing", round(lower, 2)))
        plans = {f"prepare.{key}={value}": self._plan(replace(settings, **{key: value})) for key, value in trials}
        kept = {setting: len(plan.nodes) for setting, plan in plans.items() if not isinstance(plan, str)}
        better = tuple(f"-S {setting} keeps {count(n, 'node')}" for setting, n in kept.items() if n > n_kept)
        return Blame(node_id, rules.features[worst], float(train[worst]), float(test[worst]), better)


def _shares(missing: np.ndarray, rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Share of some rows in which each column is missing, shape (F,); the masks are of the incomplete rows only."""
    return np.asarray(missing[among[rows]].sum(axis=0) / max(int(among.sum()), 1))
