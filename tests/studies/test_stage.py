"""A study survives an interruption and ends with the same bytes; one that cannot be replayed is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftl.config import override, read_profile
from ftl.data.fleet import read_fleet
from ftl.errors import ConfigError, TelemetryError
from ftl.studies.coldstart.experiment import coldstart_stage
from ftl.studies.coldstart.fold import ColdStart
from ftl.studies.folds import Fold, make_folds
from ftl.studies.stage import run_study
from ftl.studies.telemetry import require_time_order

FOLDS = make_folds(6, 3, 2, [0, 1])


def tiny(fold: Fold, report: Any) -> pd.DataFrame:
    """A study that takes no time."""
    random = np.random.default_rng(1000 * fold.seed + fold.number)
    return pd.DataFrame({"node": fold.targets, "f1": random.uniform(size=len(fold.targets))})


class Dies:
    """It is killed when it comes to a fold; counts the folds that it did."""

    def __init__(self, at: str | None = None) -> None:
        self.at, self.done = at, []

    def __call__(self, fold: Fold, report: Any) -> pd.DataFrame:
        if fold.name == self.at:
            raise KeyboardInterrupt
        self.done.append(fold.name)
        return tiny(fold, report)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_WORKERS", "1")


@pytest.fixture
def fleet(like_fleet: Path):
    return read_fleet(like_fleet)


def bytes_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("rows.parquet"))}


def test_rows_of_all_folds_come_back_with_what_they_are_of(fleet, tmp_path: Path) -> None:
    rows = run_study("tiny", fleet, FOLDS, tiny, tmp_path / "out", tmp_path / "work")
    assert list(rows.columns) == ["dataset", "protocol", "seed", "fold", "node", "f1"]
    assert set(rows["dataset"]) == {"small"}
    assert rows.groupby("seed")["node"].apply(sorted).tolist() == [list(range(6))] * 2


def test_a_killed_study_goes_on_and_ends_with_the_same_bytes(fleet, tmp_path: Path) -> None:
    whole = run_study("tiny", fleet, FOLDS, tiny, tmp_path / "whole", tmp_path / "w1")
    out, work = tmp_path / "out", tmp_path / "w2"
    killed = Dies(at=FOLDS[1].name)
    with pytest.raises(KeyboardInterrupt):
        run_study("tiny", fleet, FOLDS, killed, out, work)
    assert killed.done == [FOLDS[0].name]
    going_on = Dies()
    rows = run_study("tiny", fleet, FOLDS, going_on, out, work)
    assert going_on.done == [fold.name for fold in FOLDS[1:]]
    pd.testing.assert_frame_equal(rows, whole)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    assert len(bytes_of(out)) == len(FOLDS)
    again = Dies()
    pd.testing.assert_frame_equal(run_study("tiny", fleet, FOLDS, again, out, work), whole)
    assert again.done == []


def test_other_settings_another_fleet_or_other_folds_compute_anew(fleet, tmp_path: Path) -> None:
    def done(fleet: Any = fleet, folds: list[Fold] = FOLDS, *settings: Any) -> int:
        study = Dies()
        run_study("tiny", fleet, folds, study, tmp_path / "out", tmp_path / "work", *settings)
        return len(study.done)

    assert done() == 6
    assert done() == 0
    assert done(fleet, FOLDS, {"n_steps": 3}) == 6
    assert done(replace(fleet, fingerprint="other"), FOLDS, {"n_steps": 3}) == 6
    assert done(fleet, FOLDS[:2], {"n_steps": 3}) == 2


def test_training_rows_behind_test_rows_are_refused(study_tables, study_fleet, fleet, tmp_path: Path) -> None:
    require_time_order(fleet)
    mixed = read_fleet(study_fleet(study_tables(), "protocol=paper"))
    with pytest.raises(TelemetryError, match="node n0: test rows begin before training rows end.*rigorous"):
        run_study("tiny", mixed, FOLDS, tiny, tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("label", "unknown"), [(0, 0), (None, 176)])
def test_a_fleet_on_which_no_alarm_can_be_judged_is_refused(
    study_tables, study_fleet, tmp_path: Path, label: int | None, unknown: int
) -> None:
    silent = {name: table.assign(label=label) for name, table in study_tables().items()}
    fleet = read_fleet(study_fleet(silent))
    with pytest.raises(TelemetryError, match=rf"none of the 176 test rows is labelled anomalous \({unknown} are"):
        run_study("tiny", fleet, FOLDS, tiny, tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "out").exists()


SMALLEST = (
    "model.hidden=[6,4]", "model.latent=4", "training.batch_size=16", "coldstart.hours=[4]",
    "coldstart.steps_per_round=4", "coldstart.local_steps=4", "coldstart.fine_tune_steps=2", "coldstart.few_steps=1",
)  # fmt: skip


def test_a_killed_cold_start_ends_as_one_in_one_go(like_fleet: Path, tmp_path: Path, monkeypatch) -> None:
    params = override(read_profile("smoke"), SMALLEST)
    whole = coldstart_stage(params, like_fleet, tmp_path / "whole", tmp_path / "w1")
    made = []
    call = ColdStart.__call__

    def killed(self, fold: Fold, report: Any) -> pd.DataFrame:
        made.append(fold.name)
        if made == ["seed0-fold0", "seed0-fold1"]:
            raise KeyboardInterrupt
        return call(self, fold, report)

    monkeypatch.setattr(ColdStart, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        coldstart_stage(params, like_fleet, tmp_path / "out", tmp_path / "w2")
    rows = coldstart_stage(params, like_fleet, tmp_path / "out", tmp_path / "w2")
    assert made == ["seed0-fold0", "seed0-fold1", "seed0-fold1"]
    pd.testing.assert_frame_equal(*(of.drop(columns="training_seconds") for of in (rows, whole)))
    assert sorted(rows["node"].unique()) == ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("hours=[0]", "coldstart.hours must list different positive numbers"),
        ("hours=[2,2]", "coldstart.hours must list different positive numbers"),
        ("seeds=[]", "coldstart.seeds must list different numbers >= 0"),
        ("seeds=[1,1]", "coldstart.seeds must list different numbers >= 0"),
        ("rebase=some", "coldstart.rebase: unknown 'some'; known: none, fleet, all"),
        ("n_folds=1", "coldstart.n_folds must be >= 2; got 1"),
        ("pseudo_rows=0", "coldstart.pseudo_rows must be positive"),
        ("max_fpr=2", r"coldstart.max_fpr must be in \(0, 1\]"),
        ("smoothing_minutes=-1", "coldstart.smoothing_minutes must be 0 or more"),
        ("max_targets=0", "coldstart.max_targets must be >= 1 or null"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    like_fleet: Path, tmp_path: Path, assignment: str, words: str
) -> None:
    params = override(read_profile("smoke"), [f"coldstart.{assignment}"])
    with pytest.raises(ConfigError, match=words):
        coldstart_stage(params, like_fleet, tmp_path / "out", tmp_path / "work")
