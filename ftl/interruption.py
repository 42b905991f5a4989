"""What a killed ``dvc repro`` leaves behind, mended before the next one: ``python -m ftl.interruption``.

Results are safe by themselves: DVC's cache and our checkpoints are written aside and moved into place. Three things are
not, and each makes the same command fail, or go wrong, when it is given again:

* ``.dvc/tmp/rwlock``, where a running DVC notes which files it reads and writes, is rewritten in place. Killed in
  between, DVC leaves it empty or cut short, and every later command ends with "JSON structure is corrupted".
  An entry can also outlive its process; once its pid belongs to another process, DVC believes that the files are busy.
* ``dvc.lock`` is rewritten in place as well; cut short, it ends every later command with "validation failed".
* A stage whose DVC was killed lives on and writes into the folders that the next run of the stage writes into.

Nothing is touched while a DVC of the same repository is alive, and everything that is done is said.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

T = TypeVar("T")

CLOCK_SLACK = 2.0  # seconds by which a process's start, counted from the machine's boot, may be off
GRACE = 5.0  # seconds a stage gets to end by itself


def heal_rwlock(repo: Path) -> str | None:
    """Removes a torn rwlock, and from a whole one the entries of processes that are gone.

    Args:
        repo: Top folder of the DVC repository, the one that holds ``.dvc``.

    Returns:
        One line on what was found and done; None where nothing was wrong.
    """
    path = repo / ".dvc" / "tmp" / "rwlock"
    if not path.is_file():
        return None
    with _sole_editor(path) as sole:
        if not sole:
            return None  # a DVC is writing it at this moment
        entries = _read_rwlock(path)
        if entries is None:
            if running := _running_dvc(repo):
                return f"{path} is torn, but DVC is still running here (pid {running[0]}): end it, then try again"
            path.unlink()
            return f"{path} was left torn by an interrupted DVC; removed it"
        return _drop_entries_of_the_dead(path, entries)


def heal_lockfile(repo: Path) -> str | None:
    """Sets a torn ``dvc.lock`` aside; DVC finds finished stages again in its run cache.

    A file with conflict marks of git is left alone: which side is right is not ours to say.

    Returns:
        One line on what was found and done; None where nothing was wrong.
    """
    path = repo / "dvc.lock"
    if not path.is_file() or _is_whole(text := path.read_text(encoding="utf-8", errors="replace")):
        return None
    if "<<<<<<<" in text:
        return f"{path} holds an unsolved merge: solve it, or take one side with git checkout --ours|--theirs dvc.lock"
    if running := _running_dvc(repo):
        return f"{path} is torn, but DVC is still running here (pid {running[0]}): end it, then try again"
    aside = repo / ".dvc" / "tmp" / "dvc.lock.torn"
    aside.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, aside)
    return f"{path} was left torn by an interrupted DVC; moved it to {aside}. Finished stages come from DVC's run cache"


def end_orphans(repo: Path) -> str | None:
    """Ends stages of this repository whose DVC is gone. What they have finished is kept and taken up again.

    Returns:
        One line that names them; None where there are none.
    """
    orphans = [process for process in _processes() if _is_orphan(process, repo)]
    for process in orphans:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(orphans, timeout=GRACE)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=GRACE)
    if not orphans:
        return None
    return f"ended what an interrupted DVC had left running: pid {', '.join(str(process.pid) for process in orphans)}"


@contextmanager
def _sole_editor(path: Path) -> Iterator[bool]:
    """Holds the lock under which DVC edits its rwlock; False where somebody else holds it."""
    with path.with_name("rwlock.lock").open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True  # closing the file lets go


def _read_rwlock(path: Path) -> dict[str, Any] | None:
    """The entries, ``{"read": {file: [holder, ...]}, "write": {file: holder}}``; None where they cannot be read."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        for holders in entries.get("read", {}).values():
            _ = [int(holder["pid"]) for holder in holders]
        for holder in entries.get("write", {}).values():
            _ = int(holder["pid"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return dict(entries)


def _drop_entries_of_the_dead(path: Path, entries: dict[str, Any]) -> str | None:
    written = path.stat().st_mtime
    holders = [holder for held in entries.get("read", {}).values() for holder in held]
    holders += entries.get("write", {}).values()
    dead = {int(holder["pid"]) for holder in holders if not _could_have_written(int(holder["pid"]), written)}
    if not dead:
        return None
    read = {file: [h for h in held if int(h["pid"]) not in dead] for file, held in entries.get("read", {}).items()}
    write = {file: holder for file, holder in entries.get("write", {}).items() if int(holder["pid"]) not in dead}
    aside = path.with_name("rwlock.part")
    aside.write_text(json.dumps({"read": {file: held for file, held in read.items() if held}, "write": write}))
    os.replace(aside, path)
    return f"{path} named processes that are gone (pid {', '.join(map(str, sorted(dead)))}); removed their entries"


def _could_have_written(pid: int, when: float) -> bool:
    """Is there a process with this pid that was there at that time? If it started later, the pid was given out anew.

    A killed process whose parent has not collected it (nobody does in many containers) still has its pid, which is
    enough for DVC to wait for it; it is gone nevertheless.
    """
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and bool(process.create_time() <= when + CLOCK_SLACK)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _is_whole(text: str) -> bool:
    """Does this dvc.lock have the form that DVC asks for? DVC always ends it with a newline."""
    try:
        content = yaml.safe_load(text)
        stages = list(content.get("stages", {}).values())
        files = [file for stage in stages for kind in ("deps", "outs") for file in stage.get(kind, [])]
        params = [keys for stage in stages for keys in stage.get("params", {}).values()]
    except (yaml.YAMLError, AttributeError, TypeError):
        return False
    if not all(isinstance(part, dict) for part in [*stages, *files, *params]):
        return False
    named = all("cmd" in stage for stage in stages) and all("path" in file for file in files)
    return text.endswith("\n") and "schema" in content and named


def _processes() -> Iterator[psutil.Process]:
    return (process for process in psutil.process_iter() if process.pid != os.getpid())


def _running_dvc(repo: Path) -> list[int]:
    """Pids of the DVC commands that were started inside this repository."""
    return [process.pid for process in _processes() if _is_dvc(process) and _works_in(process, repo)]


def _is_dvc(process: psutil.Process) -> bool:
    """Was it started as ``dvc ...``, ``python .../bin/dvc ...`` or ``python -m dvc ...``?"""
    words: list[str] = _quietly(process.cmdline) or []
    return "dvc" in (os.path.basename(word) for word in words[:2]) or words[1:3] == ["-m", "dvc"]


def _works_in(process: psutil.Process, repo: Path) -> bool:
    folder: str | None = _quietly(process.cwd)
    return folder is not None and Path(folder).is_relative_to(repo.resolve())


def _is_orphan(process: psutil.Process, repo: Path) -> bool:
    """Was it started by a DVC of this repository as (part of) a stage, and has no DVC above it any more?"""
    if "pipelines" not in " ".join(_quietly(process.cmdline) or []) or not _works_in(process, repo):
        return False
    root = (_quietly(process.environ) or {}).get("DVC_ROOT")
    if root is None or Path(root).resolve() != repo.resolve():
        return False
    return not any(_is_dvc(ancestor) for ancestor in _quietly(process.parents) or [])


def _quietly(ask: Callable[[], T]) -> T | None:
    """The answer, or None where the process is gone or not ours to ask."""
    try:
        return ask()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return None


def main() -> None:
    """Mends the repository in the working folder and says what it did."""
    for mend in (end_orphans, heal_rwlock, heal_lockfile):
        if line := mend(Path.cwd()):
            print(line)


if __name__ == "__main__":
    main()
