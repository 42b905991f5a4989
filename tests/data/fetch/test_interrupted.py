"""Full disks and killed processes: what has arrived is kept, and the next fetch goes on from there."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ftl
from ftl.data.fetch import FetchError, fetch_files
from ftl.data.fetch.download import part_of
from ftl.data.fetch.transfer import Transfer

KIB = 1 << 10
FETCH = "import typer; from ftl.cli.fetch import fetch; typer.run(fetch)"
LIMITED = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({500 * KIB}, {500 * KIB})); {FETCH}"


def fetch_in_a_process(program: str, zenodo, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, "m100", "--months", "21-03", "--out", str(out), "--zenodo", zenodo.url],
        env={**os.environ, "PYTHONPATH": str(Path(ftl.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_fetch_is_continued_to_the_same_bytes(ending, zenodo, server, month, out, recorder, content):
    zenodo.faults.append(lambda request, all_: request.send_file(all_, pause=0.1))
    process = fetch_in_a_process(FETCH, zenodo, out)
    part, deadline = part_of(out, month), time.monotonic() + 30
    while not (part.exists() and part.stat().st_size >= 256 * KIB):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(ending)
    process.communicate(timeout=30)
    kept = part.stat().st_size
    assert process.returncode != 0
    assert not (out / "21-03.tar").exists()
    assert fetch_files(server, [month], out, recorder) == ["21-03.tar"]
    assert (out / "21-03.tar").read_bytes() == content
    assert zenodo.ranges()[-1] == f"bytes={kept}-"
    assert recorder.progress[0] == kept


def test_too_small_a_disk_is_refused_before_the_download(zenodo, server, month, small_disk, recorder):
    (small_disk / "other").write_bytes(bytes(1200 * KIB))
    with pytest.raises(FetchError, match=r"1.0 MB are to come and [\d.]+ kB are free there"):
        fetch_files(server, [month], small_disk, recorder)
    assert zenodo.ranges() == []


def test_a_disk_that_fills_up_keeps_the_part_and_the_next_fetch_goes_on(
    zenodo, server, month, small_disk, recorder, content
):
    other = small_disk / "other"

    def fill(request, all_):
        other.write_bytes(bytes(1500 * KIB))
        request.send_file(all_)

    zenodo.faults.append(fill)
    with pytest.raises(FetchError, match=r"the disk is full; free some space and run the same command again"):
        fetch_files(server, [month], small_disk, recorder)
    kept = part_of(small_disk, month).stat().st_size
    assert 0 < kept < len(content)
    assert content.startswith(part_of(small_disk, month).read_bytes())
    other.unlink()
    fetch_files(server, [month], small_disk, recorder)
    assert (small_disk / "21-03.tar").read_bytes() == content
    assert zenodo.ranges()[-1] == f"bytes={kept}-"


def test_a_limit_on_the_size_of_files_is_named(zenodo, server, month, out, recorder, content):
    process = fetch_in_a_process(LIMITED, zenodo, out)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "takes no larger file" in errors
    assert part_of(out, month).stat().st_size == 500 * KIB
    fetch_files(server, [month], out, recorder)
    assert (out / "21-03.tar").read_bytes() == content


@pytest.mark.parametrize(
    ("code", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EIO, "cannot")]
)
def test_a_write_that_fails_says_how_far_it_came(code, message, server, month, tmp_path, recorder):
    class Failing(io.FileIO):  # stands for a disk that fails; a real one that is full needs a mount
        def write(self, data, /):
            if self.tell() >= 300 * KIB:
                raise OSError(code, os.strerror(code))
            return super().write(data[:1000])  # disks may take less than they are given

    with (
        Failing(tmp_path / "part", "a+") as part,
        pytest.raises(FetchError, match=f"after 308.1 kB of 1.0 MB: .*{message}"),
    ):
        Transfer(server, month, part, recorder).run()


def test_a_disk_that_takes_less_than_it_is_given_is_given_the_rest(server, month, tmp_path, recorder, content):
    class Slow(io.FileIO):  # as a disk may do that is nearly full
        def write(self, data, /):
            return super().write(data[:1000])

    with Slow(tmp_path / "part", "a+") as part:
        Transfer(server, month, part, recorder).run()
    assert (tmp_path / "part").read_bytes() == content


def test_a_folder_that_cannot_be_made_is_refused(server, month, tmp_path, recorder):
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match=r"--out .*file/m100: cannot be made: Not a directory"):
        fetch_files(server, [month], tmp_path / "file" / "m100", recorder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
