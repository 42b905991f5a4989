"""Runs and studies in a browser on this machine: ``ftl ui``."""

import os
import sys
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

from ftl.errors import ConfigError
from ftl.tracking.comparison import prepare_coldstart, prepare_comparison
from ftl.tracking.database import artifact_root
from ftl.tracking.environment import quiet_environment, shown, sqlite_file
from ftl.tracking.servers import (
    Server,
    end,
    require_free,
    sigterm_like_ctrl_c,
    start,
    wait_until_healthy,
    wait_until_one_ends,
)

_QUIET = ("--uvicorn-opts", "--log-level warning")  # else a line for every request
JOURNALS = ("tune/*.journal", "artifacts/tune/*.journal", "studies.journal", "artifacts/studies.journal")
"""Where studies are looked for below a folder."""


def serve_ui(
    uri: str,
    host: str = "127.0.0.1",
    port: int = 5000,
    studies: str | None = None,
    studies_port: int = 8080,
    open_browser: bool = False,
) -> None:
    """Serve the MLflow UI of this store, and the Optuna dashboard of these studies, until Ctrl-C or SIGTERM.

    One worker, no background jobs, no telemetry. Prints the addresses, and that of a prepared comparison.

    Args:
        uri: The tracking store, as :func:`ftl.tracking.tracking_uri` gives it.
        studies: An Optuna storage (journal file or database address), as :func:`find_studies` gives it; None: no
            dashboard.
        open_browser: Open the prepared charts, or the start page where there is nothing to show.

    Raises:
        ConfigError: If the store is itself a server or does not exist yet, if a port is taken, or if a server ends
            before it answers.
    """
    command = server_command(uri, host, port)
    require_free(host, port)
    if studies is not None:
        if studies_port == port:
            raise ConfigError(f"MLflow and Optuna need two ports; both are {port}. Choose another with --studies-port")
        require_free(host, studies_port, "--studies-port")
    quiet_environment()
    servers: list[Server] = []
    try:
        with sigterm_like_ctrl_c():
            print(f"Starting the MLflow UI of {shown(uri)} (takes up to a minute) ...", flush=True)
            servers.append(start("the MLflow UI", command, host, port, "/health"))
            if studies is not None:
                servers.append(start("the Optuna dashboard", studies_command(studies, host, studies_port), host,
                                     studies_port, "/dashboard"))  # fmt: skip
            for server in servers:
                wait_until_healthy(server)
            _announce(servers, open_browser)
            ended = wait_until_one_ends(servers)
            raise ConfigError(f"{ended.name} ended with code {ended.process.returncode}; its own message stands above")
    except KeyboardInterrupt:
        print("\nMLflow UI ended.", flush=True)
    finally:
        end(servers)


def find_studies(folder: Path) -> tuple[str | None, list[str]]:
    """The storage of the newest studies below a folder, and a sentence where there are none or several."""
    found = {path.resolve() for pattern in JOURNALS for path in folder.glob(pattern) if path.is_file()}
    journals = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    if not journals:
        return None, ["No studies of `ftl tune` here: the MLflow UI alone is started"]
    others = [str(path) for path in journals[1:]]
    said = [f"Studies of {journals[0]}; others, for --storage: {', '.join(others)}"] if others else []
    return str(journals[0]), said


def has_display() -> bool:
    """Would a browser have somewhere to open?"""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def server_command(uri: str, host: str, port: int) -> list[str]:
    """The command that serves this store.

    Raises:
        ConfigError: If the store needs no server of ours, or is a database file that does not exist.
    """
    if uri.startswith(("http://", "https://")):
        raise ConfigError(f"the tracking store {shown(uri)} is a server already: open that address in a browser")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    database = sqlite_file(uri)
    if database is not None:
        if not database.exists():
            raise ConfigError(f"there are no runs yet: {database} does not exist. Run an experiment first")
        command += ["--artifacts-destination", artifact_root(database)]
    return [*command, "--host", host, "--port", str(port), "--workers", "1", *_QUIET]


def studies_command(storage: str, host: str, port: int) -> list[str]:
    """The command that serves these studies.

    Raises:
        ConfigError: If the storage is a file that does not exist.
    """
    file = sqlite_file(storage) or (Path(storage) if "://" not in storage else None)
    if file is not None and not file.is_file():
        raise ConfigError(f"no studies there: {file} does not exist. Run `ftl tune` first, or name another --storage")
    if urlsplit(storage).scheme == "file":
        raise ConfigError(f"--storage takes the path of a journal file, or a database address; got {storage!r}")
    return [sys.executable, "-m", "ftl.tracking.studies_server", storage, host, str(port)]


def _announce(servers: list[Server], open_browser: bool) -> None:
    address = servers[0].address
    prepared, coldstart = prepare_comparison(address), prepare_coldstart(address)
    print(f"MLflow UI: {address}", flush=True)
    for server in servers[1:]:
        print(f"Optuna dashboard: {server.address}/dashboard", flush=True)
    if prepared is not None:
        print(f"Where transfer helps, of the results recorded last: {prepared.charts}", flush=True)
        print(f"Their cells side by side: {prepared.comparison}", flush=True)
    if coldstart is not None:
        print(f"The cold start recorded last, over hours of history: {coldstart}", flush=True)
    print("Ctrl-C ends it.", flush=True)
    if open_browser:
        webbrowser.open((coldstart or address) if prepared is None else prepared.charts)
