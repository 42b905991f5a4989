"""One node's rows on their way into the fleet: picked and filled, measured for the scaling, scaled and written."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.cleaning import ZERO
from ftl.data.counters import count_steps, increases
from ftl.data.drift import node_drift
from ftl.data.fleet import TEST, TRAIN
from ftl.data.indicators import indicator_values
from ftl.data.node_choice import FleetRules, NodeChoice, choose, filled_cells
from ftl.data.node_table import ANOMALOUS, UNKNOWN
from ftl.data.prepare_report import PART_NAMES
from ftl.data.rebasing import Rebasing
from ftl.data.row_files import RowFiles
from ftl.data.scaling import NodeRange, Scaling, measure_range, signed_log1p
from ftl.data.split import lent_rows
from ftl.data.survey import NodeFiles, NodeSurvey, write_whole

ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Place:
    """Where a node's rows go, and what the whole fleet says about them."""

    fleet: Path
    first_row: int
    scaling: Scaling  # of this node alone, K = 1
    lend_fraction: float | None  # None where no labels are lent
    rebasing: Rebasing | None = None  # None where the node is not re-based
    rebase_window: float | None = None  # of the fleet, in units of time; None where it is not known


def count_steps_of(files: NodeFiles, number: int, rules: FleetRules) -> tuple[np.ndarray, np.ndarray]:
    """How often each of a node's features rises and falls on its train rows, counted once and kept."""
    path = files.path(number, "steps.npz")
    if not path.exists():
        survey = files.survey(number)
        choice = choose(survey, rules)
        x = raw_rows(survey, choice, rules, files.values(number, survey.node_id, len(survey.label)))
        ups, downs = count_steps(x[choice.part == TRAIN])
        write_whole(path, {"ups": ups, "downs": downs})
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["ups"], arrays["downs"]


def measure_node(files: NodeFiles, number: int, rules: FleetRules, scaler: str) -> NodeRange:
    """The ranges of a node's train rows, measured once and kept."""
    path = files.path(number, "range.npz")
    if not path.exists():
        survey = files.survey(number)
        choice = choose(survey, rules)
        imputed = np.array([column is None for column in choice.columns] + [False] * len(rules.indicators))
        x = raw_rows(survey, choice, rules, files.values(number, survey.node_id, len(survey.label)))
        write_whole(path, asdict(measure_range(x, np.flatnonzero(choice.part == TRAIN), imputed, scaler)))
    with np.load(path, allow_pickle=False) as arrays:
        return NodeRange(**arrays)


def drift_of_node(
    files: NodeFiles, number: int, rules: FleetRules, signed_log: np.ndarray, window: float | None
) -> float:
    """The drift share of a node's train rows, as they are before any re-basing, tested once and kept."""
    path = files.path(number, "drift.npz")
    if not path.exists():
        survey = files.survey(number)
        choice = choose(survey, rules)
        x = raw_rows(survey, choice, rules, files.values(number, survey.node_id, len(survey.label)))
        write_whole(path, {"share": np.array(_drift(x, survey, choice, rules, signed_log, window))})
    with np.load(path, allow_pickle=False) as arrays:
        return float(arrays["share"])


def measure_rebased_node(
    files: NodeFiles, number: int, rules: FleetRules, scaler: str, signed_log: np.ndarray, rebasing: Rebasing
) -> NodeRange:
    """The ranges of a node's re-based train rows after the transform that the fleet chose, measured once and kept.

    What precedes a train row in time has its part in them, whatever part it belongs to.
    """
    path = files.path(number, "rebased_range.npz")
    if not path.exists():
        survey = files.survey(number)
        choice = choose(survey, rules)
        imputed = np.array([column is None for column in choice.columns] + [False] * len(rules.indicators))
        x = raw_rows(survey, choice, rules, files.values(number, survey.node_id, len(survey.label)))
        x[:, signed_log] = signed_log1p(x[:, signed_log])
        x = rebasing(x, survey.rows.time[choice.keep])
        measured = measure_range(x, np.flatnonzero(choice.part == TRAIN), imputed, scaler)
        write_whole(path, asdict(replace(measured, log_low=measured.low, log_high=measured.high)))
    with np.load(path, allow_pickle=False) as arrays:
        return NodeRange(**arrays)


def write_node(files: NodeFiles, number: int, rules: FleetRules, place: Place) -> dict[str, Any]:
    """Write a node's scaled rows into the fleet, once, and give its values' room back; returns its report."""
    path = files.path(number, "report.json")
    if not path.exists():
        survey = files.survey(number)
        choice = choose(survey, rules)
        x = raw_rows(survey, choice, rules, files.values(number, survey.node_id, len(survey.label)))
        share = _drift(x, survey, choice, rules, place.scaling.signed_log, place.rebase_window)
        written = _scale_and_write(x, survey.rows.time[choice.keep], choice.part, place)
        report = _report(survey, choice, rules, written)
        report |= {"drift_share": None if np.isnan(share) else share, "rebased": place.rebasing is not None}
        rows = RowFiles(place.fleet)
        rows.write("label", place.first_row, survey.label[choice.keep])
        rows.write("time", place.first_row, survey.rows.time[choice.keep])
        rows.write("part", place.first_row, choice.part)
        lent = np.zeros(len(x), bool) if place.lend_fraction is None else lent_rows(choice.part, place.lend_fraction)
        rows.write("lent", place.first_row, lent)
        half = path.with_name(path.name + ".half")
        half.write_text(json.dumps({**report, "lent_rows": int(lent.sum())}), encoding="utf-8")
        os.replace(half, path)
    files.path(number, "values.npy").unlink(missing_ok=True)
    report = json.loads(path.read_text(encoding="utf-8"))
    return dict(report)


def raw_rows(survey: NodeSurvey, choice: NodeChoice, rules: FleetRules, values: np.ndarray) -> np.ndarray:
    """The rows that are kept, with the fleet's features in the units of the source, shape (kept rows, F) float32.

    Of a counter it is the increase per window.
    A feature that the node's table lacks is 0 in every row; scaling mutes it.
    """
    x = np.zeros((int(choice.keep.sum()), len(rules.all_features)), np.float32)
    held = choice.gaps.held
    into = slice(len(held)) if held.all() else np.flatnonzero(held)
    columns = np.array([column for column in choice.columns if column is not None], np.int64)
    kept = np.flatnonzero(choice.keep)
    for first in range(0, len(kept), ROWS_AT_ONCE):
        rows = kept[first : first + ROWS_AT_ONCE]
        span = values[rows[0] : rows[-1] + 1]
        picked = span if len(span) == len(rows) else span[rows - rows[0]]
        x[first : first + len(rows), into] = np.take(picked, columns, axis=1)
    _fill(x, choice, values)
    _take_increases(x, survey, choice, rules)
    for number, (_, looks_at) in enumerate(rules.indicators, start=len(rules.features)):
        x[:, number] = indicator_values(choice.gaps, looks_at)[kept]
    return x


def _fill(x: np.ndarray, choice: NodeChoice, values: np.ndarray) -> None:
    gaps, filled = choice.gaps, choice.filled
    place = np.cumsum(choice.keep) - 1  # of a kept row in x
    for feature in np.flatnonzero(gaps.missing.any(axis=0)):
        missing = gaps.missing[:, feature] & choice.keep[gaps.rows]
        taken = filled[missing, feature]
        column = choice.columns[feature]
        x[place[gaps.rows[missing]], feature] = np.where(taken == ZERO, 0, values[np.maximum(taken, 0), column])


def _take_increases(x: np.ndarray, survey: NodeSurvey, choice: NodeChoice, rules: FleetRules) -> None:
    """Put the increase per window in the place of counters; a value that was filled in is no reading of them."""
    time, place = survey.rows.time[choice.keep], np.cumsum(choice.keep) - 1
    for feature in rules.counters:
        if choice.columns[feature] is None:
            continue
        missing = choice.gaps.rows[choice.gaps.missing[:, feature]]
        measured = np.ones(len(x), bool)
        measured[place[missing[choice.keep[missing]]]] = False
        x[:, feature] = increases(x[:, feature], measured, time, rules.window)


def _drift(
    x: np.ndarray,
    survey: NodeSurvey,
    choice: NodeChoice,
    rules: FleetRules,
    signed_log: np.ndarray,
    window: float | None,
) -> float:
    rows = np.flatnonzero(choice.part == TRAIN)
    time = survey.rows.time[choice.keep][rows]
    return node_drift(x[rows, : len(rules.features)], time, signed_log[: len(rules.features)], window)


@dataclass(frozen=True)
class _Written:
    clipped_test_values: int
    constant: np.ndarray  # (F,) bool


def _scale_and_write(x: np.ndarray, time: np.ndarray, part: np.ndarray, place: Place) -> _Written:
    """Scale a few thousand rows at a time; count what is clipped, and find what is constant on the train rows."""
    files, scaling, clipped = RowFiles(place.fleet), place.scaling, 0
    rebased = None if place.rebasing is None else place.rebasing(scaling.transformed(x), time)
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    for first in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        scaled = scaling.unclipped(x[rows], 0) if rebased is None else scaling.placed(rebased[rows], 0)
        of_part = part[rows]
        test = scaled[of_part == TEST]
        clipped += int(((test < scaling.clip_low) | (test > scaling.clip_high)).sum())
        scaled = scaling.clipped(scaled)
        files.write("x", place.first_row + first, scaled)
        train = scaled[of_part == TRAIN]
        low = np.minimum(low, train.min(axis=0, initial=np.inf))
        high = np.maximum(high, train.max(axis=0, initial=-np.inf))
    return _Written(clipped, low == high)


def _report(survey: NodeSurvey, choice: NodeChoice, rules: FleetRules, written: _Written) -> dict[str, Any]:
    """What was done to this node, JSON-able."""
    label, part = survey.label[choice.keep], choice.part
    features = rules.all_features
    return {
        "rows_read": len(choice.keep),
        "rows": {name: int((part == number).sum()) for name, number in PART_NAMES.items()},
        "anomalies": {name: int((label[part == number] == ANOMALOUS).sum()) for name, number in PART_NAMES.items()},
        "unknown_labels": int((label == UNKNOWN).sum()),
        "removed_rows": int((~choice.keep).sum()),
        "removed_anomalous_rows": int((survey.label[~choice.keep] == ANOMALOUS).sum()),
        "filled_cells": filled_cells(choice),
        "imputed": [name for name, column in zip(rules.features, choice.columns, strict=True) if column is None],
        "renamed": _renamed(survey, choice, rules),
        "treatments": survey.treatments,
        "clipped_test_values": written.clipped_test_values,
        "constant": [name for name, constant in zip(features, written.constant, strict=True) if constant],
    }


def _renamed(survey: NodeSurvey, choice: NodeChoice, rules: FleetRules) -> dict[str, str]:
    """The node's own column of each feature that the fleet knows under another name."""
    columns = zip(rules.features, choice.columns, strict=True)
    own = {name: survey.features[column] for name, column in columns if column is not None}
    return {name: column for name, column in own.items() if column != name}
