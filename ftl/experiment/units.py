"""Units of work that survive an interruption: each is computed once, by one of a few processes, and kept whole.

A stage is a list of units. A unit writes its files into a folder of its own, ``<name>.partial`` until it is finished
and ``<name>`` from then on; long fits keep their checkpoints in the partial folder. The folder above them carries a
key, a digest of everything that the results depend on, so that a second run goes on where the first one stopped, and
never with another run's files. What a unit cost stands in its folder too, and in no key.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import ftl
from ftl.errors import UserError
from ftl.experiment.measured import COST_FILE, measured
from ftl.experiment.progress import ProgressBoard, UnitReport
from ftl.metering import asked_meter
from ftl.processes import asked_workers, leave_ending_to, lock

UnitFunction = Callable[[Path, UnitReport], None]
"""(folder to write into, report of progress); must be picklable."""

STAGE_FILE = "stage.json"


@dataclass(frozen=True)
class Unit:
    """A piece of a stage."""

    name: str
    run: UnitFunction


def run_stage(stage: str, units: Iterable[Unit], out: Path, work: Path, *depends_on: Any) -> None:
    """Compute what is missing of a stage and put it into ``out``, one folder per unit.

    Args:
        work: Where unfinished stages keep their units.
        depends_on: All that the units' results depend on: settings, fingerprints of inputs.
    """
    key = digest(stage, *depends_on, _code_digest())
    folder = work / f"{stage}-{key[:16]}"
    with _alone(folder):
        _run_stage(stage, list(units), out, folder, key)


def _run_stage(stage: str, units: list[Unit], out: Path, folder: Path, key: str) -> None:
    if stage_key(out) == key:
        _remove(folder)
        return
    missing = [unit for unit in units if not (folder / unit.name).is_dir()]
    if len(missing) < len(units):
        print(
            f"{stage}: {len(units) - len(missing)} of {len(units)} parts are done already, going on from there",
            flush=True,
        )
    run_units(stage, missing, folder)
    _publish(folder, [unit.name for unit in units], out, key)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time works on a stage: a stage whose `dvc` was killed may still be at it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as held:
        message = f"{folder.name}: another process is working on this stage; waiting for it"
        lock(held.fileno(), wait=lambda: print(message, flush=True))
        yield


def run_units(title: str, units: list[Unit], folder: Path) -> None:
    """Run the units in ``folder``, several at once where there are several cores."""
    folder.mkdir(parents=True, exist_ok=True)
    asked_meter()  # a word that is unknown is refused here, before anything is computed
    n_workers = min(len(units), worker_count())
    with ProgressBoard(title, [unit.name for unit in units]) as board:
        if n_workers <= 1:
            for unit in units:
                _run_unit(unit, folder, board.report)
            return
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
        events = context.SimpleQueue()
        listener = threading.Thread(target=_listen, args=(events, board), daemon=True)
        listener.start()
        pool = ProcessPoolExecutor(
            n_workers, mp_context=context, initializer=_begin_worker, initargs=(os.getpid(), events)
        )
        try:
            for done in as_completed([pool.submit(_run_unit_in_worker, unit, folder) for unit in units]):
                done.result()
        except KeyboardInterrupt:
            for worker in multiprocessing.active_children():
                worker.kill()  # what they have finished is kept
            raise
        except BrokenProcessPool as error:
            raise UserError(
                f"{title}: a worker process was killed (out of memory?); finished parts are kept: run the same command "
                "again, with FTL_WORKERS=1 if memory is short"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            events.put(None)
            listener.join(timeout=5)


def worker_count() -> int:
    """Processes to use: ``FTL_WORKERS``, else one per core that this process may use, or one where there is a GPU."""
    asked = asked_workers()
    if asked is not None:
        return asked
    torch = sys.modules.get("torch")  # a stage without models does not wait for its import
    if torch is not None and torch.cuda.is_available():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def digest(*parts: Any) -> str:
    """A hash of settings, names and numbers."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True, default=_plain).encode(), digest_size=16).hexdigest()


def stage_key(out: Path) -> str | None:
    """The key of a finished stage, None where it is not finished."""
    try:
        return str(json.loads((out / STAGE_FILE).read_text())["key"])
    except (OSError, ValueError, KeyError):
        return None


def unit_folders(out: Path) -> list[Path]:
    """The folders of a finished stage's units, sorted by name."""
    if stage_key(out) is None:
        raise UserError(f"{out}: not a finished stage; run the pipeline again")
    return sorted(path for path in out.iterdir() if path.is_dir())


def _publish(folder: Path, names: list[str], out: Path, key: str) -> None:
    (out / STAGE_FILE).unlink(missing_ok=True)  # half removed, the old stage must not pass for a finished one
    if out.exists():
        shutil.rmtree(out)
    for name in names:
        (out / name).mkdir(parents=True)
        for path in sorted((folder / name).iterdir()):
            _link_or_copy(path, out / name / path.name)
    out.mkdir(parents=True, exist_ok=True)
    half = out / (STAGE_FILE + ".half")
    half.write_text(json.dumps({"key": key}) + "\n")
    os.replace(half, out / STAGE_FILE)
    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder of units; an interruption leaves none of them that would pass for whole."""
    removed = folder.with_name(f"{folder.name}.removed")
    shutil.rmtree(removed, ignore_errors=True)
    if folder.exists():
        os.replace(folder, removed)
        shutil.rmtree(removed)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _run_unit(unit: Unit, folder: Path, report: Callable[[str, str, int, int], None]) -> None:
    partial, finished = folder / f"{unit.name}.partial", folder / unit.name
    partial.mkdir(parents=True, exist_ok=True)

    with measured(partial / COST_FILE, folder / f"{unit.name}.cost") as note:

        def of_unit(step: str, done: int, total: int) -> None:
            note()
            report(unit.name, step, done, total)

        unit.run(partial, of_unit)
    for leftover in partial.glob("*.checkpoint"):
        leftover.unlink()
    os.replace(partial, finished)
    report(unit.name, "done", 1, 1)


_events: Any = None


def _begin_worker(parent: int, events: Any) -> None:
    global _events
    _events = events
    leave_ending_to(parent)


def _run_unit_in_worker(unit: Unit, folder: Path) -> None:
    _run_unit(unit, folder, lambda *event: _events.put(event))


def _listen(events: Any, board: ProgressBoard) -> None:
    while (event := events.get()) is not None:
        board.report(*event)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__name__: asdict(value)}
    return str(value)


@lru_cache
def _code_digest() -> str:
    """Digest of this package's source: parts computed by other code are not taken up again."""
    hashed = hashlib.blake2b(digest_size=16)
    root = Path(ftl.__file__).parent
    for path in sorted(root.rglob("*.py")):
        hashed.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return hashed.hexdigest()
