"""A killed `dvc repro` leaves torn files and orphans; with a real DVC, healing makes the same command work again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import loads_yaml

from ftl.interruption import end_orphans, heal_lockfile, heal_rwlock

DVC = [sys.executable, "-m", "dvc"]
COPY = 'import shutil; shutil.copy("in.txt", "out.txt")'
WAIT = "import time; time.sleep(60)"
STAGES = f"""
stages:
  copy:
    cmd: '"{sys.executable}" pipelines/copy_text.py'
    deps: [in.txt]
    outs: [out.txt]
  wait:
    cmd: '"{sys.executable}" pipelines/wait.py'
    deps: [in.txt]
    outs: [never.txt]
"""

LOCK = """\
schema: '2.0'
stages:
  copy@d1:
    cmd: cp in out
    deps:
    - path: in
      hash: md5
      md5: 764efa883dda1e11db47671c4a3bbd9e
      size: 3
    params:
      params.yaml:
        a.b: 1
    outs:
    - path: out
      hash: md5
      md5: 764efa883dda1e11db47671c4a3bbd9e
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A DVC repository whose stage `copy` takes no time and whose stage `wait` takes a minute."""
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    (tmp_path / "in.txt").write_text("telemetry\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "copy_text.py").write_text(COPY)
    (tmp_path / "pipelines" / "wait.py").write_text(WAIT)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    return tmp_path


@pytest.fixture
def waiting(repo: Path) -> Iterator[tuple[subprocess.Popen, psutil.Process]]:
    """A DVC in the middle of the stage `wait`, and that stage."""
    command = subprocess.Popen([*DVC, "repro", "wait"], cwd=repo, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        stage = eventually(lambda: next(iter(psutil.Process(command.pid).children()), None))
        eventually(lambda: "wait.py" in " ".join(stage.cmdline()))
        yield command, stage
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
        command.wait()


def dvc(repo: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DVC, *arguments], cwd=repo, capture_output=True, text=True, check=False)


def eventually(ask: Callable[[], object], seconds: float = 30) -> object:
    """The first true answer; fails where none comes in time."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return answer


def write_rwlock(repo: Path, **entries: object) -> Path:
    path = repo / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return path


def a_dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("left", ["", '{"write": {"out.txt": {"pid": 1'], ids=["empty", "cut short"])
def test_dvc_fails_on_a_torn_rwlock_and_works_after_healing(repo, left):
    (repo / ".dvc" / "tmp" / "rwlock").write_text(left)
    failed = dvc(repo, "repro", "copy")
    assert failed.returncode != 0
    assert "corrupted" in failed.stderr
    assert "removed it" in heal_rwlock(repo)
    assert dvc(repo, "repro", "copy").returncode == 0
    assert (repo / "out.txt").read_text() == "telemetry\n"


def test_a_rwlock_of_the_wrong_form_is_torn_too(tmp_path):
    path = write_rwlock(tmp_path, write={"out.txt": "1234"})
    assert "removed it" in heal_rwlock(tmp_path)
    assert not path.exists()


def test_entries_of_the_dead_go_and_entries_of_the_living_stay(tmp_path):
    dead, alive = {"pid": a_dead_pid(), "cmd": "dvc repro"}, {"pid": os.getpid(), "cmd": "dvc repro"}
    path = write_rwlock(tmp_path, read={"a": [dead, alive], "b": [dead]}, write={"c": dead, "d": alive})
    assert str(dead["pid"]) in heal_rwlock(tmp_path)
    assert json.loads(path.read_text()) == {"read": {"a": [alive]}, "write": {"d": alive}}


def test_a_pid_that_was_given_out_anew_does_not_hold_a_file(tmp_path):
    """Common in containers, where pids are small and start again with each container."""
    path = write_rwlock(tmp_path, write={"out.txt": {"pid": os.getpid(), "cmd": "dvc repro"}})
    long_ago = time.time() - 1e6
    assert psutil.Process().create_time() > long_ago
    os.utime(path, (long_ago, long_ago))
    assert "gone" in heal_rwlock(tmp_path)
    assert json.loads(path.read_text())["write"] == {}


def test_a_killed_process_that_nobody_has_collected_does_not_hold_a_file(tmp_path):
    """As after a kill of the whole process group: DVC's parent is gone as well, and DVC would call the file busy."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    path = write_rwlock(tmp_path, write={"out.txt": {"pid": process.pid, "cmd": "dvc repro"}})
    assert str(process.pid) in heal_rwlock(tmp_path)
    assert json.loads(path.read_text())["write"] == {}
    process.wait()


def test_a_rwlock_that_is_all_right_is_not_touched(tmp_path):
    assert heal_rwlock(tmp_path) is None
    path = write_rwlock(tmp_path)
    before = path.stat()
    assert heal_rwlock(tmp_path) is None
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_nothing_is_touched_while_dvc_is_alive(repo, waiting):
    rwlock = repo / ".dvc" / "tmp" / "rwlock"
    assert heal_rwlock(repo) is None
    rwlock.write_text("")
    (repo / "dvc.lock").write_text("schema: '2.0'\nsta")
    pid = str(waiting[0].pid)
    assert pid in heal_rwlock(repo)
    assert pid in heal_lockfile(repo)
    assert end_orphans(repo) is None
    assert rwlock.exists()
    assert (repo / "dvc.lock").exists()
    assert waiting[1].is_running()


def test_a_stage_that_outlived_its_dvc_is_ended(repo, waiting, tmp_path_factory):
    command, stage = waiting
    command.kill()
    command.wait()
    assert stage.is_running()
    assert end_orphans(tmp_path_factory.mktemp("another repository")) is None
    assert stage.is_running()
    assert str(stage.pid) in end_orphans(repo)
    assert not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE  # where nobody collects the dead
    assert str(command.pid) in heal_rwlock(repo)


def test_dvc_fails_on_a_torn_lockfile_and_finds_the_finished_stage_after_healing(repo):
    dvc(repo, "repro", "copy")
    lock = repo / "dvc.lock"
    whole = lock.read_text()
    assert heal_lockfile(repo) is None
    lock.write_text(whole[: whole.index("cmd:")])
    assert "validation failed" in dvc(repo, "repro", "copy").stderr
    assert "moved it" in heal_lockfile(repo)
    again = dvc(repo, "repro", "copy")
    assert again.returncode == 0
    assert "skipping run" in again.stdout
    assert lock.read_text() == whole


def test_whatever_dvc_refuses_in_a_lockfile_cut_anywhere_is_seen(tmp_path):
    lock = tmp_path / "dvc.lock"
    lock.write_text(LOCK)
    assert heal_lockfile(tmp_path) is None
    refused = [cut for cut in range(len(LOCK)) if not dvc_accepts(LOCK[:cut])]
    assert len(refused) > 20
    for cut in refused:
        lock.write_text(LOCK[:cut])
        assert heal_lockfile(tmp_path) is not None, LOCK[:cut]


def dvc_accepts(lock: str) -> bool:
    try:
        COMPILED_LOCKFILE_SCHEMA(loads_yaml(lock) or {})
    except Exception:
        return False
    return True


def test_an_unsolved_merge_is_left_to_the_user(tmp_path):
    lock = tmp_path / "dvc.lock"
    lock.write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> other\n")
    assert "merge" in heal_lockfile(tmp_path)
    assert lock.exists()


def test_the_module_mends_the_working_folder_and_says_so(tmp_path, checkout):
    write_rwlock(tmp_path).write_text("")
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "ftl.interruption"]
    first, second = (
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stdout.count("\n") == 1
    assert second.stdout == ""
