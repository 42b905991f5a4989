"""A fleet of four nodes, prepared as a study reads it, and the smallest models: what tests of studies share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ftl.config import override, read_profile
from ftl.data.fleet import read_fleet
from ftl.data.fleet_folder import FleetFolder
from ftl.learning.optimizers import OptimizerSettings
from ftl.models.network import ModelSettings, initial_state
from ftl.models.state import StackedState
from ftl.studies.alarms import Alarming
from ftl.studies.opening import open_for_study
from ftl.studies.stacks import Recipe
from ftl.studies.telemetry import FleetTelemetry

N_NODES, N_ROWS, WINDOW_MINUTES = 4, 240, 30
FEATURES = ("fan", "power", "temperature", "traffic")
BURSTS = ((60, 5), (202, 6), (225, 5))
"""First row and length of the anomalies: one in the training part, which ends about row 190, two in the test part."""

Tables = dict[str, pd.DataFrame]


def study_table(node: int, unlike: float = 0.0) -> pd.DataFrame:
    """Telemetry of a node: a daily load that all features follow, and bursts in which two of them leave it.

    Args:
        unlike: How far the node's levels and ranges are from the other nodes'.
    """
    random = np.random.default_rng(100 + node)
    step = np.arange(N_ROWS)
    load = np.sin(2 * np.pi * (step + 5 * node) / 48)[:, None]
    values = np.array([1.0, 0.5, 2.0]) * load + random.normal(0, 0.2, (N_ROWS, 3)) + np.array([0.0, 50.0, -5.0])
    values = values * (1 + unlike * node) + 20 * unlike * node
    traffic = np.exp(4 + 3 * load[:, 0] + random.normal(0, 0.3, N_ROWS)) * 10
    label = np.zeros(N_ROWS, np.int8)
    for first, length in BURSTS:
        label[first + node : first + node + length] = 1
    values[label == 1, :2] += 4.0
    named = dict(zip(FEATURES, (*values.T, traffic), strict=True))
    return pd.DataFrame({"step": step, **named, "idle": 3.0, "label": label})


def write_study_fleet(folder: Path, tables: Mapping[str, pd.DataFrame], **description: Any) -> Path:
    """A telemetry folder of these tables, with a fleet.yaml that says how long a window is."""
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    said = {"window_minutes": WINDOW_MINUTES, "origin": "simulated"} | description
    said = {key: value for key, value in said.items() if value is not None}
    (folder / "fleet.yaml").write_text(yaml.safe_dump(said))
    return folder


def prepare_for_study(folder: Path, out: Path, *assignments: str) -> Path:
    params = override(read_profile("default"), assignments)
    return open_for_study(FleetFolder(folder), params, out)[0]


@pytest.fixture(scope="session")
def study_tables() -> Callable[..., Tables]:
    """Makes node tables; every call makes new ones, to be spoilt at will."""
    return lambda unlike=0.0: {f"n{node}": study_table(node, unlike) for node in range(N_NODES)}


@pytest.fixture(scope="session")
def study_fleet(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """Writes and prepares tables as a study does; the folder of the prepared fleet."""

    def prepared(tables: Tables, *assignments: str, **description: Any) -> Path:
        at = tmp_path_factory.mktemp("study")
        return prepare_for_study(write_study_fleet(at / "small", tables, **description), at / "out", *assignments)

    return prepared


@pytest.fixture(scope="session")
def study_folder(study_tables: Callable[..., Tables], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A telemetry folder: four nodes that are alike."""
    return write_study_fleet(tmp_path_factory.mktemp("telemetry") / "small", study_tables())


@pytest.fixture(scope="session")
def like_fleet(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That folder, prepared."""
    return prepare_for_study(study_folder, tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def unlike_fleet(study_tables: Callable[..., Tables], study_fleet: Callable[..., Path]) -> Path:
    """Four nodes of different levels and ranges, prepared."""
    return study_fleet(study_tables(unlike=2.0))


@pytest.fixture(scope="session")
def like_telemetry(like_fleet: Path) -> FleetTelemetry:
    return FleetTelemetry(read_fleet(like_fleet))


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """The smallest autoencoder, in small batches."""
    return Recipe(ModelSettings((6, 4), 4), OptimizerSettings(), 16)


@pytest.fixture(scope="session")
def begun(recipe: Recipe) -> Callable[[int], StackedState]:
    """The initial model for so many features, a stack of one."""
    return lambda n_features: initial_state("autoencoder", n_features, recipe.model, 3)


@pytest.fixture(scope="session")
def alarming() -> Alarming:
    return Alarming(half_life=0.5, window=1.0, percentile=98.0, pseudo_rows=300.0)
