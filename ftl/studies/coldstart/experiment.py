"""The cold start of one fleet: its folds are run, and its tables written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.experiment.settings import training_settings
from ftl.federation.settings import FederationSettings
from ftl.studies.coldstart.fold import ColdStart
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.folds import make_folds
from ftl.studies.stacks import Recipe
from ftl.studies.stage import run_study


def coldstart_stage(params: Mapping[str, Any], fleet: Path, out: Path, work: Path) -> pd.DataFrame:
    """Run the cold start of a prepared fleet, or what is missing of it.

    Returns:
        One row per seed, target, length of history and arm: dataset, protocol, seed, fold, node, rebased, hours (the
        real length), full, asked_hours (NaN for the whole history), history_rows, arm, threshold, n_train_steps,
        training_seconds, participant_bytes, target_bytes, :data:`ftl.studies.judging.METRICS`; of the transfer policy
        also action, reason and divergence.
    """
    settings = section(params, "coldstart", ColdStartSettings)
    training, opened = training_settings(params), read_fleet(fleet)
    recipe = Recipe(training.model, training.optimizer, training.training.batch_size)
    federate = FederationSettings(n_rounds=settings.n_rounds)
    percentile = section(params, "detection", DetectionSettings).percentile
    folds = make_folds(len(opened.node_ids), settings.n_folds, settings.n_participants, settings.seeds)
    study = ColdStart(fleet, recipe, federate, settings, percentile)
    return run_study("coldstart", opened, folds, study, out, work, recipe, settings, percentile)
