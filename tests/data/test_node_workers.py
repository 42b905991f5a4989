import os
import signal
import time
from pathlib import Path

import pytest

from ftl.data.node_workers import NodeWorkers
from ftl.errors import TelemetryError, UserError


def described(shared: str, number: int) -> tuple[str, int]:
    time.sleep(0.02 * (3 - number % 4))  # later ones are done earlier
    return shared, number


def process_of(shared: None, number: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def refuse(shared: None, number: int) -> int:
    if number >= 2:
        raise TelemetryError(f"node {number}: cannot be read")
    return number


def be_killed(shared: None, number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(params=["1", "2", "3"])
def n_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("FTL_WORKERS", request.param)
    return int(request.param)


def test_results_come_in_order_and_progress_with_them(n_processes: int) -> None:
    told = []
    with NodeWorkers("shared", lambda *event: told.append(event)) as workers:
        results = list(workers.each("reading", described, [(number,) for number in range(20)]))
        assert list(workers.each("reading", described, [])) == []
    assert results == [("shared", number) for number in range(20)]
    assert told == [(done, 20, "reading") for done in range(1, 21)]


def test_as_many_processes_work_as_are_asked_for(n_processes: int) -> None:
    with NodeWorkers(None) as workers:
        used = set(workers.each("working", process_of, [(number,) for number in range(12)]))
    assert len(used) == n_processes
    assert (os.getpid() in used) == (n_processes == 1)


def test_the_first_node_that_fails_is_named_whoever_comes_first(n_processes: int) -> None:
    with NodeWorkers(None) as workers, pytest.raises(TelemetryError, match="node 2: cannot be read"):
        list(workers.each("reading", refuse, [(number,) for number in range(6)]))


def test_little_work_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FTL_WORKERS", raising=False)
    with NodeWorkers(None) as workers:
        assert set(workers.each("working", process_of, [(0,), (1,)])) == {os.getpid()}


def test_much_work_is_shared_out_where_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FTL_WORKERS", raising=False)
    monkeypatch.setattr("ftl.data.node_workers.WORTH_A_PROCESS", 0.2)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    with NodeWorkers(None) as workers:
        used = list(workers.each("working", process_of, [(number,) for number in range(12)]))
    assert used[0] == os.getpid()
    assert len(set(used[1:])) == 3


def test_a_killed_process_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_WORKERS", "2")
    with NodeWorkers(None) as workers, pytest.raises(UserError, match="killed.*out of memory.*FTL_WORKERS=1"):
        list(workers.each("working", be_killed, [(0,), (1,), (2,)]))


@pytest.mark.parametrize("asked", ["0", "two", "-1"])
def test_a_wrong_number_of_processes_is_explained(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("FTL_WORKERS", asked)
    with pytest.raises(UserError, match="FTL_WORKERS must be a number >= 1"):
        NodeWorkers(None)


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os.environ["FTL_WORKERS"] = "2"
        with NodeWorkers(tmp_path) as workers:
            list(workers.each("sleeping", sleep_and_say, [(number,) for number in range(4)]))
        os._exit(0)
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sleep_and_say(folder: Path, number: int) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
