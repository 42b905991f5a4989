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
from ftl.errors import UserError
from ftl.experiment.evaluate import scored_stages
from ftl.experiment.settings import paradigms_of

RESULTS_FILE, SUMMARY_FILE, ROUNDS_FILE = "results.parquet", "summary.csv", "rounds.csv"
SCORES_FILE, PARAMS_FILE, FLEETS_FILE = "scores.parquet", "params.json", "fleets.json"
STAGES = ("baselines", "local", "federated", "transfer")


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

    def costs(self) -> dict[str, Path]:
        """Where every stage's costs stand, by the names of the table of costs."""
        stages = {"federate" if name == "federated" else name: path for name, path in self.stages.items()}
        return {"prepare": self.prepare_cost, **stages}


def read_results_folder(folder: Path) -> tuple[dict[str, FleetFolders], Params]:
    """Where the fleets and stages of a results folder lie, and its parameters.

    Raises:
        UserError: If it is no results folder, or its stages are gone.
    """
    try:
        described = json.loads((folder / FLEETS_FILE).read_text(encoding="utf-8"))
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
            "--out`, or artifacts/ after `dvc repro`"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / FLEETS_FILE}: damaged ({error!r}); evaluate the results again") from error
    return datasets, params


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all."""
    half = path.with_name(path.name + ".half")
    half.write_text(text, encoding="utf-8")
    os.replace(half, path)


def seen_from(folder: Path, path: Path) -> str:
    """A path inside the folder as seen from there, so that the folder may be moved; any other in full."""
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
