"""What must stand in the environment before mlflow or dvc is imported, and where runs are stored."""

import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ftl.errors import ConfigError

QUIET: dict[str, str] = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # else two lines for every run
    # mlflow's own seven retries with growing pauses keep a finished experiment waiting minutes for a dead server.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MPLBACKEND": "Agg",
}


def quiet_environment() -> None:
    """Switch off telemetry, background jobs and long retries of all tools; what the user has set stays as it is."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def tracking_uri(default_folder: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the sqlite file ``mlflow.db`` in ``default_folder``.

    Raises:
        ConfigError: If MLFLOW_TRACKING_URI names a folder: mlflow no longer writes file stores.
    """
    return store_of_environment() or f"sqlite:///{default_folder.resolve().as_posix()}/mlflow.db"


def store_of_environment() -> str | None:
    """MLFLOW_TRACKING_URI where it is set; raises as :func:`tracking_uri` does."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    return checked_uri(uri, "MLFLOW_TRACKING_URI") if uri else None


def checked_uri(uri: str, name: str) -> str:
    """The address, which the option or variable ``name`` gave.

    Raises:
        ConfigError: If it is a folder: mlflow no longer writes file stores.
    """
    if urlsplit(uri).scheme in ("", "file"):
        raise ConfigError(
            f"{name} must name a database or a server, since mlflow no longer writes file stores; "
            f"got {uri!r}. Leave it out, or give sqlite:///PATH/mlflow.db or http://HOST:PORT"
        )
    return uri


def sqlite_file(uri: str) -> Path | None:
    """The database file behind a ``sqlite:///`` address; None for every other store."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix).split("?")[0]) if uri.startswith(prefix) else None


def shown(uri: str) -> str:
    """The address without a user's name and password, as it may stand in messages and files."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
