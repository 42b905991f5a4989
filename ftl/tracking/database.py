"""MLflow's sqlite files, opened without mlflow.

Importing mlflow costs seconds and its session a statement for every entry; what we write and read is ten tables, whose
form the schema's revision names. Files of another revision are left to mlflow itself (:mod:`ftl.tracking.client`) or,
where they are only to be read, refused.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ftl.errors import ConfigError

KNOWN_SCHEMAS = frozenset({"dc11669786a5"})
"""Revisions of the schema that the statements here were written for: mlflow 3.17."""
ARTIFACT_FOLDER = "mlartifacts"
"""Beside a database: what its runs and models keep as files."""
LOCK_SECONDS = 20.0
"""How long another writer is waited for, as mlflow itself does."""


def schema_of(path: Path) -> str | None:
    """The revision of the schema of a database file; None where the file does not exist or holds no MLflow tables.

    Raises:
        sqlite3.Error: If the file is no database, is locked, or may not be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    with closing(_connect(path, "ro")) as connection:
        names = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        if "alembic_version" not in names or "experiments" not in names:
            return None
        row = connection.execute("select version_num from alembic_version").fetchone()
    return None if row is None else str(row[0])


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot change the file, which is an MLflow store of a known schema.

    Raises:
        ConfigError: If the file is missing, locked, no MLflow store, or of another schema.
    """
    _require_store(path)
    with closing(_connect(path, "ro")) as connection:
        try:
            connection.execute("begin")
            connection.execute("select count(*) from runs")  # takes the lock that a reader holds until the end
        except sqlite3.OperationalError as error:
            raise ConfigError(f"{path}: {error}. {lock_remedy(error)}") from error
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in one transaction: committed at the end, rolled back where anything fails.

    Raises:
        sqlite3.Error: If the file is locked or cannot be written.
    """
    with closing(_connect(path, "rw")) as connection:
        connection.execute("begin immediate")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def artifact_root(database: Path) -> str:
    """Where artifacts of our stores lie: beside the file, not in the current folder, where mlflow would put them."""
    return (database.resolve().parent / ARTIFACT_FOLDER).as_uri()


def lock_remedy(error: Exception) -> str:
    if "locked" in str(error) or "busy" in str(error):
        return "Another process is writing to it: wait for it or end it."
    return "Check that the file is whole and may be read and written."


def _require_store(path: Path) -> None:
    if not path.exists():
        raise ConfigError(f"{path}: no such file; give the mlflow.db of a run")
    try:
        schema = schema_of(path)
    except sqlite3.OperationalError as error:
        raise ConfigError(f"{path}: {error}. {lock_remedy(error)}") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise ConfigError(f"{path}: not an MLflow database: {error}; give the mlflow.db of a run") from error
    if schema is None:
        raise ConfigError(f"{path}: a database, but not one of MLflow; give the mlflow.db of a run")
    if schema not in KNOWN_SCHEMAS:
        raise ConfigError(
            f"{path}: schema {schema}, made by another version of mlflow than the one installed here "
            f"({', '.join(sorted(KNOWN_SCHEMAS))}). An older file: `mlflow db upgrade sqlite:///{path}`; "
            "a newer one: use that version of mlflow"
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=LOCK_SECONDS, isolation_level=None
    )
    connection.execute("pragma foreign_keys = on")
    return connection
