"""Other rules of alarms on scores that are there: no model is trained, or even read."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ftl.config import Params, build
from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError
from ftl.experiment.results_folder import read_scored_folder
from ftl.experiment.results_writer import ResultTables, write_results_folder

NEED_TRAINING = ("score", "variance_floor", "variance_shrinkage")


def rethreshold(folder: Path, out: Path, changes: Mapping[str, Any]) -> tuple[ResultTables, Params]:
    """Judge the stored scores of a results folder by other rules, and write what comes of it as one.

    Cohorts stay as they were: nodes are ranked by the protocol's own threshold, whatever raises the alarms.

    Args:
        folder: Of ``ftl run``, or artifacts/ of the pipeline.
        out: Where the new results go; another folder.
        changes: Keys of the section `detection` and their new values.

    Raises:
        ConfigError: If a key is unknown, a value out of range, or a change needs training.
        UserError: If there are no results, or their scores are gone.
    """
    datasets, params = read_scored_folder(folder)
    if out.resolve() == folder.resolve():
        raise ConfigError(f"--out {out}: the results to start from are there; give another folder")
    params = with_other_rules(params, changes)
    return write_results_folder(out, datasets, json.loads(json.dumps(params))), params


def with_other_rules(params: Mapping[str, Any], changes: Mapping[str, Any]) -> Params:
    """Parameters with some keys of `detection` changed; those that older results do not name have their defaults.

    Raises:
        ConfigError: If a key is unknown, a value out of range, or a change needs training.
    """
    base = asdict(DetectionSettings()) | dict(params["detection"])
    trained = [key for key in NEED_TRAINING if key in changes and changes[key] != base[key]]
    if trained:
        raise ConfigError(
            f"detection.{trained[0]} changes the scores themselves, which are made by training; run the experiment "
            f"again with -S detection.{trained[0]}={changes[trained[0]]}"
        )
    detection = {**base, **changes}
    build(DetectionSettings, detection, "detection.")
    return {**params, "detection": detection}
