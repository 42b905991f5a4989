import hashlib

import pytest

from ftl.data.fetch import DATASETS, ZENODO, FetchError, Patience, Server, choose, resolve
from ftl.data.fetch.zenodo import on_server, read_record

RECORD = 7589131  # holds 21-03
MONTH = b"a month of telemetry"


def test_a_file_is_resolved_with_what_its_record_says(zenodo, server):
    zenodo.publish(RECORD, **{"21-03.tar": MONTH})
    month = resolve(server, choose(DATASETS["m100"], ["21-03"]))[0]
    assert (month.key, month.size, month.md5) == ("21-03.tar", len(MONTH), hashlib.md5(MONTH).hexdigest())
    assert (month.record, month.doi, month.licence) == (RECORD, f"10.5281/zenodo.{RECORD}", "cc-by-4.0")
    assert month.url == f"{zenodo.url}/api/records/{RECORD}/files/21-03.tar/content"


def test_months_of_one_record_ask_for_it_once(zenodo, server):
    zenodo.publish(RECORD, **{"21-03.tar": b"a", "21-04.tar": b"b"})
    files = resolve(server, choose(DATASETS["m100"], ["21-03", "21-04"]))
    assert [file.key for file in files] == ["21-03.tar", "21-04.tar"]
    assert len(zenodo.requests) == 1


def test_the_newest_version_is_taken_only_if_asked_for(zenodo, server):
    zenodo.publish(RECORD, **{"21-03.tar": b"old"})
    zenodo.publish(RECORD, number=9999999, **{"21-03.tar": b"newer"})
    choices = choose(DATASETS["m100"], ["21-03"])
    assert resolve(server, choices)[0].size == 3
    newest = resolve(server, choices, latest=True)[0]
    assert (newest.size, newest.record, newest.doi) == (5, 9999999, "10.5281/zenodo.9999999")


def test_a_month_that_the_record_lacks_is_refused_with_what_it_has(zenodo, server):
    zenodo.publish(RECORD, **{"21-01.tar": b"", "21-02.tar": b""})
    with pytest.raises(FetchError, match=r"no file 21-03.tar; it has: 21-01.tar, 21-02.tar"):
        resolve(server, choose(DATASETS["m100"], ["21-03"]))


def test_an_unknown_record_is_refused_with_the_address(zenodo, server):
    with pytest.raises(FetchError, match=f"{zenodo.url}/api/records/1: the server answered 404"):
        read_record(server, 1)


def test_a_web_page_instead_of_json_is_refused(zenodo, server):
    zenodo.publish(RECORD)
    zenodo.record_faults.append(lambda request, _: request.send_text(200, b"<html/>"))
    with pytest.raises(FetchError, match="no JSON but text/html"):
        read_record(server, RECORD)


@pytest.mark.parametrize(
    "damage",
    [
        lambda answer: answer.pop("files"),
        lambda answer: answer["files"][0].pop("size"),
        lambda answer: answer["files"][0].update(checksum="sha256:00"),
        lambda answer: answer["files"][0].update(links={"self": "file:///etc/passwd"}),
        lambda answer: answer.update(files={"entries": {}}),
    ],
)
def test_an_answer_of_another_form_is_refused(zenodo, server, damage):
    zenodo.publish(RECORD, **{"21-03.tar": MONTH})
    damage(zenodo.answers[f"/api/records/{RECORD}"])
    with pytest.raises(FetchError, match="not the record that Zenodo's API describes"):
        read_record(server, RECORD)


def test_a_busy_server_is_asked_again_after_the_wait_that_it_names(zenodo, server, recorder):
    zenodo.publish(RECORD, **{"21-03.tar": MONTH})
    zenodo.record_faults.extend([lambda request, _: request.head(429, 0, Retry_After="7")] * 2)
    assert "21-03.tar" in read_record(server, RECORD)
    assert recorder.waits == [7.0, 7.0]
    assert "429 Too Many Requests; attempt 2" in recorder.said[0]


def test_without_network_the_error_says_how_to_name_a_mirror(recorder):
    patience = Patience(attempts_at_record=3, sleep=recorder.waits.append)
    offline = Server("http://127.0.0.1:9", patience, recorder.say)  # port 9: nobody listens
    with pytest.raises(
        FetchError, match=r"given up after 3 attempts: Failed to .*refused.*--zenodo URL or FTL_ZENODO"
    ) as told:
        read_record(offline, RECORD)
    assert "kept" not in str(told.value)  # nothing has arrived
    assert recorder.waits == [1.0, 2.0]


def test_an_address_without_a_scheme_is_refused():
    with pytest.raises(FetchError, match="must begin with http"):
        Server("zenodo.org")


def test_links_to_zenodo_in_a_mirrors_answer_lead_to_the_mirror():
    link = f"{ZENODO}/api/records/1/files/a.tar/content"
    assert (
        on_server(link, "http://mirror/zenodo", 1, "a.tar") == "http://mirror/zenodo/api/records/1/files/a.tar/content"
    )
    assert on_server(link, ZENODO, 1, "a.tar") == link
    assert on_server("https://elsewhere/a.tar", "http://mirror", 1, "a.tar") == "https://elsewhere/a.tar"
    assert on_server(None, ZENODO, 1, "a.tar") == link
