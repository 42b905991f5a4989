"""Both studies from parameters to tables."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.federation.settings import SelectionSettings
from ftl.studies.comparison.methods import MethodStudy
from ftl.studies.comparison.policies import RANDOM, PolicyStudy
from ftl.studies.comparison.protocol import Training
from ftl.studies.comparison.settings import REFERENCE_METHOD, MethodStudySettings, PolicyStudySettings
from ftl.studies.comparison.verdicts import SITUATION, sentences, spread_of_draws, with_verdicts
from ftl.studies.opening import describe_study
from ftl.studies.stage import run_study
from ftl.studies.tables import COMPARED, SUMMARISED, differences, means
from ftl.studies.telemetry import racks_of


@dataclass(frozen=True)
class Compared:
    """A finished study.

    Attributes:
        rows: One per node, seed and draw.
        summary: Means over nodes.
        differences: Against the reference.
        sentences: The verdict in words.
        files: Where all of it lies.
    """

    rows: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    sentences: tuple[str, ...]
    files: tuple[Path, ...]


def study_policies(params: Mapping[str, Any], fleet: Path, out: Path) -> Compared:
    """Compare selection policies with random cohorts on a prepared fleet.

    Args:
        fleet: Its folder.
        out: For policies.parquet, policies_summary.csv and policies_differences.csv.
    """
    settings = section(params, PolicyStudySettings.section, PolicyStudySettings)
    study = PolicyStudy(fleet, settings, section(params, "select", SelectionSettings), Training.of(params))
    rows = _rows("policies", fleet, study, params, out)
    summary = means(rows, ["policy", *SITUATION], (*SUMMARISED, "n_chosen", "n_participants"))
    spread = spread_of_draws(rows[rows["policy"] == RANDOM], COMPARED)
    ranked_by = rows.groupby("policy")["ranked_by"].agg(lambda used: " or ".join(dict.fromkeys(used)))
    summary.insert(1, "ranked_by", summary["policy"].map(ranked_by))
    table = with_verdicts(differences(rows, SITUATION, "policy", RANDOM, racks_of(read_fleet(fleet))))
    table = table.merge(spread, on=[*SITUATION, "metric"], how="left")
    told = sentences(table, "policy", f"the mean over {settings.n_draws} random cohorts")
    return _written("policies", rows, summary, table, told, out)


def study_methods(params: Mapping[str, Any], fleet: Path, out: Path) -> Compared:
    """Compare federated methods with FedAvg on a prepared fleet.

    Args:
        fleet: Its folder.
        out: For methods.parquet, methods_summary.csv and methods_differences.csv.
    """
    settings = section(params, MethodStudySettings.section, MethodStudySettings)
    study = MethodStudy(fleet, settings, Training.of(params))
    for method in settings.compared:
        study.federate(method)  # a budget that it cannot keep to is refused before anything is computed
    rows = _rows("methods", fleet, study, params, out)
    costs = ("n_participants", "n_steps", "bytes_per_round", "bytes_sent", "seconds")
    summary = means(rows, ["method", *SITUATION], (*SUMMARISED, *costs))
    table = with_verdicts(differences(rows, SITUATION, "method", REFERENCE_METHOD, racks_of(read_fleet(fleet))))
    return _written("methods", rows, summary, table, sentences(table, "method", REFERENCE_METHOD), out)


def _rows(
    name: str, fleet: Path, study: PolicyStudy | MethodStudy, params: Mapping[str, Any], out: Path
) -> pd.DataFrame:
    prepared = read_fleet(fleet)
    folds = study.folds(len(prepared.node_ids))
    settings = [value for key, value in vars(study).items() if key != "fleet"]
    stage = out / "stages" / f"study_{name}"
    rows = run_study(f"study_{name}", prepared, folds, study, stage, out / "work", *settings)
    describe_study(out, prepared, params)
    return rows


def _written(
    name: str, rows: pd.DataFrame, summary: pd.DataFrame, table: pd.DataFrame, told: Sequence[str], out: Path
) -> Compared:
    files = out / f"{name}.parquet", out / f"{name}_summary.csv", out / f"{name}_differences.csv"
    _write(files[0], lambda path: rows.to_parquet(path, index=False))
    for path, of in zip(files[1:], (summary, table), strict=True):
        of.insert(0, "dataset", rows["dataset"].iloc[0])
        _write(path, partial(_as_csv, of))
    return Compared(rows, summary, table, tuple(told), files)


def _as_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


def _write(path: Path, writer: Callable[[Path], None]) -> None:
    half = path.with_name(path.name + ".half")
    writer(half)
    os.replace(half, path)
