"""Requests to a server that may be slow, busy or out of reach: timeouts, bounded retries, and errors in plain words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests

from ftl.errors import UserError

T = TypeVar("T")

_CONNECTION = re.compile(r"^(<[^>]*>|HTTPS?Connection\w*\([^)]*\)): ")
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
ZENODO_VARIABLE = "FTL_ZENODO"
MIRROR_HINT = (
    f"with no way out from here, name a mirror that serves the same addresses by --zenodo URL or {ZENODO_VARIABLE}; "
    "a proxy is taken from HTTPS_PROXY"
)


class FetchError(UserError):
    """A file could not be fetched; the message says which, what came instead, and what to do."""


class TryAgain(Exception):
    """An attempt failed in a way that may pass.

    Attributes:
        wait: Seconds that the server asks for.
        progressed: Whether the attempt got further than any before it.
    """

    def __init__(self, reason: str, wait: float = 0.0, progressed: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.progressed = progressed


@dataclass(frozen=True)
class Patience:
    """How long to try. Waits double from one failure to the next; bytes that arrive start the count anew."""

    attempts: int = 8
    attempts_at_record: int = 4  # of the first, small request: who is offline should hear it soon
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_request: float = 900.0  # of a server that asks for a wait (Retry-After); beyond it the fetch ends
    connect_timeout: float = 20.0
    read_timeout: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, failures: int, asked: float) -> float:
        """Seconds before the next attempt, after so many failures in a row."""
        return max(min(self.first_wait * 2.0 ** (failures - 1), self.longest_wait), asked)


@dataclass(frozen=True)
class Server:
    """A server that speaks Zenodo's API; `tell` hears of every failed attempt."""

    base: str
    patience: Patience = Patience()
    tell: Callable[[str], None] = print
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        if not self.base.startswith(("http://", "https://")):
            raise FetchError(f"--zenodo {self.base!r}: must begin with http:// or https://, such as https://zenodo.org")
        object.__setattr__(self, "base", self.base.rstrip("/"))

    def get(self, url: str, **headers: str) -> requests.Response:
        """One attempt; the body is left to be read.

        Raises:
            TryAgain: If the server is out of reach or busy.
            FetchError: If it refuses.
        """
        try:
            response = self.session.get(
                url,
                headers={"User-Agent": "ftl data fetch", "Accept-Encoding": "identity", **headers},
                stream=True,
                timeout=(self.patience.connect_timeout, self.patience.read_timeout),
            )
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise TryAgain(in_plain_words(error)) from error
        except requests.RequestException as error:
            raise FetchError(f"{url}: {in_plain_words(error)}") from error
        if response.status_code in BUSY:
            response.close()
            raise TryAgain(f"the server answered {response.status_code} {response.reason}", asked_wait(response))
        return response

    def insist(self, what: str, attempt: Callable[[], T], attempts: int | None = None, keeps: bool = True) -> T:
        """Repeat an attempt, for as long as it raises TryAgain.

        Args:
            what: Begins every message.
            attempts: How often; default as in `patience`.
            keeps: Whether what arrives is kept, which a user who gives up should know.

        Raises:
            FetchError: If it failed too often without progress, or the server asks for too long a wait.
        """
        failures = 0
        while True:
            try:
                return attempt()
            except TryAgain as failed:
                failures = 1 if failed.progressed else failures + 1
                self._pause(what, failures, attempts or self.patience.attempts, failed, keeps)

    def _pause(self, what: str, failures: int, attempts: int, failed: TryAgain, keeps: bool) -> None:
        patience = self.patience
        if failures >= attempts:
            kept = ". What has arrived is kept, the same command goes on from there" if keeps else ""
            raise FetchError(
                f"{what}: {self.base}: given up after {failures} attempts: {failed}{kept}; {MIRROR_HINT}"
            ) from failed
        if failed.wait > patience.longest_request:
            kept = "what has arrived is kept: " if keeps else ""
            raise FetchError(
                f"{what}: {failed}, and asks to wait {failed.wait / 60:.0f} minutes; {kept}run the same command again "
                "then"
            ) from failed
        wait = patience.wait(failures, failed.wait)
        self.tell(f"{what}: {failed}; attempt {failures + 1} of {attempts} in {wait:.0f} s")
        patience.sleep(wait)


def asked_wait(response: requests.Response, now: Callable[[], float] = time.time) -> float:
    """Seconds that a busy server asks for: Retry-After (seconds or a date), else X-RateLimit-Reset (epoch)."""
    asked = response.headers.get("Retry-After")
    try:
        if asked is not None:
            return max(float(asked) if asked.strip().isdigit() else parsedate_to_datetime(asked).timestamp() - now(), 0)
        if response.status_code == 429 and "X-RateLimit-Reset" in response.headers:
            return max(float(response.headers["X-RateLimit-Reset"]) - now(), 0)
    except ValueError:
        pass  # not a date that can be read: our own waits do
    return 0.0


def in_plain_words(error: Exception) -> str:
    """The innermost reason, without the wrappers of three libraries."""
    reason: object = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (part for part in getattr(reason, "args", ()) if isinstance(part, Exception)), None
        )
        if not isinstance(inner, Exception):
            break
        reason = inner
    return _CONNECTION.sub("", str(reason)) or type(reason).__name__
