"""Run records to a sqlite store in one transaction, without mlflow.

All or nothing: where the transaction fails, neither rows nor artifacts remain. What stands in the file afterwards is
what ``MlflowClient`` would have written; a test holds the two to each other.
"""

import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path

from ftl.tracking.artifacts import local_folder, write_artifacts
from ftl.tracking.client import open_client
from ftl.tracking.database import KNOWN_SCHEMAS, artifact_root, schema_of, writing
from ftl.tracking.record import (
    DATASET_DIGEST,
    IDENTITY_TAGS,
    PARAM_TEXT,
    RUN_NAME,
    TAG_TEXT,
    Identity,
    RunRecord,
    clipped,
    identity_of,
)

EarlierRuns = dict[tuple[int, Identity], list[str]]


class NotForBulkError(Exception):
    """This store must be written through mlflow: another schema, or artifacts that do not lie on this machine."""


def write_in_bulk(records: Sequence[RunRecord], database: Path) -> list[str]:
    """Write the records; active runs of the same experiment and identity are deleted (as MLflow does: kept as deleted).

    Returns:
        Run ids, in the order of the records.

    Raises:
        NotForBulkError: If the store is not one that this module may write.
        sqlite3.Error, OSError, MlflowException: If it cannot be written; nothing of the records is there then.
    """
    if schema_of(database) is None:
        create(database)
    if schema_of(database) not in KNOWN_SCHEMAS:
        raise NotForBulkError
    folders: list[Path] = []
    try:
        with writing(database) as connection:
            experiments = _experiments(connection, {record.experiment for record in records}, artifact_root(database))
            earlier = _earlier_runs(connection, [number for number, _ in experiments.values()], records)
            run_ids = [uuid.uuid4().hex for _ in records]
            for run_id, record in zip(run_ids, records, strict=True):
                experiment, root = experiments[record.experiment]
                folder = root / run_id / "artifacts"
                if record.artifacts:
                    folders.append(folder.parent)
                    write_artifacts(record.artifacts, folder)
                _insert_run(connection, run_id, record, experiment, f"{root.as_uri()}/{run_id}/artifacts")
                if record.identity is not None:
                    _delete(connection, earlier.get((experiment, record.identity), []), record.end)
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return run_ids


def create(database: Path) -> None:
    """Make a store of the schema that the installed mlflow has, where there is none yet."""
    database.parent.mkdir(parents=True, exist_ok=True)
    open_client(f"sqlite:///{database.resolve().as_posix()}").search_experiments(max_results=1)


def _experiments(connection: sqlite3.Connection, names: set[str], root: str) -> dict[str, tuple[int, Path]]:
    """Name -> (id, folder of its artifacts); missing ones are made."""
    found: dict[str, tuple[int, Path]] = {}
    for name in sorted(names):
        row = connection.execute(
            "select experiment_id, artifact_location, lifecycle_stage from experiments where name = ?", (name,)
        ).fetchone()
        if row is None:
            number = make_experiment(connection, name, root)
            row = (number, root, "active")
        folder = local_folder(row[1])
        if folder is None or row[2] != "active":
            raise NotForBulkError
        found[name] = (row[0], folder)
    return found


def make_experiment(connection: sqlite3.Connection, name: str, root: str) -> int:
    """A new experiment; returns its id."""
    now = "cast((julianday('now') - 2440587.5) * 86400000 as integer)"
    done = connection.execute(
        f"insert into experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time) "
        f"values (?, ?, 'active', {now}, {now})",
        (name, root),
    )
    return int(done.lastrowid or 0)


def _earlier_runs(connection: sqlite3.Connection, experiments: list[int], records: Sequence[RunRecord]) -> EarlierRuns:
    """Active runs of these lineages by (experiment, identity), those included that a killed process left unfinished."""
    lineages = sorted({record.identity[0] for record in records if record.identity is not None})
    found: EarlierRuns = {}
    for experiment in experiments:
        for lineage in lineages:
            for run_id, identity in identities(connection, experiment, lineage):
                found.setdefault((experiment, identity), []).append(run_id)
    return found


def identities(
    connection: sqlite3.Connection, experiment: int, lineage: str | None = None
) -> list[tuple[str, Identity]]:
    """(run id, identity) of an experiment's active runs that have one; of one lineage where it is given."""
    marks = ",".join("?" * len(IDENTITY_TAGS))
    only = "" if lineage is None else (
        "and r.run_uuid in (select run_uuid from tags where key = 'lineage' and value = ?)"
    )  # fmt: skip
    rows = connection.execute(
        "select r.run_uuid, t.key, t.value from runs r join tags t on t.run_uuid = r.run_uuid "
        f"where r.experiment_id = ? and r.lifecycle_stage = 'active' and t.key in ({marks}) {only}",
        (experiment, *IDENTITY_TAGS, *([] if lineage is None else [lineage])),
    )
    tags: dict[str, dict[str, str]] = {}
    for run_id, key, value in rows:
        tags.setdefault(run_id, {})[key] = value
    named = [(run_id, identity_of(of_run)) for run_id, of_run in tags.items()]
    return [(run_id, identity) for run_id, identity in named if identity is not None]


def _insert_run(
    connection: sqlite3.Connection, run_id: str, record: RunRecord, experiment: int, artifact_uri: str
) -> None:
    name = clipped(record.name, RUN_NAME)
    connection.execute(
        "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, "
        "end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
        "values (?, ?, 'UNKNOWN', '', '', ?, ?, ?, ?, '', 'active', ?, ?)",
        (
            *(run_id, name, record.tags.get("mlflow.user", "unknown"), record.status, record.start, record.end),
            *(artifact_uri, experiment),
        ),
    )
    tags = {**record.tags, "mlflow.runName": name}
    connection.executemany(
        "insert into tags (run_uuid, key, value) values (?, ?, ?)",
        [(run_id, key, clipped(value, TAG_TEXT)) for key, value in tags.items()],
    )
    connection.executemany(
        "insert into params (run_uuid, key, value) values (?, ?, ?)",
        [(run_id, key, clipped(value, PARAM_TEXT)) for key, value in record.params.items()],
    )
    _insert_points(connection, run_id, record)
    for entry in record.inputs:
        digest = entry.digest[:DATASET_DIGEST]
        dataset = dataset_id(connection, (experiment, entry.name, digest, entry.source_type, entry.source, None, None))
        insert_input(connection, run_id, dataset, dict(entry.tags))


def _insert_points(connection: sqlite3.Connection, run_id: str, record: RunRecord) -> None:
    latest: dict[str, tuple[int, int, float]] = {}
    rows = []
    for point in record.points:
        timestamp = record.start if point.timestamp is None else point.timestamp
        rows.append((run_id, point.name, point.value, timestamp, point.step))
        value = (point.step, timestamp, point.value)
        latest[point.name] = max(latest.get(point.name, value), value)
    connection.executemany(
        "insert or ignore into metrics (run_uuid, key, value, timestamp, step, is_nan) values (?, ?, ?, ?, ?, 0)", rows
    )
    connection.executemany(
        "insert into latest_metrics (run_uuid, key, value, timestamp, step, is_nan) values (?, ?, ?, ?, ?, 0)",
        [(run_id, name, value, timestamp, step) for name, (step, timestamp, value) in latest.items()],
    )


def dataset_id(connection: sqlite3.Connection, dataset: tuple[object, ...]) -> str:
    """The id of a dataset of an experiment, made where it is missing.

    Args:
        dataset: experiment_id, name, digest, source type, source, schema, profile.
    """
    row = connection.execute(
        "select dataset_uuid from datasets where experiment_id = ? and name = ? and digest = ?", dataset[:3]
    ).fetchone()
    if row is not None:
        return str(row[0])
    new = uuid.uuid4().hex
    connection.execute(
        "insert into datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, "
        "dataset_schema, dataset_profile) values (?, ?, ?, ?, ?, ?, ?, ?)",
        (new, *dataset),
    )
    return new


def insert_input(connection: sqlite3.Connection, run_id: str, dataset: str, tags: dict[str, str]) -> None:
    """Say that a run was made from a dataset; a second time changes nothing."""
    new = uuid.uuid4().hex
    done = connection.execute(
        "insert or ignore into inputs (input_uuid, source_type, source_id, destination_type, destination_id) "
        "values (?, 'DATASET', ?, 'RUN', ?)",
        (new, dataset, run_id),
    )
    if done.rowcount:
        connection.executemany(
            "insert into input_tags (input_uuid, name, value) values (?, ?, ?)",
            [(new, name, value) for name, value in tags.items()],
        )


def _delete(connection: sqlite3.Connection, run_ids: list[str], when: int) -> None:
    connection.executemany(
        "update runs set lifecycle_stage = 'deleted', deleted_time = ? where run_uuid = ?",
        [(when, run_id) for run_id in run_ids],
    )
