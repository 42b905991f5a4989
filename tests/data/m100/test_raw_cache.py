"""The cache of windowed metrics: made once, gone on with after a kill, never half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ftl.errors import TelemetryError
from tests.data.m100.conftest import OpenRaw
from tests.data.m100.exadata import metric_folder, month_start, samples, write_metric, write_month

START = month_start("21-03")
METRICS = ["ambient", "p0_power", "pcie", "total_power"]


@pytest.fixture
def month(tree: Path) -> Path:
    return write_month(tree, "21-03", METRICS, nodes=[1, 2], days=0.1, step=60)


def entries(cache: Path) -> dict[str, int]:
    """Finished entries and when each was written."""
    return {path.name.removesuffix(".json"): path.stat().st_mtime_ns for path in cache.glob("*/*.json")}


def test_every_metric_is_reduced_once(month: Path, raw: OpenRaw, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    raw().materialise(lambda done, total, what: told.append((done, total)))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    made = entries(tmp_path / "cache")
    raw(label="worst").materialise(lambda done, total, what: told.append((done, total)))
    assert told[5:] == [(1, 1)]
    assert [name for name in entries(tmp_path / "cache") if name not in made] == ["21-03.nagios.worst"]
    assert made.items() <= entries(tmp_path / "cache").items()


def test_a_file_that_changed_is_read_again(month: Path, raw: OpenRaw) -> None:
    before = raw().read_node("1").values
    write_metric(month, "21-03", "pcie", [START], [1], np.array([77]))
    told: list[tuple[int, int]] = []
    source = raw()
    source.materialise(lambda done, total, what: told.append((done, total)))
    assert told == [(1, 1)]
    after = source.read_node("1").values
    assert after[0, 4] == 77
    assert np.isnan(after[1:, 4:6]).all()
    np.testing.assert_array_equal(after[:, :4], before[:, :4])


def test_an_entry_that_was_damaged_is_made_again(month: Path, raw: OpenRaw, tmp_path: Path) -> None:
    wanted = raw().read_node("1").values
    (folder,) = (tmp_path / "cache").glob("[0-9a-f]*")
    (folder / "21-03.ipmi.pcie.npy").unlink()
    os.truncate(folder / "21-03.ipmi.ambient.npy", 100)
    (folder / "21-03.ipmi.p0_power.json").write_text("{")
    np.testing.assert_array_equal(raw().read_node("1").values, wanted)


def test_a_cache_that_vanishes_while_it_is_read_is_named(month: Path, raw: OpenRaw, tmp_path: Path) -> None:
    source = raw()
    source.materialise()
    next((tmp_path / "cache").glob("*/21-03.ipmi.pcie.npy")).unlink()
    with pytest.raises(TelemetryError, match=r"pcie.npy: missing or damaged .*run the same command again"):
        source.read_node("1")


def test_a_failure_keeps_what_is_finished_and_leaves_nothing_half_written(
    month: Path, raw: OpenRaw, tmp_path: Path
) -> None:
    path = metric_folder(month, "21-03", "pcie") / "a_0.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(TelemetryError, match="metric=pcie"):
        raw().materialise()
    made = entries(tmp_path / "cache")
    assert sorted(made) == ["21-03.ipmi.ambient", "21-03.ipmi.p0_power"]
    path.write_bytes(content)
    raw().materialise()
    assert made.items() <= entries(tmp_path / "cache").items()
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    month: Path, raw: OpenRaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    real = Path.open

    def open_on_full_disk(self: Path, mode: str = "r", *args, **settings):
        return real(full if mode == "wb" and "p0_power" in self.name else self, mode, *args, **settings)

    with monkeypatch.context() as patched:  # the error itself is the system's own
        patched.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(
            TelemetryError, match=r"21-03.ipmi.p0_power.npy: the disk is full .*finished metrics are kept"
        ):
            raw().materialise()
    assert sorted(path.name for path in (tmp_path / "cache").glob("*/*")) == [
        "21-03.ipmi.ambient.json",
        "21-03.ipmi.ambient.npy",
        "lock",
    ]
    assert raw().node_ids() == ["1", "2"]


def test_a_cache_that_cannot_be_written_is_refused(month: Path, raw: OpenRaw, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TelemetryError, match=r"windows cannot be kept there .*--with cache=FOLDER"):
        raw(cache=tmp_path / "file").node_ids()


SCRIPT = """
import sys
from ftl.data.m100 import materialise
from ftl.data.m100.raw import M100RawSource

real, left = materialise.run_job, int(sys.argv[3])

def slowly(job):
    global left
    if not left:
        print("waiting", flush=True)
        sys.stdin.read()
    left -= 1
    real(job)

materialise.run_job = slowly
source = M100RawSource(sys.argv[1], cache=sys.argv[2])
print("opened", flush=True)
source.materialise()
print("done", flush=True)
"""


def start(month: Path, cache: Path, checkout: Path, n_before_waiting: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(month), str(cache), str(n_before_waiting)]
    return subprocess.Popen(command, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_killed_run_goes_on_between_metrics(month: Path, raw: OpenRaw, tmp_path: Path, checkout: Path) -> None:
    process = start(month, tmp_path / "cache", checkout, 2)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["opened\n", "waiting\n"]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    made = entries(tmp_path / "cache")
    assert sorted(made) == ["21-03.ipmi.ambient", "21-03.ipmi.p0_power"]
    told: list[tuple[int, int]] = []
    source = raw()
    source.materialise(lambda done, total, what: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert made.items() <= entries(tmp_path / "cache").items()
    assert source.fingerprint() == raw(cache=tmp_path / "fresh").fingerprint()


def test_two_processes_do_not_fill_a_cache_at_once(month: Path, tmp_path: Path, checkout: Path) -> None:
    first = start(month, tmp_path / "cache", checkout, 1)
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["opened\n", "waiting\n"]
    second = start(month, tmp_path / "cache", checkout, 0)  # would print "waiting" if it had anything to do
    assert second.stdout is not None
    assert second.stdout.readline() == "opened\n"
    time.sleep(0.5)
    assert second.poll() is None
    first.communicate("", timeout=60)
    out, _ = second.communicate("", timeout=60)
    assert out == "done\n"


@pytest.mark.slow
def test_workers_side_by_side_make_the_same_entries(
    month: Path, raw: OpenRaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = raw().fingerprint()
    monkeypatch.setenv("FTL_WORKERS", "2")
    assert raw(cache=tmp_path / "other").fingerprint() == wanted
    monkeypatch.setenv("FTL_WORKERS", "many")
    with pytest.raises(Exception, match="FTL_WORKERS must be a number"):
        raw(cache=tmp_path / "third").node_ids()


PEAK = """
import re, sys
from ftl.data.m100.raw import M100RawSource

M100RawSource(sys.argv[1], metrics=[sys.argv[2]], cache=sys.argv[3]).materialise()
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples(tree: Path, tmp_path: Path, checkout: Path) -> None:
    """Peaks of fresh processes that fill the same windows: the greater one's columns alone would take 100 MB."""
    for metric, step in (("small", 20), ("big", 2)):
        content = samples(range(20), START, 5 * 86_400, step, np.random.default_rng(0), jitter=0)
        write_metric(tree, "21-03", metric, *content, row_group_size=1 << 17)
    peaks = {}
    for metric in ("small", "big"):
        command = [sys.executable, "-c", PEAK, str(tree), metric, str(tmp_path / "cache")]
        peaks[metric] = float(subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout)
    assert peaks["big"] - peaks["small"] < 40
