"""The study of labels on one fleet: its folds are run, its tables and verdicts made and written."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.experiment.settings import training_settings
from ftl.studies.folds import make_folds
from ftl.studies.labels.fold import LabelStudy
from ftl.studies.labels.lending import Lending
from ftl.studies.labels.settings import LabelStudySettings
from ftl.studies.labels.verdicts import verdict_sentences
from ftl.studies.stacks import Recipe
from ftl.studies.stage import run_study
from ftl.studies.tables import differences, means

ROWS_FILE, SUMMARY_FILE, DIFFERENCES_FILE = "labels.parquet", "labels_summary.csv", "labels_differences.csv"
_COMPARED = {"unsupervised": (), "federated_head": ("average", "combined"), "own_labels": ("pooled_own",)}


@dataclass(frozen=True)
class LabelTables:
    """What the study found.

    Attributes:
        rows: One per seed, target and arm: dataset, protocol, seed, fold, node, from_test, arm, threshold, n_lent_rows,
            n_lent_anomalies, n_lent_unknown, n_lenders, :data:`ftl.studies.judging.METRICS`; of the arm combined also
            weight, single, best_mixture, validation_gain, validation_low, validation_high, n_voters, label_bytes.
        summary: One row per arm.
        differences: Every arm against the unsupervised score, mixtures against the head, and what labels of others do
            for a node that has labels of its own (pooled_own against own_labels).
        sentences: The verdicts.
    """

    rows: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    sentences: list[str]


def label_study(params: Mapping[str, Any], fleet: Path, out: Path, work: Path) -> LabelTables:
    """Run the study on a prepared fleet, or what is missing of it.

    Raises:
        UserError: If there is no label to lend.
    """
    settings = section(params, "study_labels", LabelStudySettings)
    training, opened = training_settings(params), read_fleet(fleet)
    Lending.of(opened, settings.window_minutes)  # refused before anything is computed
    recipe = Recipe(training.model, training.optimizer, training.training.batch_size)
    percentile = section(params, "detection", DetectionSettings).percentile
    folds = make_folds(len(opened.node_ids), settings.n_folds, settings.n_participants, settings.seeds)
    study = LabelStudy(fleet, recipe, settings, percentile)
    rows = run_study("labels", opened, folds, study, out, work, recipe, settings, percentile)
    racks = dict(zip(opened.node_ids, opened.racks, strict=True))
    key = ["dataset", "protocol"]
    compared = pd.concat(
        [
            differences(rows[rows["arm"].isin((against, *arms))] if arms else rows, key, "arm", against, racks)
            for against, arms in _COMPARED.items()
        ],
        ignore_index=True,
    )
    where = f"{opened.name} ({opened.origin}, {len(opened.node_ids)} nodes)"
    return LabelTables(rows, means(rows, [*key, "arm"]), compared, verdict_sentences(where, rows, compared))


def write_tables(tables: LabelTables, out: Path) -> None:
    """Write the three tables into a folder, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    for name, table in ((SUMMARY_FILE, tables.summary), (DIFFERENCES_FILE, tables.differences)):
        table.to_csv(out / f"{name}.half", index=False, lineterminator="\n")
        os.replace(out / f"{name}.half", out / name)
    tables.rows.to_parquet(out / f"{ROWS_FILE}.half", index=False)
    os.replace(out / f"{ROWS_FILE}.half", out / ROWS_FILE)
