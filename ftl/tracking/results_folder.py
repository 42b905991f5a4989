"""A folder of results as it is read for recording: ``artifacts/`` of the pipeline, or OUT of ``ftl run``."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ftl.errors import UserError
from ftl.evaluation.comparison import target_runs
from ftl.evaluation.results import CELL_COLUMNS, read_results
from ftl.evaluation.summary import read_summary
from ftl.tracking.cells import cells_of
from ftl.tracking.lineage import Lineage, lineage_from_cards

RESULTS, SUMMARY, ROUNDS, PARAMS, FLEETS = (
    "results.parquet", "summary.csv", "rounds.csv", "params.json", "fleets.json",
)  # fmt: skip
TABLES = ("costs.csv", "similarity.csv", "projection.csv")
_LOCK = "dvc.lock"


@dataclass(frozen=True)
class ResultsFolder:
    """Everything of a results folder that MLflow shall know.

    Attributes:
        folder: Where it lies.
        summary, results: The tables; ``rounds`` is None where there is none.
        params: The parameters, nested.
        fleets: dataset -> what fleets.json (or the prepared fleet's card) says of it.
        lineage: What the results were made from.
        notes: What was missing, in sentences.
    """

    folder: Path
    summary: pd.DataFrame
    results: pd.DataFrame
    rounds: pd.DataFrame | None
    params: Mapping[str, Any]
    fleets: Mapping[str, Mapping[str, Any]]
    lineage: Lineage
    notes: tuple[str, ...] = ()

    @property
    def racks(self) -> dict[str, dict[str, str | None]]:
        """dataset -> node -> rack, where known."""
        return {
            name: dict(zip(fleet["node_ids"], fleet["racks"], strict=True))
            for name, fleet in self.fleets.items()
            if fleet.get("node_ids") and fleet.get("racks")
        }


def read_results_folder(
    folder: Path, params: Mapping[str, Any] | None = None, lineage: Lineage | None = None
) -> ResultsFolder:
    """Read a results folder; tables that an older or smaller run lacks are named in ``notes``.

    Args:
        folder: With at least results.parquet and summary.csv in it.
        params: The parameters; None: those of params.json.
        lineage: What the results were made from; None: found out from the fleets, the parameters and this code.

    Raises:
        UserError: If results.parquet or summary.csv is missing, or they are not of the same run.
    """
    for name in (RESULTS, SUMMARY):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: no {name} there; give a folder that `dvc repro` or `ftl run` has filled")
    notes = []
    if params is None:
        params = read_params(folder)
        if not params:
            notes.append(f"{PARAMS} is missing: runs have no parameters")
    summary, results = read_summary(folder / SUMMARY), read_results(folder / RESULTS)
    _require_of_one_run(folder, summary, results)
    datasets = [str(name) for name in summary["dataset"].unique()]
    fleets = read_fleets(folder, datasets)
    unknown = [name for name in datasets if name not in fleets]
    if unknown and lineage is None:
        notes.append(f"{FLEETS} is missing: the data of {', '.join(unknown)} is unknown")
    if not (folder / ROUNDS).is_file():
        notes.append(f"{ROUNDS} is missing: runs have no series by round")
    return ResultsFolder(
        folder=folder,
        summary=summary,
        results=results,
        rounds=pd.read_csv(folder / ROUNDS) if (folder / ROUNDS).is_file() else None,
        params=params,
        fleets=fleets,
        lineage=lineage or lineage_from_cards(params, fleets, dvc_hashes(folder, datasets)),
        notes=tuple(notes),
    )


def _require_of_one_run(folder: Path, summary: pd.DataFrame, results: pd.DataFrame) -> None:
    """Hold the F1 of every cell against the results table, as far as that is quickly done."""
    cell = list(CELL_COLUMNS)
    nodes = target_runs(results).groupby([*cell, "node"], dropna=False)["f1"].mean()
    table = nodes.groupby(cell, dropna=False).mean().reset_index()
    mean = dict(zip(cells_of(table), table["f1"], strict=True))
    for key, f1 in zip(cells_of(summary), summary["f1_after"], strict=True):
        if key not in mean or not np.isclose(f1, mean[key], rtol=0, atol=1e-9, equal_nan=True):
            raise UserError(
                f"{folder}: {SUMMARY} and {RESULTS} are not of the same run (F1 of {'/'.join(key.texts().values())}: "
                f"{f1:.6g} and {mean.get(key, math.nan):.6g}); evaluate again"
            )


def dvc_hashes(folder: Path, datasets: list[str]) -> dict[str, str]:
    """dataset -> MD5 that DVC has for its prepared fleet; empty where no dvc.lock stands beside the folder."""
    lock = folder.resolve().parent / _LOCK
    try:
        stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {})
    except (OSError, yaml.YAMLError, AttributeError):
        return {}
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    hashes = {str(out.get("path")): str(out["md5"]) for out in outs if "md5" in out}
    paths = {name: f"{folder.resolve().name}/fleets/{name}" for name in datasets}
    return {name: hashes[path] for name, path in paths.items() if path in hashes}


def read_params(folder: Path) -> dict[str, Any]:
    """The parameters that the folder says its results are made with; empty where it does not."""
    return _json(folder / PARAMS)


def read_fleets(folder: Path, datasets: list[str]) -> dict[str, dict[str, Any]]:
    """What is known of the fleets: fleets.json, else the cards of the prepared fleets."""
    known = _json(folder / FLEETS)
    for name in datasets:
        if name not in known:
            cards = (folder / "fleets" / name / "fleet.json", folder / "stages" / "fleet" / "fleet.json")
            card = next((found for found in map(_json, cards) if found.get("name") == name), None)
            if card is not None:
                known[name] = card
    return known


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
