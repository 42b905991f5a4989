"""The MLflow UI on this machine: ``ftl ui``."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn
from urllib.error import URLError
from urllib.request import urlopen

from ftl.errors import ConfigError
from ftl.tracking.environment import quiet_environment, sqlite_file

_START_SECONDS = 120.0
_END_SECONDS = 10.0


def serve_ui(uri: str, host: str = "127.0.0.1", port: int = 5000) -> None:
    """Serve the MLflow UI of this store until Ctrl-C or SIGTERM: one worker, no background jobs, no telemetry.

    Raises:
        ConfigError: If the store is itself a server or does not exist yet, if the port is taken, or if the server
            ends before it answers.
    """
    command = server_command(uri, host, port)
    _require_free(host, port)
    quiet_environment()
    # A session of its own, so that Ctrl-C reaches only us and we end the server with all its children.
    server = subprocess.Popen(command, start_new_session=True)
    try:
        with _sigterm_like_ctrl_c():
            print(f"Starting the MLflow UI of {uri} (takes up to a minute) ...", flush=True)
            _wait_until_healthy(server, f"http://{host}:{port}")
            print(f"MLflow UI: http://{host}:{port}  (Ctrl-C ends it)", flush=True)
            server.wait()
    except KeyboardInterrupt:
        print("\nMLflow UI ended.", flush=True)
    finally:
        _end(server)


def server_command(uri: str, host: str, port: int) -> list[str]:
    """The command that serves this store.

    Raises:
        ConfigError: If the store needs no server of ours, or is a database file that does not exist.
    """
    if uri.startswith(("http://", "https://")):
        raise ConfigError(f"the tracking store {uri} is a server already: open that address in a browser")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    database = sqlite_file(uri)
    if database is not None:
        if not database.exists():
            raise ConfigError(f"there are no runs yet: {database} does not exist. Run an experiment first")
        command += ["--artifacts-destination", (database.resolve().parent / "mlartifacts").as_uri()]
    return [*command, "--host", host, "--port", str(port), "--workers", "1"]


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot serve on {host}:{port}: {error}. Choose another port with --port") from error


def _wait_until_healthy(server: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise ConfigError(f"the MLflow server ended with code {server.returncode}; its own message stands above")
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise ConfigError(f"the MLflow server did not answer at {url} within {_START_SECONDS:.0f} seconds")


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(server: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(timeout=_END_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
