"""From a source to a prepared fleet: align, split, clean and scale, node by node, and count everything that is lost.

Three rounds over the nodes, in as many processes as there are (ftl.data.node_workers), none of which holds more than a
few copies of one node's table: the survey reads the source; once it is planned what a fleet keeps, the ranges of
each node's train rows are measured; once the scaling is known, each node's rows are written where they belong. What is
finished of a node is kept in a folder beside the fleet (ftl.data.unfinished), so that a killed preparation goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.counters import find_counters
from ftl.data.drift import drifts
from ftl.data.fleet import ARRAYS, PROTOCOLS, ROW_ARRAYS, Fleet, read_fleet, write_all_but_rows
from ftl.data.node_block import (
    Place,
    count_steps_of,
    drift_of_node,
    measure_node,
    measure_rebased_node,
    write_node,
)
from ftl.data.node_table import TelemetrySource
from ftl.data.node_workers import NodeWorkers, Progress
from ftl.data.plan import Plan, plan_fleet
from ftl.data.prepare_report import fleet_report
from ftl.data.prepare_settings import PrepareSettings
from ftl.data.rebasing import REBASE_RULES, Rebasing, window_of
from ftl.data.row_files import RowFiles
from ftl.data.scaling import Scaling, fit_scaling
from ftl.data.survey import NodeFiles, NodeSummary, survey_node
from ftl.data.unfinished import check_place, check_room, unfinished
from ftl.errors import ConfigError

__all__ = ["PrepareSettings", "Progress", "fleet_fingerprint", "prepare_fleet"]


def prepare_fleet(
    source: TelemetrySource,
    settings: PrepareSettings,
    protocol: str,
    folder: Path,
    progress: Progress | None = None,
) -> Fleet:
    """Prepare a fleet and write it to `folder`, as a whole or not at all; an interrupted preparation is taken up again.

    Args:
        source: Where the telemetry comes from. One that has a method ``materialise(progress=None)`` is asked to make
            its node tables first.
        settings: The section `prepare` of params.yaml.
        protocol: rigorous (chronological split) or paper (random split); a split that the source publishes is kept
            under both, unless settings.split names another.
        folder: Where the fleet goes; an older fleet there is replaced.
        progress: Told of every node that is done: (done, total, what).

    Returns:
        The fleet as :func:`ftl.data.fleet.read_fleet` opens it; its report says what was dropped, and why. The number
        of processes (FTL_WORKERS) and interruptions have no influence on it.

    Raises:
        ConfigError: If the protocol is unknown, or rows shall be re-based and nobody says how long a step of time is.
        TelemetryError: If the telemetry cannot be used; the message names the node or column.
        UserError: If `folder` cannot be made, or the disk has no room for the fleet.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: unknown {protocol!r}; known: {', '.join(PROTOCOLS)}")
    check_place(Path(folder))
    materialise = getattr(source, "materialise", None)
    if materialise is not None:
        materialise(progress=progress)
    rebase_window = _rebase_window(source, settings)
    fingerprint = fleet_fingerprint(source, settings, protocol)
    with unfinished(folder, fingerprint) as partial:
        node_ids = source.node_ids()
        files = NodeFiles(source, partial / "nodes", len(node_ids))
        with NodeWorkers(files, progress) as workers:
            survey = _survey(workers, node_ids)
            plan = plan_fleet(workers, survey, settings, protocol, _window(source))
            plan = _with_counters(workers, plan) if settings.counters == "increase" else plan
            _lay_out(files, plan, partial / "fleet")
            check_room(folder, _bytes_to_come(plan, files, workers.n_processes), partial)
            scaling, reports = _write_rows(workers, plan, settings, rebase_window, partial / "fleet")
        fleet = _fleet(source, protocol, plan, scaling, partial / "fleet", fingerprint)
        rebased = tuple(node_id for node_id, of in zip(fleet.node_ids, reports, strict=True) if of["rebased"])
        fleet = replace(fleet, rebased=rebased, rebase_window=rebase_window if rebased else None)
        notes = getattr(source, "notes", ())
        fleet.report.update(fleet_report(fleet, survey, plan, settings, reports, notes))
        fleet.report["time"] = {
            "column": getattr(source, "time_column", None),
            "unit": getattr(source, "number_unit", None),
        }
        write_all_but_rows(fleet, partial / "fleet")
    return read_fleet(folder)


def fleet_fingerprint(source: TelemetrySource, settings: PrepareSettings, protocol: str) -> str:
    """A hash of all that a prepared fleet depends on."""
    content = {"source": source.fingerprint(), "name": source.name, "settings": asdict(settings), "protocol": protocol}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _survey(workers: NodeWorkers, node_ids: Sequence[str]) -> list[NodeSummary]:
    """One summary per node; nodes with the same columns share their names."""
    known: dict[str, str] = {}
    tables: dict[tuple[str, ...], tuple[str, ...]] = {}
    survey = []
    for summary in workers.each("reading", survey_node, list(enumerate(node_ids))):
        names = tuple(known.setdefault(name, name) for name in summary.features)
        survey.append(replace(summary, features=tables.setdefault(names, names)))
    return survey


def _with_counters(workers: NodeWorkers, plan: Plan) -> Plan:
    """The plan that knows which of the features only grow, as the train rows tell."""
    arguments = [(node.number, plan.rules) for node in plan.nodes]
    steps = np.sum(list(workers.each("looking for counters", count_steps_of, arguments)), axis=0)  # (2, all features)
    counters = np.flatnonzero(find_counters(*steps)[: len(plan.rules.features)])
    return replace(plan, rules=replace(plan.rules, counters=tuple(counters.tolist())))


def _lay_out(files: NodeFiles, plan: Plan, folder: Path) -> None:
    """Make the files of the rows, unless an earlier preparation did; let go of the nodes that are left out."""
    numbers = [node.number for node in plan.nodes]
    for left_out in {*range(files.n_nodes)} - {*numbers}:
        files.path(left_out, "values.npy").unlink(missing_ok=True)
    n_rows = int(plan.start()[-1])
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(ROW_ARRAYS, (n_rows,))
    if RowFiles(folder).create(shapes | {"x": (n_rows, len(plan.rules.all_features))}):
        for number in numbers:
            files.path(number, "report.json").unlink(missing_ok=True)


def _write_rows(
    workers: NodeWorkers, plan: Plan, settings: PrepareSettings, rebase_window: float | None, folder: Path
) -> tuple[Scaling, list[dict[str, Any]]]:
    """Measure, scale and write the rows of all nodes; returns the scaling and a report per node."""
    numbers, start = [node.number for node in plan.nodes], plan.start()
    scaling, rebasings = _measure(workers, plan, settings, rebase_window)
    lend_fraction = settings.lend_fraction if plan.labels_borrowed else None
    places = [
        Place(folder, int(start[k]), scaling.of_node(k), lend_fraction, rebasing, rebase_window)
        for k, rebasing in enumerate(rebasings)
    ]
    arguments = [(number, plan.rules, place) for number, place in zip(numbers, places, strict=True)]
    reports = list(workers.each("writing", write_node, arguments))
    return scaling, [{**report, "drifts": _fires(report["drift_share"], settings)} for report in reports]


def _measure(
    workers: NodeWorkers, plan: Plan, settings: PrepareSettings, rebase_window: float | None
) -> tuple[Scaling, list[Rebasing | None]]:
    """The scaling of all nodes, and per node how it is re-based, None where it is not."""
    numbers, rules = [node.number for node in plan.nodes], plan.rules
    fitted = (settings.transform, settings.scaler, settings.clip_low, settings.clip_high, settings.constant)
    ranges = list(workers.each("measuring", measure_node, [(number, rules, settings.scaler) for number in numbers]))
    scaling = fit_scaling(ranges, *fitted)
    if settings.rebase == "none" or rebase_window is None:
        return scaling, [None] * len(numbers)
    signed_log = scaling.signed_log
    fired = np.zeros(len(numbers), bool)
    if settings.rebase != "all":
        asked = [(number, rules, signed_log, rebase_window) for number in numbers]
        shares = workers.each("looking for drift", drift_of_node, asked)
        fired = np.array([drifts(share, settings.drift_share) for share in shares])
    rebased = REBASE_RULES[settings.rebase](fired)
    rebasing = Rebasing(rebase_window, len(rules.features))
    which = np.flatnonzero(rebased)
    to_measure = [(numbers[k], rules, settings.scaler, signed_log, rebasing) for k in which]
    for k, found in zip(which, workers.each("re-basing", measure_rebased_node, to_measure), strict=True):
        ranges[k] = found
    return fit_scaling(ranges, *fitted, signed_log, rebased), [rebasing if of_node else None for of_node in rebased]


def _fires(share: float | None, settings: PrepareSettings) -> bool:
    return share is not None and drifts(share, settings.drift_share)


def _rebase_window(source: TelemetrySource, settings: PrepareSettings) -> float | None:
    """How far a trailing median would look back, in units of time; None where that is not known, nor needed."""
    window_seconds = source.window_seconds()
    if settings.rebase == "none" and source.time_unit != "seconds" and window_seconds is None:
        return None
    return window_of(settings.rebase_hours, source.time_unit, window_seconds)


def _bytes_to_come(plan: Plan, files: NodeFiles, n_processes: int) -> int:
    """What is yet to be written, less the values kept so far, each node's of which go once its rows are written."""
    per_row = 4 * len(plan.rules.all_features) + sum(np.dtype(ARRAYS[name]).itemsize for name in ROW_ARRAYS[1:])
    nodes = zip(plan.nodes, plan.n_rows, strict=True)
    to_write = per_row * sum(n_rows for node, n_rows in nodes if not files.path(node.number, "report.json").exists())
    at_once = per_row * n_processes * max(plan.n_rows)
    return min(to_write, max(to_write - files.spooled_bytes(), 0) + at_once)


def _fleet(
    source: TelemetrySource, protocol: str, plan: Plan, scaling: Scaling, folder: Path, fingerprint: str
) -> Fleet:
    """The fleet whose rows are written; its report is empty."""
    rows = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ROW_ARRAYS}
    node_ids = tuple(node.node_id for node in plan.nodes)
    features = plan.rules.all_features
    return Fleet(
        name=source.name,
        origin=source.origin,
        protocol=protocol,
        node_ids=node_ids,
        racks=tuple(source.rack_of(node_id) for node_id in node_ids),
        features=features,
        time_unit=source.time_unit,
        window_seconds=_window_seconds(source, plan),
        labels_borrowed=plan.labels_borrowed,
        **rows,
        start=plan.start(),
        offset=scaling.offset,
        scale=scaling.scale,
        muted=scaling.muted,
        report={},
        fingerprint=fingerprint,
        signed_log=tuple(np.array(features)[scaling.signed_log].tolist()),
        counters=tuple(features[counter] for counter in plan.rules.counters),
        clip_low=scaling.clip_low,
        clip_high=scaling.clip_high,
    )


def _window(source: TelemetrySource) -> float | None:
    """Length of a window in units of the source's time, where it says it."""
    return source.window_seconds() if source.time_unit == "seconds" else None


def _window_seconds(source: TelemetrySource, plan: Plan) -> float | None:
    """What the source says; else, where time is in seconds, the median distance of a node's rows."""
    declared = source.window_seconds()
    return declared if declared is not None or source.time_unit != "seconds" else plan.usual_step
