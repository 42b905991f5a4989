"""Several sqlite stores as one: each job of a cluster writes its own file, as one file cannot take many writers.

Experiments meet by name. Runs come over with parameters, all values of all metrics, tags, inputs and artifacts, the
latter copied and their addresses rewritten. Runs of equal identity (:mod:`ftl.tracking.record`), and of equal id, are
kept once: the first in the order of the files given. Deleted runs are left out, and registered models stay where they
are. The files merged are opened read-only.
"""

import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ftl.errors import ConfigError
from ftl.tracking.artifacts import local_folder
from ftl.tracking.bulk import create, dataset_id, identities, insert_input, make_experiment
from ftl.tracking.database import KNOWN_SCHEMAS, artifact_root, lock_remedy, reading, schema_of, writing
from ftl.tracking.record import Identity

_RUN_COLUMNS = (
    "run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, "
    "source_version, lifecycle_stage, artifact_uri, experiment_id"
)


@dataclass(frozen=True)
class Merged:
    """What became of one file's runs: copied, left out because there already, left out because deleted.

    ``n_without_artifacts`` of those copied had their artifacts in a folder that is not there. ``n_models`` registered
    models were not copied.
    """

    source: Path
    n_copied: int = 0
    n_duplicates: int = 0
    n_deleted: int = 0
    n_without_artifacts: int = 0
    n_models: int = 0


@dataclass
class _Target:
    """The store that is written, and what it holds."""

    connection: sqlite3.Connection
    root: str
    run_ids: set[str]
    identities: dict[int, set[Identity]] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)


def merge_stores(sources: Sequence[Path], into: Path) -> list[Merged]:
    """Copy all runs of the sources into one store, which is made where it is missing.

    Merging again, or merging a file that has grown, adds what is new. Either all of it is there afterwards or nothing.

    Raises:
        ConfigError: If a file is missing, locked, no MLflow store or of another schema, or is named twice.
    """
    at = [path.resolve() for path in (*sources, into)]
    if len(set(at)) < len(at):
        raise ConfigError("a store cannot be merged twice or into itself: name each file once, and --into another")
    for source in sources:
        with reading(source):
            pass
    try:
        if schema_of(into) is None:
            create(into)
        if schema_of(into) not in KNOWN_SCHEMAS:
            raise ConfigError(f"{into}: made by another version of mlflow; give a new file to --into")
        with writing(into) as connection:
            run_ids = {run_id for (run_id,) in connection.execute("select run_uuid from runs")}
            target = _Target(connection, artifact_root(into), run_ids)
            try:
                return [_merge(source, target) for source in sources]
            except BaseException:
                for folder in target.folders:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
    except sqlite3.Error as error:
        raise ConfigError(f"{into}: {error}. {lock_remedy(error)}") from error


def merge_sentences(merged: Sequence[Merged], into: Path) -> list[str]:
    """The summary that a user reads."""
    said = []
    for one in merged:
        parts = [f"{one.n_copied} runs copied"]
        parts += [f"{one.n_duplicates} there already"] if one.n_duplicates else []
        parts += [f"{one.n_deleted} deleted ones left out"] if one.n_deleted else []
        if one.n_without_artifacts:
            parts.append(f"{one.n_without_artifacts} without artifacts, as their folder was not found")
        if one.n_models:
            parts.append(f"{one.n_models} registered models not copied: register them in the new store")
        said.append(f"{one.source}: {', '.join(parts)}")
    return [*said, f"{into}: {sum(one.n_copied for one in merged)} runs added from {len(merged)} files"]


def _merge(source: Path, target: _Target) -> Merged:
    merged = Merged(source)
    with reading(source) as connection:
        experiments = connection.execute(
            "select experiment_id, name from experiments where lifecycle_stage = 'active' order by experiment_id"
        ).fetchall()
        (n_deleted,) = connection.execute(
            "select count(*) from runs r join experiments e on e.experiment_id = r.experiment_id "
            "where r.lifecycle_stage <> 'active' or e.lifecycle_stage <> 'active'"
        ).fetchone()
        (n_models,) = connection.execute("select count(*) from registered_models").fetchone()
        merged = replace(merged, n_deleted=n_deleted, n_models=n_models)
        for number, name in experiments:
            merged = _merge_experiment(connection, number, name, target, merged)
    return merged


def _merge_experiment(
    connection: sqlite3.Connection, number: int, name: str, target: _Target, merged: Merged
) -> Merged:
    of_run = dict(identities(connection, number))
    runs = connection.execute(
        f"select {_RUN_COLUMNS} from runs where experiment_id = ? and lifecycle_stage = 'active' "
        "order by start_time desc, run_uuid",
        (number,),
    ).fetchall()
    if not runs:
        return merged
    experiment = _experiment_of(name, connection, number, target)
    known = target.identities.setdefault(experiment, {i for _, i in identities(target.connection, experiment)})
    for run in runs:
        identity = of_run.get(run[0])
        if run[0] in target.run_ids or (identity is not None and identity in known):
            merged = replace(merged, n_duplicates=merged.n_duplicates + 1)
            continue
        found = _copy_run(connection, run, experiment, target, merged.source)
        target.run_ids.add(run[0])
        if identity is not None:
            known.add(identity)
        merged = replace(
            merged,
            n_copied=merged.n_copied + 1,
            n_without_artifacts=merged.n_without_artifacts + (not found),
        )
    return merged


def _experiment_of(name: str, source: sqlite3.Connection, number: int, target: _Target) -> int:
    """The target's experiment of that name; made, with the source's tags, where it is missing."""
    row = target.connection.execute(
        "select experiment_id, lifecycle_stage from experiments where name = ?", (name,)
    ).fetchone()
    if row is not None:
        if row[1] != "active":
            raise ConfigError(
                f"the experiment {name!r} is deleted in the store merged into: restore it with `mlflow experiments "
                "restore`, or give a new file to --into"
            )
        return int(row[0])
    experiment = make_experiment(target.connection, name, target.root)
    tags = source.execute("select key, value from experiment_tags where experiment_id = ?", (number,)).fetchall()
    target.connection.executemany(
        "insert into experiment_tags (key, value, experiment_id) values (?, ?, ?)",
        [(key, value, experiment) for key, value in tags],
    )
    return experiment


def _copy_run(
    source: sqlite3.Connection, run: tuple[object, ...], experiment: int, target: _Target, file: Path
) -> bool:
    """Copy one run with all that hangs on it; False where its artifacts could not be found."""
    run_id, uri = str(run[0]), str(run[11] or "")
    root = local_folder(target.root)
    assert root is not None
    recorded, found = local_folder(uri), True
    if recorded is not None:  # on a server or in a bucket, artifacts stay where they are
        folder = _artifacts_of(recorded, run_id, file)
        found = folder is not None or recorded.parent.parent.is_dir()
        uri = f"{target.root}/{run_id}/artifacts"
        if folder is not None:
            target.folders.append(root / run_id)
            shutil.copytree(folder, root / run_id / "artifacts", dirs_exist_ok=True)
    marks = ",".join("?" * 13)
    target.connection.execute(f"insert into runs ({_RUN_COLUMNS}) values ({marks})", (*run[:11], uri, experiment))
    for table, columns in (
        ("tags", "key, value"),
        ("params", "key, value"),
        ("metrics", "key, value, timestamp, step, is_nan"),
        ("latest_metrics", "key, value, timestamp, step, is_nan"),
    ):
        rows = source.execute(f"select {columns} from {table} where run_uuid = ?", (run_id,))
        marks = ",".join("?" * (len(columns.split(",")) + 1))
        target.connection.executemany(
            f"insert into {table} ({columns}, run_uuid) values ({marks})", ((*row, run_id) for row in rows)
        )
    _copy_inputs(source, run_id, experiment, target.connection)
    return found


def _copy_inputs(source: sqlite3.Connection, run_id: str, experiment: int, target: sqlite3.Connection) -> None:
    rows = source.execute(
        "select i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema, "
        "d.dataset_profile from inputs i join datasets d on d.dataset_uuid = i.source_id "
        "where i.source_type = 'DATASET' and i.destination_type = 'RUN' and i.destination_id = ?",
        (run_id,),
    ).fetchall()
    for input_id, *dataset in rows:
        tags = source.execute("select name, value from input_tags where input_uuid = ?", (input_id,)).fetchall()
        insert_input(target, run_id, dataset_id(target, (experiment, *dataset)), dict(tags))


def _artifacts_of(recorded: Path, run_id: str, database: Path) -> Path | None:
    """The folder of a run's artifacts: where its address says, or beside the database, should that have been moved."""
    beside = database.resolve().parent / "mlartifacts"
    candidates = (recorded, beside / run_id / "artifacts", beside.joinpath(*recorded.parts[-3:]))
    return next((folder for folder in candidates if folder.is_dir()), None)
