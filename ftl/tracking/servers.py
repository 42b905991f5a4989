"""Servers as child processes: started, waited for, and ended with everything that they have started."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from ftl.errors import ConfigError

_START_SECONDS = 120.0
_END_SECONDS = 10.0


@dataclass
class Server:
    """A process that answers under an address."""

    name: str
    address: str
    health: str
    process: "subprocess.Popen[bytes]"


def start(name: str, command: Sequence[str], host: str, port: int, health: str) -> Server:
    """Start a server in a session of its own, so that Ctrl-C reaches only us and we end it with all its children."""
    process = subprocess.Popen(command, start_new_session=True)
    address = f"http://{host}:{port}"
    return Server(name, address, f"{address}{health}", process)


def wait_until_healthy(server: Server) -> None:
    """Return once the server answers.

    Raises:
        ConfigError: If it ends before that, or does not answer within two minutes.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        code = server.process.poll()
        if code is not None:
            raise ConfigError(f"the server of {server.name} ended with code {code}; its own message stands above")
        try:
            with urlopen(server.health, timeout=5):
                return
        except HTTPError as error:
            raise ConfigError(f"the server of {server.name} answers with {error}") from error
        except (URLError, OSError):
            time.sleep(0.2)
    raise ConfigError(
        f"the server of {server.name} did not answer at {server.address} within {_START_SECONDS:.0f} seconds"
    )


def wait_until_one_ends(servers: Sequence[Server]) -> Server:
    """Return the first server that ends by itself."""
    while True:
        for server in servers:
            if server.process.poll() is not None:
                return server
        time.sleep(0.3)


def require_free(host: str, port: int, option: str = "--port") -> None:
    """Raise ConfigError where nothing can be served on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot serve on {host}:{port}: {error}. Choose another port with {option}") from error


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end(servers: Sequence[Server]) -> None:
    """End all servers and their children: asked first, killed after ten seconds."""
    running = [server for server in servers if server.process.poll() is None]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for server in running:
            _signal(server, number)
        deadline = time.monotonic() + _END_SECONDS
        for server in running:
            _wait(server, deadline - time.monotonic())
        running = [server for server in running if server.process.poll() is None]


def _signal(server: Server, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.process.pid, number)


def _wait(server: Server, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(timeout=max(seconds, 0.0))
