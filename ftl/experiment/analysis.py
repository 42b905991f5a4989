"""The tables beside the results: costs, similarity of nodes and models, and score timelines of a few nodes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import section
from ftl.data.fleet import Fleet
from ftl.detection.settings import DetectionSettings
from ftl.experiment.costs import collect_costs
from ftl.experiment.evaluate import judged_stages
from ftl.experiment.projection import projection_table
from ftl.experiment.results_folder import FleetFolders, write_text
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import paradigms_of
from ftl.experiment.similarity import similarity_table
from ftl.experiment.timelines import choose_shown, is_shown, timelines_table, write_timelines
from ftl.models.network import ModelSettings

COSTS_FILE, SIMILARITY_FILE, PROJECTION_FILE = "costs.csv", "similarity.csv", "projection.csv"
TIMELINES_FILE = "timelines.parquet"


def write_analysis(
    out: Path,
    datasets: Mapping[str, FleetFolders],
    fleets: Mapping[str, Fleet],
    params: Mapping[str, Any],
    results: pd.DataFrame,
) -> None:
    """Write the tables into a results folder.

    Args:
        out: The folder.
        datasets, fleets: By name of the dataset, in the same order.
        params: All parameters.
        results: The results table; it decides whose timelines are shown.
    """
    paradigms, seed = paradigms_of(params), seeds_of(params)[0]
    model, detection = section(params, "model", ModelSettings), section(params, "detection", DetectionSettings)
    _write(out / COSTS_FILE, collect_costs({name: folders.costs() for name, folders in datasets.items()}))
    similarity, projection, timelines = [], [], []
    for name, fleet in fleets.items():
        folders = datasets[name]
        similarity.append(similarity_table(fleet, folders.stages["local"], paradigms, seed, model))
        projection.append(projection_table(fleet))
        shown = choose_shown(results, name)
        alarms = judged_stages(fleet, folders.scored(params), detection, partial(is_shown, fleet, shown))
        timelines.append(timelines_table(fleet, shown, alarms))
    _write(out / SIMILARITY_FILE, pd.concat(similarity, ignore_index=True))
    _write(out / PROJECTION_FILE, pd.concat(projection, ignore_index=True))
    write_timelines(timelines, out / TIMELINES_FILE)


def _write(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, lineterminator="\n"))
