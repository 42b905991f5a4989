"""A cold start of one fold, with every score and threshold that it judged."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ftl.studies.coldstart.fold
from ftl.federation.settings import FederationSettings
from ftl.studies.coldstart.fold import ColdStart
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.folds import Fold
from ftl.studies.judging import judge
from ftl.studies.stacks import Recipe

HOURS = (4.0, 24.0)
BUDGET: dict[str, Any] = {
    "hours": HOURS, "seeds": (0,), "n_folds": 2, "n_rounds": 2, "steps_per_round": 6,
    "local_steps": 8, "fine_tune_steps": 4, "few_steps": 2, "rebase": "none",
}  # fmt: skip
FOLD = Fold(0, 0, targets=(1, 3), candidates=(0, 2), participants=(0, 2))

Key = tuple[str, float | None, str]
"""(node, asked hours or None for all of the history, arm)."""


@dataclass(frozen=True)
class Replayed:
    """Rows of a fold, and what they were judged on."""

    rows: pd.DataFrame
    scores: dict[Key, np.ndarray]
    thresholds: dict[Key, float]

    def places(self, node: str | None = None, hours: Sequence[float | None] = (*HOURS, None)) -> list[Key]:
        return [key for key in self.scores if (node is None or key[0] == node) and key[1] in hours]

    def decisions(self) -> pd.DataFrame:
        columns = ["node", "asked_hours", "history_rows", "divergence", "action", "reason"]
        return self.rows.loc[self.rows["arm"] == "transfer_policy", columns].reset_index(drop=True)


Replay = Callable[..., Replayed]


@pytest.fixture(scope="session")
def replay(recipe: Recipe) -> Replay:
    """Runs one fold on a prepared fleet."""

    def run(folder: Path, fold: Fold = FOLD, **changed: Any) -> Replayed:
        settings = ColdStartSettings(**BUDGET | changed)
        seen: list[tuple[np.ndarray, float]] = []

        def watched(node: Any, score: np.ndarray, threshold: float, seconds: float) -> dict[str, float]:
            seen.append((score.copy(), threshold))
            return judge(node, score, threshold, seconds)

        federate = FederationSettings(n_rounds=settings.n_rounds)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ftl.studies.coldstart.fold, "judge", watched)
            rows = ColdStart(folder, recipe, federate, settings, 98.0)(fold, lambda *_: None)
        keys = [
            (node, None if full else hours, arm)
            for node, full, hours, arm in zip(rows["node"], rows["full"], rows["asked_hours"], rows["arm"], strict=True)
        ]
        assert len(keys) == len(seen) == len(set(keys))
        thresholds = {key: threshold for key, (_, threshold) in zip(keys, seen, strict=True)}
        return Replayed(rows, {key: score for key, (score, _) in zip(keys, seen, strict=True)}, thresholds)

    return run


@pytest.fixture(scope="session")
def like_replay(replay: Replay, like_fleet: Path) -> Replayed:
    return replay(like_fleet)


@pytest.fixture(scope="session")
def unlike_replay(replay: Replay, unlike_fleet: Path) -> Replayed:
    return replay(unlike_fleet)


@pytest.fixture
def spoilt(like_fleet: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the prepared fleet with an array changed in some rows: spoilt("x", rows, lambda x: 2 * x)."""

    def changed(array: str, rows: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> Path:
        folder = tmp_path / "spoilt"
        if not folder.exists():
            shutil.copytree(like_fleet, folder)
        values = np.load(folder / f"{array}.npy")
        values[rows] = change(values[rows])
        np.save(folder / f"{array}.npy", values)
        return folder

    return changed
