"""The drift study of one fleet: its folds are run, and its tables written."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import section
from ftl.data.fleet import Fleet, read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.errors import UserError
from ftl.experiment.settings import training_settings
from ftl.federation.settings import FederationSettings
from ftl.studies.drift.fold import DriftStudy
from ftl.studies.drift.limits import Limits
from ftl.studies.drift.settings import DriftStudySettings
from ftl.studies.drift.tables import Racks, all_differences, curve_table, gate_table, summary_table
from ftl.studies.folds import make_folds
from ftl.studies.stacks import Recipe
from ftl.studies.stage import run_study
from ftl.studies.telemetry import FleetTelemetry

ROWS, SUMMARY, DIFFERENCES = "drift.parquet", "drift_summary.csv", "drift_differences.csv"
CURVE, GATE = "drift_curve.csv", "drift_gate.csv"


def drift_stage(params: Mapping[str, Any], fleet: Path, out: Path, work: Path) -> pd.DataFrame:
    """Run the drift study of a prepared fleet, or what is missing of it.

    Returns:
        One row per seed, node, detector and combination: dataset, protocol, seed, fold, node, drift_share, drifts,
        detector, rebase, smoothed, threshold, :data:`ftl.studies.judging.METRICS`, false_alarms_per_node_day,
        percentile and swept (whether the row stands for a point of a curve alone).

    Raises:
        UserError: If the fleet's rows are re-based already, or the trailing days are too short for the percentile.
    """
    settings = section(params, "study_drift", DriftStudySettings)
    detection = section(params, "detection", DetectionSettings)
    training, opened = training_settings(params), read_fleet(fleet)
    _refuse_rebased(opened, fleet)
    telemetry = FleetTelemetry(opened, settings.window_minutes)
    Limits(detection, telemetry.seconds_per_unit, telemetry.window).check()
    recipe = Recipe(training.model, training.optimizer, training.training.batch_size)
    federate = FederationSettings(n_rounds=settings.n_rounds)
    folds = make_folds(len(opened.node_ids), settings.n_folds, settings.n_participants, settings.seeds)
    study = DriftStudy(fleet, recipe, federate, settings, detection)
    return run_study("study drift", opened, folds, study, out, work, recipe, settings, detection)


@dataclass(frozen=True)
class DriftTables:
    """What a drift study found, see :mod:`ftl.studies.drift.tables`."""

    summary: pd.DataFrame
    differences: pd.DataFrame
    curve: pd.DataFrame
    gate: pd.DataFrame


def write_drift(rows: pd.DataFrame, racks: Racks, out: Path) -> DriftTables:
    """Write the study's rows and its tables, each whole or not at all; the rows last.

    Args:
        racks: dataset -> node -> rack, as far as known.
    """
    out.mkdir(parents=True, exist_ok=True)
    tables = DriftTables(summary_table(rows), all_differences(rows, racks), curve_table(rows), gate_table(rows))
    for name, table in zip((SUMMARY, DIFFERENCES, CURVE, GATE), vars(tables).values(), strict=True):
        half = out / f"{name}.half"
        table.to_csv(half, index=False, lineterminator="\n")
        os.replace(half, out / name)
    half = out / f"{ROWS}.half"
    rows.to_parquet(half, index=False)
    os.replace(half, out / ROWS)
    return tables


def _refuse_rebased(fleet: Fleet, folder: Path) -> None:
    rule = (fleet.report.get("settings") or {}).get("rebase", "none")
    if rule != "none":
        raise UserError(
            f"{folder}: prepared with prepare.rebase={rule}, and this study compares rows as they are with re-based "
            "ones; give it a fleet that was prepared with prepare.rebase=none"
        )
