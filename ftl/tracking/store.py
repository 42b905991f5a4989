"""Run records to an MLflow store: in one transaction where it is a sqlite file of ours, else through mlflow."""

import re
import sqlite3
from collections.abc import Sequence

from ftl.errors import ConfigError
from ftl.tracking.bulk import NotForBulkError, write_in_bulk
from ftl.tracking.client import ExperimentDeletedError, write_with_client
from ftl.tracking.environment import shown, sqlite_file
from ftl.tracking.record import RunRecord


class StoreError(ConfigError):
    """A store could not be written. ``unsent`` are the records that it does not hold, the first ones sent before."""

    def __init__(self, message: str, unsent: Sequence[RunRecord]) -> None:
        super().__init__(message)
        self.unsent = list(unsent)


def write_records(records: Sequence[RunRecord], uri: str) -> list[str]:
    """Write the records, replacing active runs of the same experiment and identity; returns their run ids.

    Args:
        records: What the store shall hold.
        uri: The tracking store, as :func:`ftl.tracking.tracking_uri` gives it.

    Raises:
        StoreError: If the store cannot be reached, read or written; what was not sent is in its ``unsent``.
    """
    run_ids: list[str] = []
    try:
        database = sqlite_file(uri)
        if database is not None:
            try:
                return write_in_bulk(records, database)
            except NotForBulkError:
                pass
        for run_id in write_with_client(records, uri):
            run_ids.append(run_id)
    except Exception as error:
        if not _is_of_the_store(error):
            raise
        reason = first_line(error)
        raise StoreError(
            f"the MLflow store {shown(uri)} cannot be written: {in_short(reason, uri)}. {remedy(reason, uri)}",
            records[len(run_ids) :],
        ) from error
    return run_ids


def _is_of_the_store(error: Exception) -> bool:
    """Does it say that the store is at fault? Modules are compared by name: none of them need be imported for it."""
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return isinstance(error, OSError | ImportError | sqlite3.Error | ExperimentDeletedError) or bool(
        modules & {"mlflow", "sqlalchemy", "alembic", "requests", "urllib3"}
    )


def first_line(error: Exception) -> str:
    """What an error says, without the layers below it."""
    return str(error).strip().split("\n")[0].rstrip(".")


def in_short(reason: str, uri: str) -> str:
    """The reason without a password, and without the layers of libraries around a server that does not answer."""
    if "Max retries exceeded" in reason:
        cause = re.search(r"\[Errno -?\d+\] ([^\"')]+)|timed out", reason)
        return "it does not answer" + (f" ({cause[1] or cause[0]})" if cause else "")
    # mlflow advises an upgrade here, also of a database that is newer than itself; the remedy says it better.
    return reason.split(". Take a backup")[0].replace(uri, shown(uri))


def is_of_the_file_or_server(reason: str) -> bool:
    """Is the whole store at fault, rather than what was asked of it?"""
    return any(words in reason for words in ("locked", "locate revision", "out-of-date database", "Max retries"))


def remedy(reason: str, uri: str) -> str:
    if "locked" in reason:
        return "Another process is writing to it: wait for it or end it."
    if "locate revision" in reason or "out-of-date database schema" in reason:
        return "Another version of mlflow made it: use that version, `mlflow db upgrade`, or another file."
    if "is deleted" in reason:
        return "Restore it with `mlflow experiments restore`, or remove it for good with `mlflow gc`."
    if "mlflow-artifacts URI" in reason:
        return "A server keeps the artifacts of this database: give the server's address."
    if uri.startswith("http"):
        return "Check that the server runs and that MLFLOW_TRACKING_URI is right, or unset it to use a local file."
    return "Check MLFLOW_TRACKING_URI and that the file can be written, or move it away to start afresh."
