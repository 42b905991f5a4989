"""The folder of an experiment's results: all tables, and where the fleets and stages lie that they were made from.

Both `artifacts/` of the pipeline and the folder of ``ftl run`` are such folders. What reads one (report, tracking,
other rules of alarms) needs nothing but its files.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftl.config import Params
from ftl.data.fleet import CARD_FILE, read_fleet
from ftl.errors import UserError
from ftl.experiment.evaluate import scored_stages
from ftl.experiment.settings import paradigms_of
from ftl.experiment.units import stage_key

RESULTS_FILE, SUMMARY_FILE, ROUNDS_FILE = "results.parquet", "summary.csv", "rounds.csv"
SCORES_FILE, PARAMS_FILE, FLEETS_FILE = "scores.parquet", "params.json", "fleets.json"
STAGES = ("baselines", "local", "federated", "transfer")
RETHRESHOLDED = "rethresholded"
"""Where a results folder keeps what other rules of alarms make of its scores."""


@dataclass(frozen=True)
class FleetFolders:
    """Where a prepared fleet, its finished stages (by the names in STAGES) and what its preparation cost lie."""

    fleet: Path
    stages: Mapping[str, Path]
    prepare_cost: Path

    @classmethod
    def below(cls, root: Path, dataset: str) -> "FleetFolders":
        """The pipeline's layout: a folder per stage, and in it one per dataset."""
        return cls(
            root / "fleets" / dataset,
            {stage: root / stage / dataset for stage in STAGES},
            root / "prepare_costs" / f"{dataset}.json",
        )

    def scored(self, params: Mapping[str, Any]) -> list[Path]:
        """The stages whose scores are evaluated."""
        return [self.stages[stage] for stage in scored_stages(paradigms_of(params))]

    def keys(self) -> dict[str, str | None]:
        """What the finished stages were made from, as a digest each; None of a stage that is not there."""
        return {stage: stage_key(path) for stage, path in self.stages.items()}

    def costs(self) -> dict[str, Path]:
        """Where every stage's costs stand, by the names of the table of costs."""
        stages = {"federate" if name == "federated" else name: path for name, path in self.stages.items()}
        return {"prepare": self.prepare_cost, **stages}


def read_results_folder(folder: Path) -> tuple[dict[str, FleetFolders], Params]:
    """Where the fleets and stages of a results folder lie, and its parameters.

    Raises:
        UserError: If it is no results folder.
    """
    try:
        described = _described(folder)
        params = json.loads((folder / PARAMS_FILE).read_text(encoding="utf-8"))
        datasets = {
            name: FleetFolders(
                folder / one["fleet"],
                {stage: folder / path for stage, path in one["stages"].items()},
                folder / one["prepare_cost"],
            )
            for name, one in described.items()
        }
    except OSError as error:
        raise UserError(
            f"{folder}: no results folder ({Path(str(error.filename)).name} is missing); give the folder of `ftl run "
            "--out`, or artifacts/ after `dvc repro`; where that was interrupted, run it again"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / FLEETS_FILE}: damaged ({error!r}); evaluate the results again") from error
    return datasets, params


def read_scored_folder(folder: Path) -> tuple[dict[str, FleetFolders], Params]:
    """As :func:`read_results_folder`, of a folder whose stored scores are there and are those of its results.

    Raises:
        UserError: If it is no results folder, its stages are gone, or a later run has put others in their place.
    """
    datasets, params = read_results_folder(folder)
    described = _described(folder)
    for name, folders in datasets.items():
        keys, known = folders.keys(), described[name].get("stage_keys", {})
        scored = folders.scored(params)
        stages = {stage: path for stage, path in folders.stages.items() if path in scored or known.get(stage)}
        gone = [path for stage, path in stages.items() if keys[stage] is None]
        if not (folders.fleet / CARD_FILE).is_file():
            gone.insert(0, folders.fleet)
        if gone:
            raise UserError(
                f"{folder}: the stored scores of {name} are not there ({gone[0]} is missing or not finished): bring "
                "the stages back, or run the same command again that made these results"
            )
        other = [stage for stage in stages if known.get(stage) not in (None, keys[stage])]
        if read_fleet(folders.fleet).fingerprint != described[name].get("fingerprint"):
            other.insert(0, "prepare")
        if other:
            raise UserError(
                f"{folder}: these results of {name} were made from other scores than those in its stages: a later run "
                f"has computed the stage {other[0]} anew, with other parameters, telemetry or code; run `ftl run` (or "
                "`dvc repro`) there to its end first"
            )
    return datasets, params


def _described(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / FLEETS_FILE).read_text(encoding="utf-8"))
    return described


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all."""
    half = path.with_name(path.name + ".half")
    half.write_text(text, encoding="utf-8")
    os.replace(half, path)


def seen_from(folder: Path, path: Path) -> str:
    """A path inside the folder as seen from there, so that the folder may be moved; any other in full.

    What lies in RETHRESHOLDED of other results moves with them.
    """
    path, folder = path.resolve(), folder.resolve()
    whole = folder.parent.parent if folder.parent.name == RETHRESHOLDED else folder
    return Path(os.path.relpath(path, folder)).as_posix() if path.is_relative_to(whole) else path.as_posix()
