"""From a source to a prepared fleet: align, split, clean and scale, node by node, and count everything that is lost.

The source is read twice: first for columns, times, labels and missing cells, which decide what is kept; then for the
values, which go straight into a memory-mapped file. Never more than one node's values are in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ftl.data.alignment import ALIGNMENTS, Alignment, align
from ftl.data.cleaning import MISSING_POLICIES, MissingCells
from ftl.data.fleet import PROTOCOLS, TEST, TRAIN, VALIDATION, Fleet, read_fleet, replacing, write_all_but_x
from ftl.data.node_table import TelemetrySource
from ftl.data.prepare_report import fleet_report
from ftl.data.scaling import CONSTANTS, SCALERS, TRANSFORMS, Scaling, fit_scaling
from ftl.data.split import SPLITS, NodeRows, SplitSettings, choose_split, find_cut_time, lend_labels
from ftl.errors import ConfigError, TelemetryError


@dataclass(frozen=True)
class PrepareSettings:
    """The section `prepare` of params.yaml.

    Raises:
        ConfigError: If a value is unknown or out of range.
    """

    alignment: str = "intersection"
    missing: str = "drop_columns_then_rows"
    max_missing: float = 0.2  # share of the fleet's training rows above which drop_columns_then_rows gives a column up
    transform: str = "auto"
    scaler: str = "node_minmax"
    constant: str = "fleet_range"  # columns constant on a node's train rows: measured in the fleet's range, or muted
    clip_low: float = -4.0
    clip_high: float = 5.0
    split: str = "protocol"  # the source's own split where it has one, else what the protocol says
    test_fraction: float = 0.2
    validation_fraction: float = 0.1  # of the train part
    gap: int = 4  # rows of each node left out after the cut of a chronological split
    lend_fraction: float = 0.4  # of a node's test rows, where labels must be borrowed
    min_train_rows: int = 20
    split_seed: int = 0

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            kinds = {"int": (int,), "float": (int, float)}.get(str(setting.type), (str,))
            if isinstance(value, bool) or not isinstance(value, kinds) or value in (float("inf"), float("-inf")):
                raise ConfigError(f"prepare.{setting.name}: must be of type {setting.type} and finite; got {value!r}")
        choices: dict[str, Collection[str]] = {
            "alignment": ALIGNMENTS,
            "missing": MISSING_POLICIES,
            "transform": TRANSFORMS,
            "scaler": SCALERS,
            "constant": CONSTANTS,
            "split": ("protocol", *SPLITS),
        }
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise ConfigError(f"prepare.{key}: unknown {getattr(self, key)!r}; known: {', '.join(known)}")
        ranges = {
            "max_missing": (0 <= self.max_missing < 1, "in [0, 1)"),
            "clip_low": (self.clip_low <= 0, "at most 0"),
            "clip_high": (self.clip_high >= 1, "at least 1, so that train rows are not clipped"),
            "test_fraction": (0 < self.test_fraction < 1, "in (0, 1)"),
            "validation_fraction": (0 <= self.validation_fraction < 1, "in [0, 1)"),
            "gap": (self.gap >= 0, "at least 0"),
            "lend_fraction": (0 < self.lend_fraction < 1, "in (0, 1)"),
            "min_train_rows": (self.min_train_rows >= 2, "at least 2"),
        }
        for key, (holds, must) in ranges.items():
            if not holds:
                raise ConfigError(f"prepare.{key}: must be {must}; got {getattr(self, key)!r}")


@dataclass(frozen=True)
class NodeSurvey:
    """All of a node's table but its values."""

    node_id: str
    rows: NodeRows
    label: np.ndarray  # (T,) int8
    features: tuple[str, ...]
    missing: MissingCells
    treatments: dict[str, int]

    def present(self) -> list[str]:
        """The columns that hold at least one value."""
        return [name for name, empty in zip(self.features, self.missing.empty_columns(), strict=True) if not empty]

    def columns(self, features: Sequence[str]) -> np.ndarray:
        """Where these features stand in the node's table, shape (F,)."""
        number = {name: column for column, name in enumerate(self.features)}
        return np.array([number[name] for name in features], np.int64)


@dataclass(frozen=True)
class Plan:
    """What the survey decided: the nodes, features and rows that a fleet keeps."""

    nodes: list[NodeSurvey]
    keep: list[np.ndarray]  # per node, (T,) bool
    part: list[np.ndarray]  # per node, (kept rows,) int8
    features: tuple[str, ...]
    split: str
    cut_time: int | None
    excluded: dict[str, str]
    dropped: dict[str, str]  # feature -> why
    alignment: Alignment


def prepare_fleet(source: TelemetrySource, settings: PrepareSettings, protocol: str, folder: Path) -> Fleet:
    """Prepare a fleet and write it to `folder`, as a whole or not at all.

    Args:
        source: Where the telemetry comes from.
        settings: The section `prepare` of params.yaml.
        protocol: rigorous (chronological split) or paper (random split); a split that the source publishes is kept
            under both, unless settings.split names another.
        folder: Where the fleet goes; an older fleet there is replaced.

    Returns:
        The fleet as :func:`ftl.data.fleet.read_fleet` opens it; its report says what was dropped, and why.

    Raises:
        ConfigError: If the protocol is unknown.
        TelemetryError: If the telemetry cannot be used; the message names the node or column.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: unknown {protocol!r}; known: {', '.join(PROTOCOLS)}")
    survey = [_survey(source, node_id) for node_id in source.node_ids()]
    plan = plan_fleet(survey, settings, protocol)
    part = np.concatenate(plan.part)
    label = np.concatenate([node.label[keep] for node, keep in zip(plan.nodes, plan.keep, strict=True)])
    time = np.concatenate([node.rows.time[keep] for node, keep in zip(plan.nodes, plan.keep, strict=True)])
    start = np.cumsum([0, *(len(rows) for rows in plan.part)])
    labels_borrowed, lent = lend_labels(part, label, start, settings.lend_fraction)
    with replacing(folder) as partial:
        x = _create_x(partial / "x.npy", len(part), len(plan.features))
        _copy_values(source, plan, start, x)
        scaling = fit_scaling(
            lambda node: x[start[node] : start[node + 1]][plan.part[node] == TRAIN],
            len(plan.nodes),
            settings.transform,
            settings.scaler,
            settings.clip_low,
            settings.clip_high,
            settings.constant,
        )
        clipped = _scale_in_place(x, scaling, plan, start)
        x.flush()
        node_ids = tuple(node.node_id for node in plan.nodes)
        fleet = Fleet(
            name=source.name,
            origin=source.origin,
            protocol=protocol,
            node_ids=node_ids,
            racks=tuple(source.rack_of(node_id) for node_id in node_ids),
            features=plan.features,
            time_unit=source.time_unit,
            window_seconds=_window_seconds(source, plan),
            labels_borrowed=labels_borrowed,
            x=x,
            label=label,
            time=time,
            part=part,
            lent=lent,
            start=start,
            offset=scaling.offset,
            scale=scaling.scale,
            muted=scaling.muted,
            report={},
            fingerprint=fleet_fingerprint(source, settings, protocol),
            signed_log=tuple(np.array(plan.features)[scaling.signed_log].tolist()),
            clip_low=scaling.clip_low,
            clip_high=scaling.clip_high,
        )
        fleet.report.update(fleet_report(fleet, survey, plan, settings, clipped, getattr(source, "notes", ())))
        write_all_but_x(fleet, partial)
    return read_fleet(folder)


def plan_fleet(survey: Sequence[NodeSurvey], settings: PrepareSettings, protocol: str) -> Plan:
    """Decide which nodes, features and rows are kept, and the part of each row.

    Nodes without enough rows go first, so that they cost the others no column; then columns, then incomplete rows,
    then the nodes that these rows left with too little.
    """
    excluded = {node.node_id: "no rows" for node in survey if not len(node.label)}
    nodes = _without(survey, excluded)
    for node in nodes:
        if len(node.label) < settings.min_train_rows:
            excluded[node.node_id] = f"only {len(node.label)} rows; at least {settings.min_train_rows} must train"
    nodes = _without(survey, excluded)
    _need_a_node(nodes, excluded)
    rule = choose_split(settings.split, protocol, [node.rows.published is not None for node in nodes])
    cut = find_cut_time([node.rows.time for node in nodes], settings.test_fraction) if rule == "chronological" else None
    how = SplitSettings(
        settings.test_fraction, settings.validation_fraction, settings.gap, settings.split_seed, cut_time=cut or 0
    )

    def part_of(node: NodeSurvey, keep: np.ndarray) -> np.ndarray:
        published = None if node.rows.published is None else node.rows.published[keep]
        part = SPLITS[rule](NodeRows(node.node_id, node.rows.time[keep], published), how)
        reason = _too_little(part, settings.min_train_rows)
        if reason:
            lost = int((~keep).sum())
            excluded[node.node_id] = reason + (f", {lost} incomplete rows removed" if lost else "")
        return part

    before = {node.node_id: part_of(node, np.ones(len(node.label), bool)) for node in nodes}
    nodes = _without(nodes, excluded)
    _need_a_node(nodes, excluded)
    alignment = align(settings.alignment, {node.node_id: node.present() for node in nodes})
    features, dropped = _drop_columns(nodes, before, alignment, settings)
    keep = {node.node_id: node.missing.complete_rows(node.columns(features)) for node in nodes}
    part = {node.node_id: part_of(node, keep[node.node_id]) for node in nodes}
    nodes = _without(nodes, excluded)
    _need_a_node(nodes, excluded)
    return Plan(
        nodes=nodes,
        keep=[keep[node.node_id] for node in nodes],
        part=[part[node.node_id] for node in nodes],
        features=features,
        split=rule,
        cut_time=cut,
        excluded=excluded,
        dropped=dropped,
        alignment=alignment,
    )


def _survey(source: TelemetrySource, node_id: str) -> NodeSurvey:
    table = source.read_node(node_id)
    rows = NodeRows(node_id, table.time, table.split)
    missing = MissingCells.of(table.values)
    return NodeSurvey(node_id, rows, table.label, table.features, missing, table.treatments)


def _without(nodes: Sequence[NodeSurvey], excluded: dict[str, str]) -> list[NodeSurvey]:
    return [node for node in nodes if node.node_id not in excluded]


def _need_a_node(nodes: Sequence[NodeSurvey], excluded: dict[str, str]) -> None:
    if not nodes:
        reasons = "; ".join(f"{node_id}: {why}" for node_id, why in list(excluded.items())[:5])
        raise TelemetryError(
            f"none of the {len(excluded)} nodes can be used ({reasons}); bring longer or more complete tables"
        )


def _too_little(part: np.ndarray, min_train_rows: int) -> str | None:
    n_train, n_test = int((part == TRAIN).sum()), int((part == TEST).sum())
    if n_train < min_train_rows:
        return f"only {n_train} train rows, {min_train_rows} needed (prepare.min_train_rows)"
    return None if n_test else "no test rows"


def _drop_columns(
    nodes: Sequence[NodeSurvey], part: dict[str, np.ndarray], alignment: Alignment, settings: PrepareSettings
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The features that the missing-value policy keeps, and why each of the others was dropped."""
    missing, n_rows = np.zeros(len(alignment.features), np.int64), 0
    for node in nodes:
        training = np.isin(part[node.node_id], (TRAIN, VALIDATION))
        counts, counted = node.missing.count(training, node.columns(alignment.features))
        missing, n_rows = missing + counts, n_rows + counted
    share = missing / max(n_rows, 1)
    keep = MISSING_POLICIES[settings.missing](share, settings.max_missing)
    if not keep.any():
        raise TelemetryError(
            f"all {len(keep)} common columns are missing in more than {settings.max_missing:.0%} of the training "
            f"rows, least {alignment.features[int(share.argmin())]!r} ({share.min():.0%}); raise prepare.max_missing"
        )
    dropped = {
        name: f"absent or empty in {len(lacking)} of {len(nodes)} nodes, first {lacking[0]}"
        for name, lacking in alignment.lacking.items()
    }
    for column in np.flatnonzero(~keep):
        dropped[alignment.features[column]] = f"missing in {share[column]:.1%} of the training rows"
    return tuple(name for name, kept in zip(alignment.features, keep, strict=True) if kept), dropped


def _create_x(path: Path, n_rows: int, n_features: int) -> np.memmap:
    """An array on disk to write into, shape (n_rows, n_features)."""
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_rows, n_features))
    if hasattr(os, "posix_fallocate"):  # else the file has holes, and a disk that fills up later kills with SIGBUS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return x


def _copy_values(source: TelemetrySource, plan: Plan, start: np.ndarray, x: np.ndarray) -> None:
    for k, (node, keep) in enumerate(zip(plan.nodes, plan.keep, strict=True)):
        values = source.read_node(node.node_id).values
        if len(values) != len(keep):
            raise TelemetryError(f"node {node.node_id}: its table changed while it was read; start again")
        x[start[k] : start[k + 1]] = values[keep][:, node.columns(plan.features)]


def _scale_in_place(x: np.ndarray, scaling: Scaling, plan: Plan, start: np.ndarray) -> list[int]:
    """Scale all rows; returns per node how many values of its test rows were clipped."""
    clipped = []
    for k, part in enumerate(plan.part):
        scaled = scaling.unclipped(x[start[k] : start[k + 1]], k)
        test = scaled[part == TEST]
        clipped.append(int(((test < scaling.clip_low) | (test > scaling.clip_high)).sum()))
        x[start[k] : start[k + 1]] = scaling.clipped(scaled)
    return clipped


def _window_seconds(source: TelemetrySource, plan: Plan) -> float | None:
    """What the source says; else, where time is in seconds, the median distance of a node's rows."""
    declared = source.window_seconds()
    if declared is not None or source.time_unit != "seconds":
        return declared
    return float(np.median([np.median(np.diff(node.rows.time)) for node in plan.nodes]))


def fleet_fingerprint(source: TelemetrySource, settings: PrepareSettings, protocol: str) -> str:
    content = {"source": source.fingerprint(), "name": source.name, "settings": asdict(settings), "protocol": protocol}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
