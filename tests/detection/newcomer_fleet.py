"""A simulated fleet whose metrics go together, in raw units, and a detector of it that scores newcomers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.data.fleet import Fleet
from ftl.detection.detector import Detector
from ftl.detection.settings import DetectionSettings
from ftl.experiment.newcomers import newcomer_of
from tests.detection.raw_fleet import prepared, untrained

N_ROWS = 700
FLEET = ("a", "b", "c", "d", "e")
FAULT = slice(400, 440)


def loaded_table(node: str) -> pd.DataFrame:
    """All that varies follows the node's load, with noise: bytes over decades, a counter that restarts, a constant."""
    random = np.random.default_rng([*map(ord, node)])
    rows = np.arange(N_ROWS)
    load = 0.5 + 0.3 * np.sin(2 * np.pi * rows / 96 + random.uniform(0, 6)) + 0.05 * random.normal(size=N_ROWS)
    values = {
        "cpu": 100 * load + random.normal(0, 2, N_ROWS),
        "power": 200 + 150 * load + random.normal(0, 3, N_ROWS),
        "temp": 40 + 25 * load + random.normal(0, 0.5, N_ROWS),
        "fan": 2000 + 3000 * load + random.normal(0, 60, N_ROWS),
        "bytes": np.exp(8 + 5 * load + random.normal(0, 0.2, N_ROWS)),
        "errors": np.cumsum(random.poisson(20 * load.clip(0.1))).astype(float),
        "firmware": np.full(N_ROWS, 7.0),
    }
    values["errors"][500:] -= values["errors"][500]
    values["cpu"][random.random(N_ROWS) < 0.03] = np.nan
    time = pd.date_range("2024-03-01", periods=N_ROWS, freq="15min", tz="UTC")
    return pd.DataFrame({"timestamp": time, **values})


def with_fault(table: pd.DataFrame, rows: slice = FAULT) -> pd.DataFrame:
    """The fan stands still, and it gets warm."""
    faulty = table.copy()
    faulty.loc[faulty.index[rows], "fan"] = 0.0
    faulty.loc[faulty.index[rows], "temp"] += 15.0
    return faulty


def fleet_of(folder: Path, nodes: Sequence[str] = FLEET, **settings: Any) -> Fleet:
    return prepared(folder, {node: loaded_table(node) for node in nodes}, **settings)


def welcoming(fleet: Fleet, half_life: float = 0.0, nodes: Sequence[int] | None = None) -> Detector:
    """A detector with models of no training, and what these nodes share for newcomers."""
    detector = untrained(fleet, half_life=half_life)
    newcomer = newcomer_of(fleet, DetectionSettings(smoothing_half_life=half_life), nodes)
    assert newcomer is not None
    return replace(detector, card=replace(detector.card, newcomer=newcomer.card), newcomer=newcomer)
