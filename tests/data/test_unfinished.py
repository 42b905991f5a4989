"""A preparation that is killed, stopped or short of room goes on, and makes the fleet that it would have made."""

import os
import shutil
import signal
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftl.data.fleet import read_fleet
from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.unfinished import unfinished
from ftl.errors import TelemetryError, UserError
from tests.data.small_fleet import Tables, table, with_missing

WRITES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree")
Usage = namedtuple("Usage", "total used free")
SETTINGS = PrepareSettings(missing="forward_fill", alignment="union")


@dataclass
class Noted(Tables):
    """A source that notes every reading in a file, and may take its time."""

    log: Path | None = None
    seconds: float = 0.0

    def read_node(self, node_id: str) -> NodeTable:
        time.sleep(self.seconds)
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{node_id}\n")
        return super().read_node(node_id)


def tables() -> list[NodeTable]:
    gappy = with_missing(with_missing(table("n2"), slice(10, 13), 0), slice(60, 63), slice(None))
    return [table("n1"), gappy, table("short", 9), replace(table("n3"), features=("a", "b", "z"))]


def prepare(folder: Path, log: Path | None = None, settings: PrepareSettings = SETTINGS, **changes: Any) -> None:
    prepare_fleet(Noted(tables(), log=log, **changes), settings, "rigorous", folder)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("uninterrupted") / "fleet"
    prepare(folder)
    return content(folder)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_WORKERS", "1")


def killed_before_write(folder: Path, number: int) -> bool:
    """Prepare in a process that is killed before it writes into `folder` for the number-th time; False: it finished."""
    child = os.fork()
    if child == 0:
        count = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event not in WRITES or str(folder) not in str(arguments[0]):
                return
            if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
                return
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            prepare(folder / "fleet")
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_a_preparation_killed_at_any_write_ends_with_the_same_bytes(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    number = 1
    while killed_before_write(tmp_path / str(number), number):
        folder = tmp_path / str(number) / "fleet"
        prepare(folder)
        assert content(folder) == uninterrupted, f"killed before write {number}"
        assert [path.name for path in folder.parent.iterdir()] == ["fleet"]
        number += 6
    assert number > 60


def test_a_preparation_killed_while_it_replaces_a_fleet_leaves_one_of_the_two(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    number = 59
    older = replace(SETTINGS, gap=1)
    while True:
        folder = tmp_path / str(number) / "fleet"
        prepare(folder, settings=older)
        if not killed_before_write(folder.parent, number):
            break
        if folder.exists():
            assert read_fleet(folder).report["settings"]["gap"] in (1, SETTINGS.gap)
        prepare(folder)
        assert content(folder) == uninterrupted
        number += 4


@pytest.mark.parametrize("workers", ["1", "3"])
def test_what_was_finished_is_not_read_again(
    tmp_path: Path, uninterrupted: dict[str, bytes], workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTL_WORKERS", workers)
    child = os.fork()
    if child == 0:
        prepare(tmp_path / "fleet", tmp_path / "log", seconds=0.15)
        os._exit(0)
    while not list((tmp_path / ".fleet.partial" / "nodes").glob("*.survey.npz")):
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    time.sleep(0.5)  # its processes have noticed
    kept = {path.name[:6] for path in (tmp_path / ".fleet.partial" / "nodes").glob("*.survey.npz")}
    (tmp_path / "log").unlink()
    prepare(tmp_path / "fleet", tmp_path / "log")
    assert content(tmp_path / "fleet") == uninterrupted
    again = (tmp_path / "log").read_text().split() if (tmp_path / "log").exists() else []
    assert len(again) == 4 - len(kept) < 4


@pytest.mark.parametrize("workers", ["2", "3"])
def test_the_number_of_processes_does_not_change_a_byte(
    tmp_path: Path, uninterrupted: dict[str, bytes], workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTL_WORKERS", workers)
    prepare(tmp_path / "fleet")
    assert content(tmp_path / "fleet") == uninterrupted


def test_every_node_is_read_once(tmp_path: Path) -> None:
    prepare(tmp_path / "fleet", tmp_path / "log")
    assert (tmp_path / "log").read_text().split() == ["n1", "n2", "short", "n3"]


def test_what_is_left_of_other_settings_is_not_taken_up(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    stop(tmp_path / "fleet", after="measuring")
    prepare(tmp_path / "fleet", tmp_path / "log", settings=replace(SETTINGS, gap=1))
    assert len((tmp_path / "log").read_text().split()) == 4
    assert read_fleet(tmp_path / "fleet").report["settings"]["gap"] == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "log"] == ["fleet"]


def stop(folder: Path, after: str) -> None:
    """An interruption by hand."""

    def interrupt(done: int, total: int, what: str) -> None:
        if (what, done) == (after, total):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_fleet(Noted(tables()), SETTINGS, "rigorous", folder, interrupt)


@pytest.mark.parametrize("after", ["reading", "splitting", "counting", "planning", "measuring", "writing"])
def test_an_interrupted_preparation_goes_on(tmp_path: Path, uninterrupted: dict[str, bytes], after: str) -> None:
    stop(tmp_path / "fleet", after)
    assert not (tmp_path / "fleet").exists()
    prepare(tmp_path / "fleet", tmp_path / "log")
    assert content(tmp_path / "fleet") == uninterrupted
    assert not (tmp_path / "log").exists()


def test_a_disk_without_room_is_named_and_what_was_read_is_kept(
    tmp_path: Path, uninterrupted: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 0, 5000))
        with pytest.raises(
            UserError, match=r"/fleet: the fleet needs [\d.]+ kB more on this disk \([\d,]+ bytes\), 5.0 kB are free"
        ) as told:
            prepare(tmp_path / "fleet")
    assert "free some space and run the same command again" in str(told.value)
    needed = int(str(told.value).split(" bytes)")[0].rsplit("(", 1)[1].replace(",", ""))
    rows = {name: len(uninterrupted[f"{name}.npy"]) - 128 for name in ("x", "label", "time", "part", "lent")}
    assert needed >= sum(rows.values())
    prepare(tmp_path / "fleet", tmp_path / "log")
    assert content(tmp_path / "fleet") == uninterrupted
    assert (tmp_path / "log").read_text().split() == ["n1", "n2"] * 2  # there was room for the values of the last one


def test_telemetry_that_cannot_be_used_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="none of the 1 nodes can be used"):
        prepare_fleet(Tables([table("n1", 3)]), SETTINGS, "rigorous", tmp_path / "fleet")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_content_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "thesis.tex").write_text("years of work")
    with pytest.raises(TelemetryError, match="exists and is no prepared fleet"):
        prepare(tmp_path / "fleet")
    assert [path.name for path in tmp_path.iterdir()] == ["fleet"]


@pytest.mark.parametrize("place", ["a file/fleet", "a file/below/fleet"])
def test_a_folder_that_cannot_be_made_is_named_before_anything_is_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(UserError, match=f"{place}: cannot be made: .*a file is a file; name another folder"):
        prepare(tmp_path / place, tmp_path / "log")
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_a_folder_that_must_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # as on a disk mounted read-only
    with pytest.raises(UserError, match=rf"fleet: cannot be made: {tmp_path} cannot be written"):
        prepare(tmp_path / "fleet")


def test_a_folder_that_cannot_be_made_after_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="x: cannot be made: File name too long"):
        prepare(tmp_path / ("x" * 250))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[threading.Event]:
    """Somebody prepares into `fleet` until the event is set."""
    ready, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with unfinished(tmp_path / "fleet", "key") as partial:
            (partial / "fleet" / "fleet.json").write_text("first")
            ready.set()
            go_on.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    yield go_on
    go_on.set()
    thread.join()


def test_two_processes_do_not_prepare_one_fleet_at_a_time(
    tmp_path: Path, held: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    threading.Timer(0.2, held.set).start()
    began = time.monotonic()
    with unfinished(tmp_path / "fleet", "key") as partial:
        assert time.monotonic() - began > 0.15
        assert list((partial / "fleet").iterdir()) == []  # the first one has taken what it made to its place
        (partial / "fleet" / "fleet.json").write_text("second")
    assert "another process is preparing this fleet; waiting for it" in capsys.readouterr().out
    assert (tmp_path / "fleet" / "fleet.json").read_text() == "second"


def test_a_source_is_asked_to_make_its_tables_first_and_progress_is_told(tmp_path: Path) -> None:
    events: list[tuple[Any, ...]] = []

    class Raw(Tables):
        def materialise(self, progress: Any = None) -> None:
            progress(1, 1, "windows")

        def fingerprint(self) -> str:
            assert events == [(1, 1, "windows")]
            return "made"

    prepare_fleet(
        Raw([table("n1"), table("n2")]), SETTINGS, "rigorous", tmp_path / "fleet", lambda *e: events.append(e)
    )
    rounds = ["reading", "splitting", "counting", "grouping", "planning"]
    rounds += ["looking for counters", "measuring", "writing"]
    assert events[1:] == [(done, 2, what) for what in rounds for done in (1, 2)]


def test_rows_are_written_where_they_belong_whatever_the_order(tmp_path: Path) -> None:
    prepare(tmp_path / "fleet")
    fleet = read_fleet(tmp_path / "fleet")
    assert fleet.node_ids == ("n1", "n2", "n3")
    for node in range(3):
        first, last = fleet.start[node], fleet.start[node + 1]
        assert (np.diff(fleet.time[first:last]) > 0).all()
