"""The table of costs: what every unit of every stage took when it was computed."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from ftl.experiment.measured import COST_FILE, read_cost

COST_COLUMNS = (
    "dataset",
    "stage",
    "unit",
    "paradigm",
    "seed",
    "wall_seconds",
    "cpu_seconds",
    "peak_memory_bytes",
    "energy_wh",
    "energy_source",
    "resumed",
)
_OF_PARADIGM = re.compile(r"(?P<paradigm>\w+)-seed(?P<seed>\d+)")


def collect_costs(stages: Mapping[str, Mapping[str, Path]]) -> pd.DataFrame:
    """One row per dataset, stage and unit, in the order given, units by name.

    Args:
        stages: Dataset -> stage -> the folder that holds a folder per unit, or one cost file (of ``prepare``).

    Returns:
        COST_COLUMNS; paradigm and seed are null for units that have none, peak_memory_bytes and energy_wh where they
        were not measured. ``resumed``: the unit was interrupted, and the last seconds before that are not counted.
        Units without a cost file (of older runs) have no row.
    """
    rows = [
        {"dataset": dataset, "stage": stage, **row}
        for dataset, of_dataset in stages.items()
        for stage, path in of_dataset.items()
        for row in _rows(stage, path)
    ]
    types = {"seed": "Int64", "peak_memory_bytes": "Int64", "resumed": "bool"}
    types |= dict.fromkeys(("wall_seconds", "cpu_seconds", "energy_wh"), "float64")
    return pd.DataFrame(rows, columns=list(COST_COLUMNS)).astype(types)


def _rows(stage: str, path: Path) -> Iterator[dict[str, object]]:
    files = {stage: path}
    if path.is_dir():
        files = {file.parent.name: file for file in sorted(path.glob(f"*/{COST_FILE}"))}
    for unit, file in files.items():
        cost = read_cost(file)
        if cost is not None:
            named = _OF_PARADIGM.fullmatch(unit)
            paradigm, seed = (None, None) if named is None else (named["paradigm"], int(named["seed"]))
            yield {"unit": unit, "paradigm": paradigm, "seed": seed, **cost}
