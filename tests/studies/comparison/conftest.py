"""A fleet of six small nodes, and the least settings of both comparisons."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ftl.config import Params, override, read_profile
from tests.studies.conftest import Tables, study_table, write_study_fleet

LEAST = (
    "model.hidden=[6,4]",
    "model.latent=4",
    "training.batch_size=16",
    *(
        f"study_{study}.{setting}"
        for study in ("policies", "methods")
        for setting in (
            "seeds=[0]", "n_folds=2", "hours=[24]", "n_rounds=2", "steps_per_round=4", "fine_tune_steps=3",
            "n_participants=2",
        )
    ),
    "study_policies.n_draws=2",
    "study_policies.local_steps=5",
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds run in this process, which has imported what takes seconds to import."""
    monkeypatch.setenv("FTL_WORKERS", "1")


@pytest.fixture(scope="session")
def six_tables() -> Callable[[], Tables]:
    """Makes the tables of six nodes; every call makes new ones."""
    return lambda: {f"n{node}": study_table(node) for node in range(6)}


@pytest.fixture(scope="session")
def six_folder(six_tables: Callable[[], Tables], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study_fleet(tmp_path_factory.mktemp("telemetry") / "six", six_tables())


@pytest.fixture(scope="session")
def six_fleet(six_tables: Callable[[], Tables], study_fleet: Callable[..., Path]) -> Path:
    return study_fleet(six_tables())


@pytest.fixture(scope="session")
def least() -> Callable[..., Params]:
    """The default parameters with the least settings, and assignments laid over them."""

    def params(*assignments: str) -> Params:
        changed = override(read_profile("default"), [*LEAST, *assignments])
        changed.pop("datasets")
        return changed

    return params
