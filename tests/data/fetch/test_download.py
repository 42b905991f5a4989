import json
import os
import threading
import time
from dataclasses import replace
from functools import partial

import pytest

from ftl.data.fetch import FetchError, Silent, download, fetch_files, plan
from ftl.data.fetch.download import part_of

KIB = 1 << 10


def cut(request, content, at=600 * KIB):
    """All is announced; the connection ends early."""
    request.send_file(content, stop=at)


def without_range(request, content, stop=None):
    request.head(200, len(content))
    request.wfile.write(content[:stop])


def without_length(request, content, extra=b""):
    request.head(200, None)
    request.wfile.write(content + extra)


def another_range(request, content):
    request.head(206, 10, Content_Range=f"bytes 0-9/{len(content)}")
    request.wfile.write(content[:10])


def busy(request, _, status=503, **headers):
    request.send_text(status, b"later", **headers)


def stalled(request, content):
    request.send_file(content, stop=300 * KIB)
    time.sleep(0.6)  # the client waits 0.3 s


def slowly(request, content):
    request.send_file(content, pause=0.05)


def damaged(request, content):
    request.send_file(content[:-1] + bytes([content[-1] ^ 1]))


def begin(out, month, n_bytes, content):
    """What an earlier fetch left."""
    out.mkdir(exist_ok=True)
    part_of(out, month).write_bytes(content[:n_bytes])


def test_a_file_arrives_whole_under_its_name(server, month, out, recorder, content):
    assert fetch_files(server, [month], out, recorder) == ["21-03.tar"]
    assert (out / "21-03.tar").read_bytes() == content
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == ["21-03.tar", "SOURCE.json"]
    assert recorder.progress == sorted(recorder.progress)
    assert recorder.progress[-1] == len(content)


def test_the_source_of_every_file_is_noted(server, month, out, recorder):
    fetch_files(server, [month], out, recorder)
    source = json.loads((out / "SOURCE.json").read_text())
    noted = source["files"]["21-03.tar"]
    assert {key: noted[key] for key in ("record", "doi", "licence", "url", "size", "md5", "title")} == {
        "record": 7589131,
        "doi": "10.5281/zenodo.7589131",
        "licence": "cc-by-4.0",
        "url": month.url,
        "size": month.size,
        "md5": month.md5,
        "title": "M100 dataset",
    }
    assert noted["verified"].endswith("+00:00")
    assert "Scientific Data 10, 288" in source["cite"]


@pytest.mark.parametrize(
    "faults",
    [
        [cut],
        [cut, partial(cut, at=900 * KIB), partial(cut, at=960 * KIB)],
        [partial(busy, status=429), partial(busy, status=500), busy],
        [cut, busy, partial(busy, status=504)],
        [stalled],
        [cut, without_range],
        [cut, another_range],
        [without_length],
        [lambda request, content: without_length(request, content[: 700 * KIB])],
    ],
    ids=["cut", "cut often", "busy", "cut and busy", "stalled", "range ignored", "wrong range", "no length", "too few"],
)
def test_the_same_bytes_arrive_in_spite_of(faults, zenodo, server, month, out, recorder, content):
    zenodo.faults.extend(faults)
    fetch_files(server, [month], out, recorder)
    assert (out / "21-03.tar").read_bytes() == content
    assert not zenodo.faults


def test_after_a_cut_only_the_rest_is_asked_for(zenodo, server, month, out, recorder):
    zenodo.faults.append(cut)
    fetch_files(server, [month], out, recorder)
    first, second = zenodo.ranges()
    start = int(second.removeprefix("bytes=").rstrip("-"))
    assert first is None
    assert 600 * KIB - (1 << 16) <= start <= 600 * KIB  # a cut loses one chunk at most


def test_a_server_that_never_gets_further_is_given_up_and_the_part_kept(zenodo, server, month, out, recorder, content):
    zenodo.faults.extend([cut] + [lambda request, all_: without_range(request, all_, stop=500 * KIB)] * 20)
    with pytest.raises(FetchError, match=r"given up after 4 attempts.*What has arrived is kept"):
        fetch_files(server, [month], out, recorder)
    assert len(zenodo.ranges()) == 4  # the first got further than the three that began anew
    assert not (out / "21-03.tar").exists()
    assert content.startswith(part_of(out, month).read_bytes())


def test_a_cut_that_brought_bytes_does_not_count_as_a_failure_in_a_row(zenodo, server, month, out, recorder, content):
    zenodo.faults.extend([partial(cut, at=128 * KIB * step) for step in range(1, 8)])
    fetch_files(server, [month], out, recorder)  # seven cuts; four in a row would end it
    assert (out / "21-03.tar").read_bytes() == content


def test_waits_double_and_a_longer_wait_that_the_server_asks_for_is_kept(zenodo, server, month, out, recorder):
    zenodo.faults.extend([busy, partial(busy, status=429, Retry_After="30"), busy])
    fetch_files(server, [month], out, recorder)
    assert recorder.waits == [1.0, 30.0, 4.0]


def test_a_rate_limits_reset_is_waited_for(zenodo, server, month, out, recorder):
    reset = str(int(time.time()) + 100)
    zenodo.faults.append(partial(busy, status=429, X_RateLimit_Reset=reset))
    fetch_files(server, [month], out, recorder)
    assert 90 < recorder.waits[0] <= 100


def test_a_server_that_asks_for_an_hour_is_not_waited_for(zenodo, server, month, out, recorder):
    zenodo.faults.append(partial(busy, Retry_After="3600"))
    with pytest.raises(FetchError, match="asks to wait 60 minutes"):
        fetch_files(server, [month], out, recorder)
    assert recorder.waits == []


def test_wrong_bytes_are_removed_and_refused(zenodo, server, month, out, recorder):
    zenodo.faults.append(damaged)
    with pytest.raises(FetchError, match=f"not {month.md5} as record 7589131 says; it was removed"):
        fetch_files(server, [month], out, recorder)
    assert list(out.glob("21-03*")) == []


def test_a_damaged_part_of_an_earlier_run_is_fetched_anew(zenodo, server, month, out, recorder, content):
    begin(out, month, 500 * KIB, bytes(len(content)))
    fetch_files(server, [month], out, recorder)
    assert (out / "21-03.tar").read_bytes() == content
    assert zenodo.ranges() == [f"bytes={500 * KIB}-", None]
    assert "from its beginning" in recorder.told()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda request, content: without_length(request, content, extra=b"more"), "sends more than the 1048576 bytes"),
        (lambda request, content: request.send_file(content + b"more"), "has 1048580 bytes"),
        (lambda request, content: request.send_file(content[:-4]), "has 1048572 bytes"),
        (lambda request, _: request.send_text(200, b"<html>Log in to this network</html>"), r"\(text/html\)"),
        (lambda request, _: request.send_text(403, b"no"), "answered 403"),
        (lambda request, _: request.head(200, 3, Content_Encoding="gzip"), "compressed"),
    ],
    ids=["endless", "longer", "shorter", "another page", "forbidden", "compressed"],
)
def test_an_answer_that_is_not_the_file_is_refused(fault, message, zenodo, server, month, out, recorder):
    zenodo.faults.append(fault)
    with pytest.raises(FetchError, match=message):
        fetch_files(server, [month], out, recorder)
    assert list(out.glob("21-03*")) == []


def test_a_file_that_shrank_on_the_server_is_refused_and_the_part_kept(zenodo, server, month, out, recorder, content):
    begin(out, month, 500 * KIB, content)
    zenodo.faults.append(lambda request, _: request.head(416, 0))
    with pytest.raises(FetchError, match="has no more than 512000 bytes"):
        fetch_files(server, [month], out, recorder)
    assert part_of(out, month).stat().st_size == 500 * KIB


def test_a_file_that_grew_on_the_server_is_not_continued(zenodo, server, month, out, recorder, content):
    begin(out, month, 500 * KIB, content)
    zenodo.faults.append(lambda request, all_: request.send_file(all_ + b"more"))
    with pytest.raises(FetchError, match="has 1048580 bytes, not 1048576"):
        fetch_files(server, [month], out, recorder)
    assert part_of(out, month).stat().st_size == 500 * KIB


def test_a_part_that_only_lacks_its_name_is_not_downloaded_again(zenodo, server, month, out, recorder, content):
    begin(out, month, len(content), content)
    fetch_files(server, [month], out, recorder)
    assert (out / "21-03.tar").read_bytes() == content
    assert zenodo.ranges() == []


def test_the_part_of_another_version_is_not_continued(server, month, out, recorder, content):
    begin(out, replace(month, md5="0" * 32), 500 * KIB, bytes(len(content)))
    fetch_files(server, [month], out, recorder)
    assert (out / "21-03.tar").read_bytes() == content
    assert list(out.glob("*.part")) == []


def test_a_finished_file_is_neither_downloaded_nor_read_again(zenodo, server, month, out, recorder):
    fetch_files(server, [month], out, recorder)
    assert plan([month], out)[0].state == "complete"
    assert fetch_files(server, [month], out, recorder) == []
    assert len(zenodo.ranges()) == 1
    assert "computing" not in recorder.told()


def test_a_finished_file_that_was_written_to_is_checked_again(zenodo, server, month, out, recorder):
    fetch_files(server, [month], out, recorder)
    source = (out / "SOURCE.json").read_bytes()
    os.utime(out / "21-03.tar", (time.time() + 9, time.time() + 9))
    assert fetch_files(server, [month], out, recorder) == []
    assert "computing its md5" in recorder.told()
    assert len(zenodo.ranges()) == 1
    assert (out / "SOURCE.json").read_bytes() == source  # or DVC would see changed data


def test_verify_finds_a_file_that_rotted(server, month, out, recorder, content):
    fetch_files(server, [month], out, recorder)
    path, before = out / "21-03.tar", (out / "21-03.tar").stat()
    path.write_bytes(b"x" + content[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    fetch_files(server, [month], out, recorder)
    with pytest.raises(FetchError, match="remove it to have it fetched"):
        fetch_files(server, [month], out, recorder, verify=True)


def test_a_file_that_came_otherwise_is_checked_and_noted(zenodo, server, month, out, recorder, content):
    out.mkdir()
    (out / "21-03.tar").write_bytes(content)
    assert plan([month], out)[0].state == "to be checked"
    assert fetch_files(server, [month], out, recorder) == []
    assert plan([month], out)[0].state == "complete"
    assert zenodo.ranges() == []


def test_another_file_of_that_name_is_left_alone(server, month, out, recorder):
    out.mkdir()
    (out / "21-03.tar").write_bytes(b"mine")
    with pytest.raises(FetchError, match="there is a file of this name with 4 bytes"):
        fetch_files(server, [month], out, recorder)
    assert (out / "21-03.tar").read_bytes() == b"mine"


def test_files_before_the_one_that_fails_stay(zenodo, server, month, out, recorder, content):
    lost = replace(month, key="21-04.tar", url=f"{zenodo.url}/lost")
    with pytest.raises(FetchError, match=r"21-04.tar: .*/lost answered 404"):
        fetch_files(server, [month, lost], out, recorder)
    assert (out / "21-03.tar").read_bytes() == content
    assert list(json.loads((out / "SOURCE.json").read_text())["files"]) == ["21-03.tar"]


def test_a_broken_source_json_is_refused_by_name(server, month, out, recorder):
    fetch_files(server, [month], out, recorder)
    (out / "SOURCE.json").write_text("{")
    with pytest.raises(FetchError, match=r"SOURCE.json: cannot be read"):
        fetch_files(server, [month], out, recorder)


def test_two_fetches_of_one_file_download_it_once(zenodo, server, month, out, content):
    zenodo.faults.append(slowly)
    said: list[str] = []
    watchers = [Silent(), Silent()]
    for watcher in watchers:
        watcher.say = said.append
    fetched: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda w=watcher: fetched.append(fetch_files(server, [month], out, w)))
        for watcher in watchers
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert (out / "21-03.tar").read_bytes() == content
    assert sorted(fetched) == [[], ["21-03.tar"]]
    assert len(zenodo.ranges()) == 1
    assert any("another fetch is at it" in text for text in said)
    assert list(out.glob("*.part")) == []


def test_a_file_that_another_fetch_names_at_the_last_moment_is_left_as_it_is(
    zenodo, server, month, out, recorder, content, monkeypatch
):
    opened = download._opened

    def late(part):
        (out / "21-03.tar").write_bytes(content)  # between looking for the file and opening its part
        return opened(part)

    monkeypatch.setattr(download, "_opened", late)
    assert fetch_files(server, [month], out, recorder) == []
    assert zenodo.ranges() == []
    assert list(out.glob("*.part")) == []
