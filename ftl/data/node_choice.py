"""What the rules of a fleet make of one node: its rows, their parts, and what is put in the place of missing values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ftl.data.alignment import columns_of
from ftl.data.cleaning import MISSING_POLICIES, NOT_FILLED, Fill, Gaps, MissingPolicy
from ftl.data.fleet import TEST, TRAIN, VALIDATION
from ftl.data.indicators import count_together
from ftl.data.node_table import ANOMALOUS
from ftl.data.split import SPLITS, NodeRows, SplitSettings
from ftl.data.survey import NodeFiles, NodeSurvey


@dataclass(frozen=True)
class FleetRules:
    """What decides about any node's rows and columns; the same for all nodes, and small."""

    split: str
    how: SplitSettings
    alignment: str
    missing: str
    window: float  # length of a window, in units of time
    fill_limit: int  # windows over which forward_fill carries a value
    min_train_rows: int
    features: tuple[str, ...] = ()  # that a table may hold, under the fleet's names
    indicators: tuple[tuple[str, tuple[int, ...]], ...] = ()  # and what follows them: name, features it looks at
    counters: tuple[int, ...] = ()  # features of which the increase is kept

    @property
    def reach(self) -> float:
        """How long forward_fill carries a value, in units of time."""
        return self.fill_limit * self.window

    @property
    def all_features(self) -> tuple[str, ...]:
        return (*self.features, *(name for name, _ in self.indicators))

    @property
    def policy(self) -> MissingPolicy:
        return MISSING_POLICIES[self.missing]


@dataclass(frozen=True)
class NodeChoice:
    """What the rules make of one node."""

    columns: list[int | None]  # (F,) where its table holds each feature
    gaps: Gaps
    filled: np.ndarray  # (I, F) int32, see cleaning.Fill
    keep: np.ndarray  # (T,) bool
    part: np.ndarray  # (kept rows,) int8


@dataclass(frozen=True)
class NodeVerdict:
    """What the rules would leave of a node."""

    reason: str | None  # why it cannot be used
    n_rows: int
    anomaly_before_test: bool
    anomaly_in_test: bool
    spoiled_by: str | None = None  # the column that most of the removed rows lack, where these are the reason


def choose(survey: NodeSurvey, rules: FleetRules) -> NodeChoice:
    """Apply the rules to a node."""
    columns = columns_of(rules.alignment, survey.features, ~survey.missing.empty_columns(), rules.features)
    gaps = survey.missing.gaps(columns)
    filled = rules.policy.fill(gaps, survey.rows.time, rules.reach)
    keep = gaps.after(filled).complete_rows()
    return NodeChoice(columns, gaps, filled, keep, parts_of(survey.rows, rules, keep))


def parts_of(rows: NodeRows, rules: FleetRules, keep: np.ndarray) -> np.ndarray:
    """The parts of the rows that are kept, shape (kept rows,) int8."""
    published = None if rows.published is None else rows.published[keep]
    return SPLITS[rules.split](NodeRows(rows.node_id, rows.time[keep], published), rules.how)


def split_node(files: NodeFiles, number: int, rules: FleetRules) -> str | None:
    """Why a node's rows, all of them, are too few for a part; None where they are not."""
    survey = files.survey(number)
    part = parts_of(survey.rows, rules, np.ones(len(survey.label), bool))
    return _too_little(part, survey.label, rules.min_train_rows)


def count_missing(files: NodeFiles, number: int, rules: FleetRules) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """For every policy: the training rows that still miss each feature after filling, those counted, and all, (F,)."""
    survey = files.survey(number)
    part = parts_of(survey.rows, rules, np.ones(len(survey.label), bool))
    training = np.isin(part, (TRAIN, VALIDATION))
    columns = columns_of(rules.alignment, survey.features, ~survey.missing.empty_columns(), rules.features)
    gaps = survey.missing.gaps(columns)
    counts: dict[Fill, tuple[np.ndarray, np.ndarray]] = {}
    found = {}
    for name, policy in MISSING_POLICIES.items():
        if policy.fill not in counts:
            counts[policy.fill] = gaps.after(policy.fill(gaps, survey.rows.time, rules.reach)).count(training)
        found[name] = (*counts[policy.fill], int(training.sum()))
    return found


def missing_together(files: NodeFiles, number: int, rules: FleetRules) -> np.ndarray:
    """In how many of a node's training rows two metrics are both missing, shape (M, M)."""
    survey = files.survey(number)
    part = parts_of(survey.rows, rules, np.ones(len(survey.label), bool))
    columns = columns_of(rules.alignment, survey.features, ~survey.missing.empty_columns(), rules.features)
    return count_together(survey.missing.gaps(columns), np.isin(part, (TRAIN, VALIDATION)), rules.features)


def judge_node(
    files: NodeFiles, number: int, rules: FleetRules, policies: dict[str, tuple[str, ...]]
) -> tuple[NodeVerdict, dict[str, dict[str, int]]]:
    """What is left of a node under the chosen rules, and what each policy of missing values would cost it.

    Args:
        files: Of all nodes.
        number: The node's.
        rules: The chosen ones.
        policies: Per policy, the features that it keeps.
    """
    survey = files.survey(number)
    costs = {}
    for name, features in policies.items():
        choice = choose(survey, replace(rules, missing=name, features=features, indicators=()))
        costs[name] = {
            "rows": len(choice.keep),
            "anomalous_rows": int((survey.label == ANOMALOUS).sum()),
            "rows_removed": int((~choice.keep).sum()),
            "anomalous_rows_removed": int((survey.label[~choice.keep] == ANOMALOUS).sum()),
            "cells_filled": filled_cells(choice),
            "nodes_lost": int(_too_little(choice.part, survey.label[choice.keep], rules.min_train_rows) is not None),
        }
        if name == rules.missing:
            chosen = choice
    label, part = survey.label[chosen.keep], chosen.part
    reason = _too_little(part, label, rules.min_train_rows)
    spoiled_by = None
    if reason and costs[rules.missing]["rows_removed"]:
        lacking = chosen.gaps.after(chosen.filled).missing.sum(axis=0)
        spoiled_by = rules.features[int(lacking.argmax())]
        reason += (
            f", {costs[rules.missing]['rows_removed']} incomplete rows removed "
            f"({int(lacking.max())} of them lack {spoiled_by!r})"
        )
    anomalous = label == ANOMALOUS
    before = bool(anomalous[np.isin(part, (TRAIN, VALIDATION))].any())
    return NodeVerdict(reason, len(part), before, bool(anomalous[part == TEST].any()), spoiled_by), costs


def filled_cells(choice: NodeChoice) -> int:
    """Cells of the kept rows that hold a value which was not measured."""
    kept = choice.keep[choice.gaps.rows]
    return int((choice.gaps.missing & (choice.filled != NOT_FILLED))[kept].sum())


def _too_little(part: np.ndarray, label: np.ndarray, min_train_rows: int) -> str | None:
    train = part == TRAIN
    n_train, n_test = int(train.sum()), int((part == TEST).sum())
    if n_train < min_train_rows:
        return f"only {n_train} train rows, {min_train_rows} needed (prepare.min_train_rows)"
    if not n_test:
        return "no test rows"
    if (label[train] == ANOMALOUS).all():
        return f"all {n_train} train rows are labelled anomalous; nothing normal to learn from"
    return None
