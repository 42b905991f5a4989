"""`ftl run` killed at any moment, then the same command again: the same tables, bit for bit, and no work done twice.

Most runs here are children forked from this process, which has torch in memory already: they are as mortal as any other
process, and start in no time.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

import ftl.experiment.task
from ftl.evaluation.results import read_results, results_digest

from ftl.cli import main

WRITES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "shutil.rmtree")


class Command:
    """`ftl run` on a fleet into a folder, as a process group of its own."""

    def __init__(self, fleet: Path, out: Path, *assignments: str) -> None:
        self.out, self.log = out, out.with_suffix(".log")
        self.words = ["ftl", "run", str(fleet), "--out", str(out)]
        for assignment in assignments:
            self.words += ["-S", assignment]

    def start(self, workers: int = 1, prepare: Callable[[], Any] = lambda: None) -> psutil.Process:
        """Start it; ``prepare`` is called in the new process."""
        pid = os.fork()
        return psutil.Process(pid) if pid else self._child(workers, prepare)

    def _child(self, workers: int, prepare: Callable[[], Any]) -> NoReturn:
        code = 70
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
            sys.argv = self.words
            os.environ["FTL_WORKERS"] = str(workers)
            prepare()
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os._exit(code)

    def finish(self, workers: int = 1, prepare: Callable[[], Any] = lambda: None) -> str:
        """Run it to its end; what it said."""
        _, status = os.waitpid(self.start(workers, prepare).pid, 0)
        said = self.log.read_text()
        assert os.waitstatus_to_exitcode(status) == 0, said
        return said

    def wait_for(self, pattern: str, process: psutil.Process) -> None:
        """Until a file of this pattern is in the folder of the run, which must go on meanwhile."""
        while not any(self.out.glob(pattern)):
            assert os.waitpid(process.pid, os.WNOHANG) == (0, 0), self.log.read_text()
            time.sleep(0.002)

    def tables(self) -> tuple[str, bytes]:
        return results_digest(read_results(self.out / "results.parquet")), (self.out / "summary.csv").read_bytes()


def die_before_write(out: Path, number: int) -> None:
    """Have this process killed just before it writes, moves or removes a file of the run for the number-th time."""
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in WRITES:
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if str(out) in str(arguments[0]) or event in ("os.remove", "os.rmdir"):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


@pytest.fixture
def command(fleet_folder: Path, tmp_path: Path) -> Callable[..., Command]:
    def make(*assignments: str, name: str = "out") -> Command:
        return Command(fleet_folder, tmp_path / name, *assignments)

    return make


@pytest.fixture(scope="module")
def uninterrupted(fleet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, bytes]]:
    """The tables of a run that nobody killed."""
    known: dict[tuple[str, ...], tuple[str, bytes]] = {}

    def tables(*assignments: str) -> tuple[str, bytes]:
        if assignments not in known:
            whole = Command(fleet_folder, tmp_path_factory.mktemp("uninterrupted") / "out", *assignments)
            whole.finish(workers=2)
            known[assignments] = whole.tables()
        return known[assignments]

    return tables


@pytest.mark.parametrize("number", [3, 17, 22, 30, 41, 46, 53, 68, 90, 105])
def test_a_run_killed_at_any_write_ends_with_the_same_tables(
    command, uninterrupted, one_part_each: tuple[str, ...], number: int
) -> None:
    run = command(*one_part_each)
    killed = run.start(prepare=partial(die_before_write, run.out, number))
    _, status = os.waitpid(killed.pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, run.log.read_text()
    run.finish()
    assert run.tables() == uninterrupted(*one_part_each)
    assert not list((run.out / "work").iterdir()), "nothing is left of the killed run"


LONG = ("paradigms=[unsupervised,supervised]", "seeds=[0,1]", "select.n_participants=[2]", "baselines=[pca]")
"""Four parts to a stage."""


@pytest.fixture
def slow(one_part_each: tuple[str, ...]) -> tuple[str, ...]:
    """Settings of a run whose federated stage takes a second or two."""
    return (*one_part_each, *LONG, "federate.n_rounds=60")


@contextlib.contextmanager
def group_of(process: psutil.Process) -> Iterator[list[psutil.Process]]:
    """The process and its workers, gone at the end."""
    group = [process, *process.children()]
    try:
        yield group
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, 0)


@pytest.mark.parametrize('w',[1,2])
@pytest.mark.parametrize('s',[signal.SIGINT,signal.SIGTERM])
def test_an_interrupt_ends_quickly_with_one_sentence(command, slow,w,s) -> None:
    run = command(*slow)
    process = run.start(workers=w)
    run.wait_for("work/federate*/*.partial", process)
    with group_of(process):
        time.sleep(.3)
        os.killpg(process.pid, s)
        t=time.time()
        _, status = os.waitpid(process.pid, 0)
        print('TOOK', time.time()-t, os.waitstatus_to_exitcode(status))
    print(run.log.read_text())
    assert 0
