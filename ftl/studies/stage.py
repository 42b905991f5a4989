"""A study as a stage: its folds are units of work that survive an interruption, and its rows come back as one table."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.data.fleet import Fleet
from ftl.experiment.progress import UnitReport
from ftl.experiment.units import Unit, run_stage, unit_folders
from ftl.studies.folds import Fold
from ftl.studies.telemetry import require_anomalies, require_time_order

ROWS_FILE = "rows.parquet"

StudyOfFold = Callable[[Fold, UnitReport], pd.DataFrame]
"""(fold, report of progress) -> its rows; must be picklable."""


def run_study(
    name: str, fleet: Fleet, folds: Sequence[Fold], study: StudyOfFold, out: Path, work: Path, *depends_on: Any
) -> pd.DataFrame:
    """Run what is missing of a study and put its rows together.

    Args:
        name: Of the study.
        out: Where the finished study's units go.
        work: Where unfinished ones are kept.
        depends_on: All that the rows depend on beside the fleet: settings.

    Returns:
        The rows of all folds, with the columns dataset, protocol, seed and fold in front.

    Raises:
        TelemetryError: If training and test rows of a node interleave, or no test row is labelled anomalous.
    """
    require_time_order(fleet)
    require_anomalies(fleet)
    units = [Unit(fold.name, partial(_write_rows, study, fold)) for fold in folds]
    run_stage(f"{name} {fleet.name}", units, out, work, fleet.fingerprint, [vars(fold) for fold in folds], *depends_on)
    parts = []
    for folder in unit_folders(out):
        parts.append(pd.read_parquet(folder / ROWS_FILE))
    rows = pd.concat(parts, ignore_index=True)
    rows.insert(0, "protocol", fleet.protocol)
    rows.insert(0, "dataset", fleet.name)
    return rows


def _write_rows(study: StudyOfFold, fold: Fold, folder: Path, report: UnitReport) -> None:
    rows = study(fold, report)
    rows.insert(0, "fold", fold.number)
    rows.insert(0, "seed", fold.seed)
    rows.to_parquet(folder / ROWS_FILE, index=False)
