"""A prepared fleet with anomalies to be tuned on, and plans of small studies on it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ftl.config import Params, override, read_profile
from ftl.data.fleet_folder import FleetFolder
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.tuning import StudyPlan, TrialFact, open_study, plan_study, run_study, study_storage, with_tune_section
from ftl.tuning.trial import run_trial
from tests.experiment.conftest import N_NODES, SMALL, node_table, write_tables

MakePlan = Callable[..., StudyPlan]
RunStudy = Callable[..., list[TrialFact]]
RULES = (
    "tune.space={detection.percentile: {low: 90.0, high: 99.9}, detection.smoothing_half_life: {low: 0.0, high: 4.0}}"
)
RATES = (
    "tune.space={optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}, "
    "detection.percentile: {low: 90.0, high: 99.9}}"
)


def params_of(*assignments: str) -> Params:
    params = override(with_tune_section(read_profile("default")), [*SMALL, "seeds=[0]", *assignments])
    params.pop("datasets")
    return params


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six nodes of 300 rows, prepared; an anomaly of every node lies in the last 30 % of its rows before the test."""
    root = tmp_path_factory.mktemp("tuning")
    tables = write_tables(root / "small", {f"n{node}": node_table(node) for node in range(N_NODES)})
    prepare_fleet(FleetFolder(tables), PrepareSettings(), "rigorous", root / "prepared")
    return root / "prepared"


@pytest.fixture(scope="session")
def trained(fleet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stages of the parameters as they are, which most studies begin with."""
    planned = plan_study(params_of(RULES), fleet, tmp_path_factory.mktemp("trained"), "s")
    assert run_trial(planned.trials, planned.base).state == "complete"
    return planned.folder / "stages"


@pytest.fixture
def plan(fleet: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Makes the plan of a study with some parameters changed; ``anew`` leaves it all of the training to do."""
    monkeypatch.setenv("FTL_WORKERS", "1")

    def make(
        *assignments: str, on: Path = fleet, out: Path = tmp_path / "out", name: str = "s", anew: bool = False
    ) -> StudyPlan:
        planned = plan_study(params_of("tune.n_trials=6", *assignments), on, out, name)
        if not anew and on == fleet and not (planned.folder / "stages").exists():
            shutil.copytree(trained, planned.folder / "stages")
        return planned

    return make


@pytest.fixture
def run(plan: MakePlan) -> RunStudy:
    """Runs a study and returns its new trials; ``stop`` ends it after so many, as a kill would."""

    def run_plan(*assignments: str, stop: int | None = None, fresh: bool = False, **more: object) -> list[TrialFact]:
        planned = plan(*assignments, **more)
        facts = []
        with study_storage(journal(planned)) as storage:
            for fact in run_study(planned, open_study(planned, storage, fresh)):
                facts.append(fact)
                if len(facts) == stop:
                    break
        return facts

    return run_plan


def journal(plan: StudyPlan) -> Path:
    return plan.folder.with_name(f"{plan.name}.journal")


def told(facts: list[TrialFact]) -> list[tuple[object, ...]]:
    """All of trials that must not depend on when and by whom they were judged."""
    return [(fact.state, fact.why, dict(fact.params), fact.values) for fact in facts]
