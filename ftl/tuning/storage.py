"""Where studies are kept: a journal file, or a database that workers on several machines share."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from ftl.errors import ConfigError, UserError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

BUSY_SECONDS = 20.0
"""How long an sqlite database that another process writes to is waited for."""
SYNC_SECONDS = 1.0
CLOCK_SLACK = 2.0


@contextmanager
def study_storage(where: str | Path) -> Iterator[BaseStorage]:
    """Open a journal file (a path) or a database (a URL); what goes wrong with it is said in one line.

    Raises:
        UserError: If it cannot be opened, read or written, is locked, damaged or of another version of Optuna.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = _without_password(str(where))
    try:
        yield _open_database(str(where)) if "://" in str(where) else _open_journal(Path(where))
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, RuntimeError) as error:
        raise _explained(name, error) from error
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, UserError) or not _is_of_journal(error):
            raise
        raise UserError(
            f"{name}: the journal of studies cannot be read or is damaged ({error}); move it away"
        ) from error


def owner() -> str:
    """This process, as a trial that it runs names it: host, process id and when that process began."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def is_gone(owned_by: str) -> bool:
    """Whether the process that a trial names has ended; of another machine's processes nothing is known."""
    try:
        host, pid, began = owned_by.split(" ")
        if host != socket.gethostname():
            return False
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - float(began)) > CLOCK_SLACK
    except (ValueError, psutil.NoSuchProcess):
        return True
    except psutil.AccessDenied:
        return False


def _open_journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    class Journal(JournalFileBackend):
        """Waits for the disk once a second, not with every line of the ten that a trial writes.

        A killed process loses nothing by it; a machine that loses its power loses the last second.
        """

        synced = 0.0

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
            only_writer.acquire()
            try:
                with path.open("ab") as file:
                    file.write(lines.encode())
                    file.flush()
                    if time.monotonic() - self.synced > SYNC_SECONDS:
                        os.fsync(file.fileno())
                        self.synced = time.monotonic()
            finally:
                only_writer.release()

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _mend(path)
    only_writer = JournalFileSymlinkLock(str(path))
    return JournalStorage(Journal(str(path), only_writer))


def _mend(path: Path) -> None:
    """Cut off the last line of a journal where its writer was killed inside it."""
    with path.open("r+b") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _open_database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage

    options = {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    return RDBStorage(url, engine_kwargs=options)


def _explained(name: str, error: Exception) -> UserError:
    reason = str(error.__cause__ or error).strip().split("\n")[0]
    text = f"{error} {error.__cause__ or ''}"
    if "locked" in text:
        remedy = "another process is writing to it: wait for it or end it"
    elif "no longer compatible" in text or "locate revision" in text or "schema" in text:
        remedy = (
            "another version of Optuna made it: use that version, `optuna storage upgrade --storage URL` if yours is "
            "newer, or another database"
        )
    elif "unable to open" in text:
        remedy = "its folder must be there and writable"
    elif isinstance(error, ImportError):
        remedy = "install the driver of this kind of database, for example psycopg2-binary for postgresql"
    else:
        remedy = "check --storage: a database URL such as sqlite:///studies.db or postgresql://user@host/studies"
    return ConfigError(f"--storage {name}: {reason}; {remedy}. Finished trials are kept")


def _is_of_journal(error: Exception) -> bool:
    """Whether an error was raised by Optuna's journal, and not by what is done between its calls."""
    trace, names = error.__traceback__, []
    while trace is not None:
        names.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return any(name.startswith("optuna.storages.journal") for name in names)


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    if not at or ":" not in head.partition("://")[2]:
        return url
    return f"{head[: head.rindex(':')]}:***@{tail}"
