"""How fast thresholds are tried on stored scores; run by ``make bench``."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from ftl.config import override, read_profile
from ftl.data.fleet_folder import FleetFolder
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.tuning import best_trial, open_study, plan_study, run_study, study_storage, with_tune_section
from ftl.tuning.trial import run_trial

N_TRIALS = 200
MOST_SECONDS = 20.0


@pytest.mark.benchmark
def test_200_threshold_trials_on_stored_scores(tmp_path: Path, checkout: Path) -> None:
    telemetry = checkout.parent / "shared" / "data" / "asd"
    if not telemetry.is_dir():
        pytest.skip(f"{telemetry} is not here")
    prepare_fleet(FleetFolder(telemetry), PrepareSettings(), "rigorous", tmp_path / "fleet")
    params = override(with_tune_section(read_profile("default")), ["tune.space=threshold", f"tune.n_trials={N_TRIALS}"])
    plan = plan_study(params, tmp_path / "fleet", tmp_path / "out", "bench")
    began = time.perf_counter()
    assert run_trial(plan.trials, plan.base).state == "complete"  # trains, and stores the scores
    trained = time.perf_counter()
    with study_storage(tmp_path / "bench.journal") as storage:
        study = open_study(plan, storage)
        cpu = time.process_time()
        n_trials = sum(1 for _ in run_study(plan, study))
        seconds, cpu = time.perf_counter() - trained, time.process_time() - cpu
        best = best_trial(study)
    assert n_trials == N_TRIALS
    assert best is not None
    Console(width=100).print(
        f"12 servers, 20,736 judged rows: training {trained - began:.1f} s once; {N_TRIALS} threshold trials "
        f"{seconds:.1f} s ({cpu:.1f} s CPU); best F1 {best.values[0] if best.values else float('nan'):.3f}"
    )
    assert cpu < MOST_SECONDS
