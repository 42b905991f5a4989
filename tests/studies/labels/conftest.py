"""Four nodes with anomalies in both halves of what precedes the test part, and the least settings of the study."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ftl.config import Params, override, read_profile
from tests.studies.conftest import Tables, study_table

LEAST = (
    "model.hidden=[6,4]",
    "model.latent=4",
    "training.batch_size=16",
    "study_labels={seeds: [0], n_folds: 2, n_participants: 2, n_rounds: 1, steps_per_round: 4, local_steps: 10}",
)
SECOND_BURST = 140


def burst(table, first, length=6):
    """More of the anomalies that the table has."""
    rows = slice(first, first + length)
    table.loc[rows, ["fan", "power"]] += 4.0
    table.loc[rows, "label"] = 1
    return table


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds run in this process, which has imported what takes seconds to import."""
    monkeypatch.setenv("FTL_WORKERS", "1")


@pytest.fixture(scope="session")
def lent_tables() -> Callable[[], Tables]:
    """Makes the tables; every call makes new ones, to be spoilt at will."""
    return lambda: {f"n{node}": burst(study_table(node), SECOND_BURST + node) for node in range(4)}


@pytest.fixture(scope="session")
def lent_fleet(lent_tables: Callable[[], Tables], study_fleet: Callable[..., Path]) -> Path:
    return study_fleet(lent_tables())


@pytest.fixture(scope="session")
def least() -> Callable[..., Params]:
    def params(*assignments: str) -> Params:
        changed = override(read_profile("default"), [*LEAST, *assignments])
        changed.pop("datasets")
        return changed

    return params
