"""A Zenodo on the loopback interface: records as its API describes them, ranges, and the faults of real networks."""

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftl.data.fetch import DATASETS, Patience, RemoteFile, Server, choose, resolve


class Request(BaseHTTPRequestHandler):
    """One request; the server's next fault, if any, answers in its place."""

    protocol_version = "HTTP/1.1"
    zenodo: "LocalZenodo"

    def do_GET(self) -> None:
        zenodo, path = self.zenodo, self.path
        zenodo.requests.append((path, self.headers.get("Range")))
        if path in zenodo.answers:
            fault = zenodo.record_faults.popleft() if zenodo.record_faults else Request.send_record
            fault(self, json.dumps(zenodo.answers[path]).encode())
        elif path in zenodo.files:
            fault = zenodo.faults.popleft() if zenodo.faults else Request.send_file
            fault(self, zenodo.files[path])
        else:
            self.head(404, 0)

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def send_record(self, content: bytes) -> None:
        self.head(200, len(content), Content_Type="application/json")
        self.wfile.write(content)

    def send_text(self, status: int, text: bytes, **headers: str) -> None:
        self.head(status, len(text), Content_Type="text/html", **headers)
        self.wfile.write(text)

    def start(self) -> int:
        """First byte that is asked for."""
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0

    def send_file(self, content: bytes, stop: int | None = None, pause: float = 0.0) -> None:
        """The file or its rest; all is announced, and sent up to `stop`."""
        start = self.start()
        if start:
            self.head(206, len(content) - start, Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.head(200, len(content))
        for at in range(start, stop or len(content), 1 << 17):
            self.wfile.write(content[at : min(at + (1 << 17), stop or len(content))])
            time.sleep(pause)

    def log_message(self, *_: Any) -> None: ...


class QuietServer(ThreadingHTTPServer):
    """Clients that hang up are part of the tests."""

    def handle_error(self, *_: Any) -> None: ...


Fault = Callable[[Request, bytes], None]


@dataclass
class LocalZenodo:
    """What the server knows, and what it was asked."""

    url: str
    answers: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    record_faults: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def publish(self, record: int, number: int | None = None, **content: bytes) -> None:
        """A record with files; `number` is its newest version's, if that is another."""
        number = number or record
        entries = []
        for name, data in content.items():
            path = f"/api/records/{number}/files/{name}/content"
            self.files[path] = data
            md5 = hashlib.md5(data).hexdigest()
            links = {"self": self.url + path}
            entries.append({"key": name, "size": len(data), "checksum": f"md5:{md5}", "links": links})
        answer = {
            "id": number,
            "doi": f"10.5281/zenodo.{number}",
            "metadata": {"title": "M100 dataset", "license": {"id": "cc-by-4.0"}},
            "files": entries,
        }
        self.answers[f"/api/records/{number}"] = answer
        self.answers[f"/api/records/{record}/versions/latest"] = answer

    def ranges(self) -> list[str | None]:
        """The Range headers of the requests for files."""
        return [asked for path, asked in self.requests if path in self.files]


@pytest.fixture
def zenodo() -> Iterator[LocalZenodo]:
    handler = type("Handler", (Request,), {})
    with QuietServer(("127.0.0.1", 0), handler) as server:
        local = LocalZenodo(f"http://127.0.0.1:{server.server_port}")
        handler.zenodo = local
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield local
        server.shutdown()
        thread.join()


@dataclass
class Recorder:
    """A watcher and a clock that write down what they are told."""

    said: list[str] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def begin(self, name: str, size: int, done: int) -> None:
        self.progress.append(done)

    def advance(self, done: int) -> None:
        self.progress.append(done)

    def end(self) -> None: ...

    def say(self, text: str) -> None:
        self.said.append(text)

    def told(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def server(zenodo: LocalZenodo, recorder: Recorder) -> Server:
    """A client of the local Zenodo that does not really wait."""
    patience = Patience(attempts=4, read_timeout=0.3, sleep=recorder.waits.append)
    return Server(zenodo.url, patience, recorder.say)


@pytest.fixture(scope="session")
def content() -> bytes:
    """A month's tar: 1 MiB in which no two blocks are the same."""
    return np.random.default_rng(0).bytes(1 << 20)


@pytest.fixture
def month(zenodo: LocalZenodo, server: Server, content: bytes) -> RemoteFile:
    """March 2021, published on the local Zenodo."""
    zenodo.publish(7589131, **{"21-03.tar": content})
    return resolve(server, choose(DATASETS["m100"], ["21-03"]))[0]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "m100"
