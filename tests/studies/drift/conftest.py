"""One drift study that many tests read."""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from ftl.cli.study_drift import drift
from ftl.config import Params, section
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.experiment.settings import training_settings
from ftl.federation.settings import FederationSettings
from ftl.studies.drift.experiment import drift_stage
from ftl.studies.drift.fold import DriftStudy
from ftl.studies.drift.settings import DriftStudySettings
from ftl.studies.folds import Fold, make_folds
from ftl.studies.opening import FLEET_FOLDER
from ftl.studies.stacks import Recipe
from ftl.studies.telemetry import FleetTelemetry
from tests.studies.drift.drifting_fleet import N_NODES, SMALL, write_telemetry


class Studied(NamedTuple):
    """A prepared fleet, its parameters, the folder of its study, its rows and what was printed."""

    fleet: Path
    params: Params
    out: Path
    rows: pd.DataFrame
    output: str

    def again(self, out: Path) -> pd.DataFrame:
        return drift_stage(self.params, self.fleet, out / "stage", out / "work")

    @property
    def telemetry(self) -> FleetTelemetry:
        return FleetTelemetry(read_fleet(self.fleet))

    @property
    def study(self) -> DriftStudy:
        settings = section(self.params, "study_drift", DriftStudySettings)
        training = training_settings(self.params)
        recipe = Recipe(training.model, training.optimizer, training.training.batch_size)
        detection = section(self.params, "detection", DetectionSettings)
        return DriftStudy(self.fleet, recipe, FederationSettings(n_rounds=1), settings, detection)

    @property
    def folds(self) -> list[Fold]:
        return make_folds(N_NODES, 2, 2, (0,))


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """The study as `ftl study drift` makes it."""
    at = tmp_path_factory.mktemp("drift")
    app = typer.Typer()
    app.command()(drift)
    words = [word for one in SMALL for word in ("-S", one)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTL_WORKERS", "1")
        told = CliRunner().invoke(
            app, [str(write_telemetry(at / "wandering")), "--out", str(at / "out"), *words], catch_exceptions=False
        )
    params = json.loads((at / "out" / "params.json").read_text())
    rows = pd.read_parquet(at / "out" / "drift.parquet")
    return Studied(at / "out" / FLEET_FOLDER, params, at / "out", rows, told.output)
