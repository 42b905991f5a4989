"""Parts of a stage are computed once, kept whole or not at all, and never taken for those of other settings."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ftl.errors import TelemetryError, UserError
from ftl.experiment import measured, units
from ftl.experiment.units import Unit, run_stage, stage_key, unit_folders, worker_count

Report = Callable[[str, int, int], None]


def write_number(number: int, folder: Path, report: Report) -> None:
    with (folder / "number.txt").open("a") as file:
        file.write(f"{number}\n")
    report("writing", 1, 1)


def slow_number(folder: Path, report: Report) -> None:
    time.sleep(0.5)
    write_number(0, folder, report)


def refuse(folder: Path, report: Report) -> None:
    raise TelemetryError("n3: no rows; bring more")


def die(folder: Path, report: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_and_die(folder: Path, report: Report) -> None:
    time.sleep(0.5)
    report("sleeping", 1, 2)
    die(folder, report)


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_WORKERS", "1")


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Path]:
    """Runs a stage of three parts that write their number; keyword arguments replace parts."""

    def run(settings: str = "a", **others: Callable[[Path, Report], None]) -> Path:
        functions = {f"part{k}": partial(write_number, k) for k in range(3)} | others
        out = tmp_path / "out" / "stage"
        run_stage("stage", [Unit(*item) for item in functions.items()], out, tmp_path / "work", settings)
        return out

    return run


def numbers(out: Path) -> list[str]:
    return [(folder / "number.txt").read_text() for folder in unit_folders(out)]


@pytest.mark.parametrize("workers", ["1", "2", "7"])
def test_a_stage_holds_a_folder_for_each_part(stage, monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("FTL_WORKERS", workers)
    assert numbers(stage()) == ["0\n", "1\n", "2\n"]


def test_a_finished_stage_is_left_alone(stage) -> None:
    out = stage()
    before = [path.stat().st_mtime_ns for path in sorted(out.rglob("*"))]
    stage(part0=refuse)
    assert [path.stat().st_mtime_ns for path in sorted(out.rglob("*"))] == before


def test_other_settings_compute_the_stage_anew(stage) -> None:
    key = stage_key(stage("a"))
    out = stage("b", part0=partial(write_number, 10))
    assert numbers(out)[0] == "10\n"
    assert stage_key(out) != key


@pytest.mark.parametrize("workers", ["1", "2"])
def test_parts_that_were_finished_are_not_computed_again(
    stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    monkeypatch.setenv("FTL_WORKERS", workers)
    with pytest.raises(TelemetryError, match="n3: no rows; bring more"):
        stage(part2=refuse)
    kept = partial(write_number, 99)  # would stand in the table if these parts ran again
    assert numbers(stage(part0=kept, part1=kept)) == ["0\n", "1\n", "2\n"]
    assert "stage: 2 of 3 parts are done already, going on from there" in capsys.readouterr().out


def test_a_part_that_was_cut_short_is_computed_again_in_its_folder(stage, tmp_path: Path) -> None:
    def cut_short(folder: Path, report: Report) -> None:
        (folder / "fit.checkpoint").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(part1=cut_short)
    seen: list[str] = []

    def go_on(folder: Path, report: Report) -> None:
        seen.extend(path.name for path in folder.iterdir())
        write_number(1, folder, report)

    out = stage(part1=go_on)
    assert seen == ["fit.checkpoint"], "a long fit goes on from its checkpoint"
    assert sorted(path.name for path in (out / "part1").iterdir()) == ["cost.json", "number.txt"], "which is no result"


def test_a_finished_stage_leaves_nothing_in_the_work_folder(stage, tmp_path: Path) -> None:
    stage()
    left = [
        path.name for path in (tmp_path / "work").iterdir() if path.suffix != ".lock"
    ]  # empty files, kept for the next run
    assert left == []


def test_parts_half_removed_by_an_interruption_do_not_pass_for_whole(
    stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shutil.rmtree

    def interrupted(folder: Path, **how: object) -> None:
        if Path(folder).is_relative_to(tmp_path / "work") and Path(folder).exists():
            next(Path(folder).rglob("number.txt")).unlink()
            raise KeyboardInterrupt
        whole(folder, **how)

    monkeypatch.setattr(units.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage("a")
    monkeypatch.undo()
    monkeypatch.setenv("FTL_WORKERS", "1")
    stage("b")
    assert numbers(stage("a")) == ["0\n", "1\n", "2\n"]


def test_a_stage_half_removed_by_an_interruption_does_not_pass_for_finished(
    stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = stage("a")

    def interrupted(folder: Path, **how: object) -> None:
        if Path(folder) == out:
            (out / "part0" / "number.txt").unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(units.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage("b")
    monkeypatch.undo()
    monkeypatch.setenv("FTL_WORKERS", "1")
    assert numbers(stage("a")) == ["0\n", "1\n", "2\n"]


def test_a_stage_that_was_never_finished_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "stage" / "part0").mkdir(parents=True)
    with pytest.raises(UserError, match="stage: not a finished stage"):
        unit_folders(tmp_path / "stage")


def test_a_worker_that_is_killed_is_explained(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_WORKERS", "2")
    with pytest.raises(UserError, match="worker process was killed .*finished parts are kept.*FTL_WORKERS=1"):
        stage(part2=die)


def cost_of(out: Path, part: str) -> dict[str, Any]:
    return json.loads((out / part / "cost.json").read_text())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_part_says_what_it_cost(stage, monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("FTL_WORKERS", workers)
    out = stage(part1=lambda folder, report: time.sleep(0.5)) if workers == "1" else stage()
    costs = [cost_of(out, f"part{k}") for k in range(3)]
    assert all(cost["wall_seconds"] > 0 and not cost["resumed"] for cost in costs)
    if workers == "1":
        assert costs[1]["wall_seconds"] >= 0.5


def test_a_part_that_was_killed_goes_on_counting(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_WORKERS", "2")
    monkeypatch.setattr(measured, "NOTE_SECONDS", 0.0)
    with pytest.raises(UserError, match="was killed"):
        stage(part2=sleep_and_die)
    cost = cost_of(stage(), "part2")
    assert cost["resumed"] is True
    assert cost["wall_seconds"] >= 0.5


def test_parts_that_were_finished_keep_their_cost(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TelemetryError):
        stage(part0=slow_number, part2=refuse)
    assert cost_of(stage(), "part0")["wall_seconds"] >= 0.5


def test_costs_are_in_no_key(stage) -> None:
    first = stage_key(stage("a"))
    cost = cost_of(stage("b"), "part0")
    out = stage("a")
    assert cost_of(out, "part0") != cost, "measured anew"
    assert stage_key(out) == first


def test_a_meter_that_is_unknown_is_refused_before_anything_is_computed(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_ENERGY", "watts")
    with pytest.raises(UserError, match="FTL_ENERGY: unknown 'watts'"):
        stage(part0=die)


@pytest.mark.parametrize("asked", ["0", "two", "-1", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("FTL_WORKERS", asked)
    with pytest.raises(UserError, match=f"FTL_WORKERS must be a number >= 1; got '{asked}'"):
        worker_count()
