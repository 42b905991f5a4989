"""A Zenodo record through its REST API: which files it has, how large they are, and their checksums.

``GET {base}/api/records/{record}`` answers with a JSON object; used of it are ``id``, ``doi``, ``metadata.title``,
``metadata.license.id`` and ``files``, a list of ``{key, size, checksum: "md5:..", links: {self}}``
(developers.zenodo.org). A mirror is any web server that gives the same answers: plain files do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from ftl.data.fetch.catalogue import Choice
from ftl.data.fetch.transport import FetchError, Server, TryAgain, in_plain_words

ZENODO = "https://zenodo.org"
_MD5 = re.compile(r"md5:([0-9a-f]{32})", re.IGNORECASE)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a record, as the record describes it; `size` in bytes."""

    key: str
    size: int
    md5: str
    url: str
    record: int
    doi: str
    title: str
    licence: str


def resolve(server: Server, choices: Sequence[Choice], latest: bool = False) -> list[RemoteFile]:
    """The files of these months or racks; every record is asked for once.

    Args:
        latest: Take each record's newest version instead of the one that the catalogue names.

    Raises:
        FetchError: If a record cannot be had, or lacks a file.
    """
    records = {record: read_record(server, record, latest) for record in dict.fromkeys(c.record for c in choices)}
    for choice in choices:
        if choice.key not in records[choice.record]:
            raise FetchError(
                f"record {choice.record} at {server.base} has no file {choice.key}; "
                f"it has: {', '.join(records[choice.record]) or 'no files'}"
            )
    return [records[choice.record][choice.key] for choice in choices]


def read_record(server: Server, record: int, latest: bool = False) -> dict[str, RemoteFile]:
    """The files of one record, by key."""
    url = f"{server.base}/api/records/{record}{'/versions/latest' if latest else ''}"
    attempts = server.patience.attempts_at_record
    answer = server.insist(f"record {record}", lambda: _json(server, url), attempts, keeps=False)
    try:
        return _files(answer, server.base, record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FetchError(
            f"{url}: not the record that Zenodo's API describes ({type(error).__name__}: {error}); "
            f"a mirror must serve it unchanged"
        ) from error


def _json(server: Server, url: str) -> Any:
    response = server.get(url, Accept="application/json")
    with response:
        if response.status_code in (401, 403, 404, 410):
            raise FetchError(
                f"{url}: the server answered {response.status_code} {response.reason}: "
                "no such record there, or it is not public; check --zenodo, or try --latest"
            )
        if response.status_code != 200:
            raise FetchError(f"{url}: the server answered {response.status_code} {response.reason}; check --zenodo")
        try:
            return response.json()
        except requests.exceptions.JSONDecodeError as error:
            raise FetchError(f"{url}: no JSON but {_kind(response)}; is there a Zenodo at {server.base}?") from error
        except requests.RequestException as error:
            raise TryAgain(in_plain_words(error)) from error


def _files(answer: Any, base: str, record: int) -> dict[str, RemoteFile]:
    metadata = answer.get("metadata", {})
    number = int(answer.get("id", record))
    licence = metadata.get("license", {})
    files = {}
    for entry in answer["files"]:
        checksum = _MD5.fullmatch(entry["checksum"])
        if checksum is None:
            raise ValueError(f"{entry['key']}: checksum {entry['checksum']!r} is no md5")
        files[entry["key"]] = RemoteFile(
            key=entry["key"],
            size=int(entry["size"]),
            md5=checksum[1].lower(),
            url=on_server(entry.get("links", {}).get("self"), base, number, entry["key"]),
            record=number,
            doi=str(answer.get("doi", f"10.5281/zenodo.{number}")),
            title=str(metadata.get("title", "")),
            licence=str(licence.get("id", "") if isinstance(licence, dict) else licence),
        )
    return files


def on_server(link: str | None, base: str, record: int, key: str) -> str:
    """The download address; a link to Zenodo itself in a mirror's answer leads to the mirror."""
    if link is None:
        return f"{base}/api/records/{record}/files/{quote(key)}/content"
    if base != ZENODO and link.startswith(f"{ZENODO}/"):
        return base + link.removeprefix(ZENODO)
    if urlsplit(link).scheme not in ("http", "https"):
        raise ValueError(f"{key}: link {link!r} is no web address")
    return link


def _kind(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "something else")
