"""The bytes of one file from a server to an open file: resumed by range, hashed on the way, right or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re

import requests

from ftl.data.fetch.transport import FetchError, Server, TryAgain, in_plain_words
from ftl.data.fetch.watcher import Watcher
from ftl.data.fetch.zenodo import RemoteFile
from ftl.data.sizes import readable_size as gigabytes
from ftl.errors import is_disk_full

CHUNK = 1 << 16  # bytes; what a cut connection loses at most
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Transfer:
    """What is to come of a file, written behind what its part holds.

    Args:
        part: Open for appending and reading, unbuffered, and ours alone. What it holds was written by an earlier run.
    """

    def __init__(self, server: Server, file: RemoteFile, part: io.FileIO, watcher: Watcher) -> None:
        self._server, self._file, self._part, self._watcher = server, file, part, watcher
        self._digest = hashlib.md5(usedforsecurity=False)
        self._done = 0
        self._furthest = 0

    def run(self) -> None:
        """Fetch, until size and md5 are those of the record.

        A part from an earlier run whose whole has a wrong md5 is fetched once more from its beginning.

        Raises:
            FetchError: If that fails. The part is kept where it can be continued, emptied where its bytes are wrong.
        """
        self._read_part()
        had = self._done
        self._watcher.begin(self._file.key, self._file.size, had)
        try:
            self._server.insist(self._file.key, self._attempt)
            if had and not self._is_right():
                self._watcher.say(f"{self._file.key}: the md5 is wrong; fetching it again from its beginning")
                self._restart()
                self._furthest = 0
                self._server.insist(self._file.key, self._attempt)
            if not self._is_right():
                wrong = self._digest.hexdigest()
                self._restart()
                raise FetchError(
                    f"{self._file.key}: what {self._file.url} sent has md5 {wrong}, not {self._file.md5} as record "
                    f"{self._file.record} says; it was removed. Try again, or another mirror"
                )
            self._keep()
        finally:
            self._watcher.end()

    def _keep(self) -> None:
        try:
            os.fsync(self._part.fileno())
        except OSError as error:  # some file systems find out this late that they are full
            raise FetchError(self._disk_message(error)) from error

    def _read_part(self) -> None:
        size = os.fstat(self._part.fileno()).st_size
        if size > self._file.size:
            self._restart()
            return
        if size:
            self._watcher.say(f"{self._file.key}: {gigabytes(size)} are here from before; reading them")
        self._part.seek(0)
        while chunk := self._part.read(1 << 20):
            self._digest.update(chunk)
        self._done = self._furthest = size

    def _is_right(self) -> bool:
        return self._digest.hexdigest() == self._file.md5

    def _restart(self) -> None:
        self._part.truncate(0)
        self._digest = hashlib.md5(usedforsecurity=False)
        self._done = 0

    def _attempt(self) -> None:
        furthest = self._furthest
        if self._done == self._file.size:
            return
        reason = "the server ended the file"
        with self._server.get(self._file.url, **({"Range": f"bytes={self._done}-"} if self._done else {})) as response:
            self._accept(response)
            try:
                for chunk in response.iter_content(CHUNK):
                    self._write(chunk)
            except requests.RequestException as error:
                reason = in_plain_words(error)
        self._furthest = max(furthest, self._done)
        if self._done < self._file.size:
            raise TryAgain(
                f"{reason} after {gigabytes(self._done)} of {gigabytes(self._file.size)}",
                progressed=self._furthest > furthest,
            )

    def _accept(self, response: requests.Response) -> None:
        """Make the part fit what the answer is going to bring."""
        status = response.status_code
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._refusal(f"sends it compressed ({response.headers['Content-Encoding']}), though not asked to")
        if status == 206:
            first, total = _content_range(response)
            if total is not None and total != self._file.size:
                raise self._refusal(f"has {total} bytes, not {self._file.size}")
            if first != self._done:
                self._restart()
                raise TryAgain("the server sent another range than was asked for; beginning anew")
        elif status == 200:
            length = response.headers.get("Content-Length")
            if length is not None and int(length) != self._file.size:
                kind = response.headers.get("Content-Type", "unknown type")
                raise self._refusal(f"has {length} bytes ({kind}), not {self._file.size}")
            if self._done:
                self._watcher.say(f"{self._file.key}: the server does not continue files; from the beginning")
                self._restart()
        elif status == 416:
            raise self._refusal(f"has no more than {self._done} bytes, not {self._file.size}")
        else:
            raise self._refusal(f"answered {status} {response.reason}")

    def _refusal(self, what: str) -> FetchError:
        return FetchError(
            f"{self._file.key}: {self._file.url} {what}; record {self._file.record} says otherwise. "
            "What has arrived is kept; check --zenodo and any proxy in between"
        )

    def _write(self, chunk: bytes) -> None:
        if self._done + len(chunk) > self._file.size:
            self._restart()
            raise FetchError(
                f"{self._file.key}: {self._file.url} sends more than the {self._file.size} bytes that record "
                f"{self._file.record} says; what came was removed. Try again, or another mirror"
            )
        rest = memoryview(chunk)
        try:
            while rest:
                written = self._part.write(rest) or 0
                self._digest.update(rest[:written])
                self._done += written
                rest = rest[written:]
        except OSError as error:
            raise FetchError(self._disk_message(error)) from error
        self._watcher.advance(self._done)

    def _disk_message(self, error: OSError) -> str:
        if is_disk_full(error):
            what = "the disk is full; free some space and run the same command again, it goes on from there"
        elif error.errno == errno.EFBIG:
            what = "the file system, or a limit (ulimit -f), takes no larger file; give another --out"
        else:
            what = f"cannot be written: {error.strerror}; run the same command again, it goes on from there"
        return f"{self._part.name}: after {gigabytes(self._done)} of {gigabytes(self._file.size)}: {what}"


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and total size of a partial answer, None where it does not say."""
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return (int(found[1]), None if found[2] == "*" else int(found[2])) if found else (None, None)
