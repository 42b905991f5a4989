"""Stored scores to a folder of results: judged, summarised, and every table of it written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import section
from ftl.data.fleet import Fleet, read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.evaluation.results import merge_results, write_results
from ftl.evaluation.summary import write_summary
from ftl.experiment.analysis import write_analysis
from ftl.experiment.evaluate import evaluate_fleet, summarise_results, write_scores
from ftl.experiment.results_folder import (
    FLEETS_FILE,
    PARAMS_FILE,
    RESULTS_FILE,
    ROUNDS_FILE,
    SCORES_FILE,
    SUMMARY_FILE,
    FleetFolders,
    seen_from,
    write_text,
)
from ftl.experiment.rounds import read_rounds


@dataclass(frozen=True)
class ResultTables:
    """What an experiment came to."""

    results: pd.DataFrame
    summary: pd.DataFrame
    rounds: pd.DataFrame


def write_results_folder(
    out: Path, datasets: Mapping[str, FleetFolders], params: Mapping[str, Any], dump_scores: bool = False
) -> ResultTables:
    """Judge the stored scores of all datasets and write every table of a results folder; each file whole or not at all.

    Args:
        out: The folder; scores.parquet of other results that lies there is removed.
        datasets: The fleets, by name of the dataset.
        dump_scores: Also write scores.parquet.
    """
    out.mkdir(parents=True, exist_ok=True)
    detection = section(params, "detection", DetectionSettings)
    fleets = {name: read_fleet(folders.fleet) for name, folders in datasets.items()}
    scored = {name: folders.scored(params) for name, folders in datasets.items()}
    tables = _tables(datasets, fleets, scored, detection, params)
    earlier = _bytes(out / SUMMARY_FILE)
    for name in (FLEETS_FILE, PARAMS_FILE):  # written last: where they are, the tables are of the same run
        (out / name).unlink(missing_ok=True)
    write_results(tables.results, out / RESULTS_FILE)
    write_summary(tables.summary, out / SUMMARY_FILE)
    write_text(out / ROUNDS_FILE, tables.rounds.to_csv(index=False))
    if dump_scores:
        write_scores({name: (fleets[name], scored[name]) for name in datasets}, detection, out / SCORES_FILE)
    elif _bytes(out / SUMMARY_FILE) != earlier:
        (out / SCORES_FILE).unlink(missing_ok=True)
    write_analysis(out, datasets, fleets, params, tables.results)
    write_text(out / FLEETS_FILE, json.dumps(_describe(out, datasets, fleets), indent=1) + "\n")
    write_text(out / PARAMS_FILE, json.dumps(params, indent=1) + "\n")
    return tables


def _tables(
    datasets: Mapping[str, FleetFolders],
    fleets: Mapping[str, Fleet],
    scored: Mapping[str, list[Path]],
    detection: DetectionSettings,
    params: Mapping[str, Any],
) -> ResultTables:
    results = merge_results([evaluate_fleet(fleets[name], scored[name], detection, params) for name in datasets])
    rounds = read_rounds({name: folders.stages["federated"] for name, folders in datasets.items()})
    return ResultTables(results, summarise_results(results, fleets), rounds)


def _describe(out: Path, datasets: Mapping[str, FleetFolders], fleets: Mapping[str, Fleet]) -> dict[str, Any]:
    return {
        name: {
            "origin": fleet.origin,
            "protocol": fleet.protocol,
            "fingerprint": fleet.fingerprint,
            "node_ids": fleet.node_ids,
            "racks": fleet.racks,
            "n_features": len(fleet.features),
            "time_unit": fleet.time_unit,
            "window_seconds": fleet.window_seconds,
            "labels_borrowed": fleet.labels_borrowed,
            "fleet": seen_from(out, datasets[name].fleet),
            "stages": {stage: seen_from(out, path) for stage, path in datasets[name].stages.items()},
            "stage_keys": datasets[name].keys(),
            "prepare_cost": seen_from(out, datasets[name].prepare_cost),
            "report": fleet.report,
        }
        for name, fleet in fleets.items()
    }


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
