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
from ftl.cli import main
from ftl.evaluation.results import read_results, results_digest

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


@pytest.mark.parametrize("number", [3, 124, 178, 203, 243, 277, 293, 310])
def test_a_run_killed_at_any_write_ends_with_the_same_tables(
    command, uninterrupted, one_part_each: tuple[str, ...], number: int
) -> None:
    run = command(*one_part_each)
    killed = run.start(prepare=partial(die_before_write, run.out, number))
    _, status = os.waitpid(killed.pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, run.log.read_text()
    run.finish()
    assert run.tables() == uninterrupted(*one_part_each)
    assert not [path for path in (run.out / "work").iterdir() if path.suffix != ".lock"], "nothing is left over"


FOUR_PARTS = ("paradigms=[unsupervised,supervised]", "seeds=[0,1]")


@pytest.fixture
def slow(one_part_each: tuple[str, ...]) -> tuple[str, ...]:
    """Settings of a run whose stages have four parts and last long enough to be hit."""
    return (*one_part_each, *FOUR_PARTS, "federate.n_rounds=12")


@contextlib.contextmanager
def group_of(process: psutil.Process) -> Iterator[None]:
    """The process and its workers are gone at the end, whatever happens."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, 0)


@pytest.mark.parametrize("stage", ["local", "federate"])
def test_a_group_killed_in_the_middle_of_a_stage_goes_on_from_there(
    command, uninterrupted, slow: tuple[str, ...], stage: str
) -> None:
    run = command(*slow)
    process = run.start(workers=2)
    with group_of(process):
        run.wait_for(f"work/{stage} small-*/*-seed?", process)
    said = run.finish(workers=2)
    assert run.tables() == uninterrupted(*slow)
    parts_kept = any(
        f"{stage} small: {n} of 4 parts are done already, going on from there" in said for n in range(1, 5)
    )
    # On a busy machine the kill may come when all parts are done; then the stage says nothing, as it does nothing.
    assert parts_kept or f"{stage} small:" not in said
    if stage == "federate":
        assert "local small:" not in said, "a finished stage is not run again"


def test_a_long_fit_goes_on_from_its_checkpoint(
    command, uninterrupted, one_part_each: tuple[str, ...], tmp_path: Path
) -> None:
    """With a checkpoint after every epoch; killed after five of twelve rounds."""
    settings = (*one_part_each, "federate.n_rounds=12")
    run = command(*settings)
    epochs = tmp_path / "epochs"
    fit = ftl.experiment.task.fit_fleet

    def note_epochs(last: int | None) -> None:
        def fit_noting(*arguments: Any, report: Callable[[int, int], None], **more: Any) -> Any:
            def noted(done: int, total: int) -> None:
                report(done, total)
                if arguments[-1].name == "federated-0.checkpoint":
                    with epochs.open("a") as file:
                        file.write(f"{done}\n")
                    if done == last:
                        os.kill(os.getpid(), signal.SIGKILL)

            return fit(*arguments, report=noted, checkpoint_seconds=0.0, **more)

        ftl.experiment.task.fit_fleet = fit_noting

    os.waitpid(run.start(prepare=partial(note_epochs, 5)).pid, 0)
    assert list(run.out.glob("work/federate*/unsupervised-seed0.partial/federated-0.checkpoint"))
    run.finish(prepare=partial(note_epochs, None))
    assert [int(line) for line in epochs.read_text().split()] == [*range(1, 6), *range(5, 13)]
    assert run.tables() == uninterrupted(*settings)


def test_workers_end_by_themselves_when_their_parent_is_killed(command, uninterrupted, slow: tuple[str, ...]) -> None:
    run = command(*slow)
    process = run.start(workers=2)
    with group_of(process):
        run.wait_for("work/local*/*.partial", process)
        workers = process.children()
        assert len(workers) == 2
        process.kill()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive, "they would compute beside the run that takes over"
    run.finish(workers=2)
    assert run.tables() == uninterrupted(*slow)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_at_once_with_a_sentence_and_code_130(command, slow: tuple[str, ...], workers: int) -> None:
    run = command(*slow, "federate.n_rounds=5000")
    process = run.start(workers=workers)
    with group_of(process):
        run.wait_for("work/local*/*.partial", process)
        group = [process, *process.children()]
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, status = os.waitpid(process.pid, 0)
        assert time.monotonic() - began < 10, "parts that are under way are not waited for"
        assert not any(worker.is_running() for worker in group[1:])
    assert os.waitstatus_to_exitcode(status) == 130
    assert run.log.read_text().endswith("ftl: interrupted; the same command goes on from here\n")
    assert "Traceback" not in run.log.read_text()


@pytest.mark.slow
def test_the_command_itself_goes_on_after_a_kill(command, uninterrupted, slow: tuple[str, ...]) -> None:
    """As a user starts it: a new interpreter, nothing inherited."""
    run = command(*slow)
    words = [sys.executable, "-m", "ftl.cli", *run.words[1:]]
    environment = os.environ | {"FTL_WORKERS": "2"}
    with run.log.open("w") as log:
        started = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True, env=environment)
    process = psutil.Process(started.pid)
    with group_of(process):
        run.wait_for("work/local*/*-seed?", process)
    again = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "4 parts are done already, going on from there" in again.stdout
    assert run.tables() == uninterrupted(*slow)
