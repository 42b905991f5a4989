"""Run records through ``MlflowClient``: to servers, and to databases that :mod:`ftl.tracking.bulk` may not write.

About six requests a run, at most a thousand entries each: twenty times cheaper than mlflow's fluent interface.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ftl.tracking.artifacts import write_artifacts
from ftl.tracking.database import artifact_root
from ftl.tracking.environment import quiet_environment, sqlite_file
from ftl.tracking.record import (
    DATASET_DIGEST,
    PARAM_TEXT,
    RUN_NAME,
    TAG_TEXT,
    Identity,
    RunRecord,
    clipped,
    identity_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Limits of one log_batch call, as mlflow documents them.
_BATCH, _BATCH_PARAMS_OR_TAGS = 1000, 100


class ExperimentDeletedError(Exception):
    """The experiment is there, but deleted; nothing can be written into it, and no other of its name be made."""


def open_client(uri: str) -> "MlflowClient":
    """A client of this store; what mlflow would print of an error before it raises it is kept quiet."""
    quiet_environment()
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient(uri)


def write_with_client(records: Sequence[RunRecord], uri: str) -> Iterator[str]:
    """Write one record after the other, yielding each run's id when it is whole.

    Active runs of the same experiment and identity are deleted, after the new one is finished.

    Raises:
        MlflowException, OSError: If the store cannot be reached or written.
    """
    client = open_client(uri)
    experiments: dict[str, str] = {}
    earlier: dict[tuple[str, str], dict[Identity, list[str]]] = {}
    for record in records:
        if record.experiment not in experiments:
            experiments[record.experiment] = _experiment(client, record.experiment, uri)
        experiment = experiments[record.experiment]
        before: list[str] = []
        if record.identity is not None:
            key = (experiment, record.identity[0])
            if key not in earlier:
                earlier[key] = _runs_of_lineage(client, *key)
            before = earlier[key].pop(record.identity, [])
        run_id = _write(client, experiment, record)
        for old in before:
            client.delete_run(old)
        yield run_id


def _experiment(client: "MlflowClient", name: str, uri: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "active":
        raise ExperimentDeletedError(f"its experiment {name!r} is deleted")
    if found is not None:
        return str(found.experiment_id)
    database = sqlite_file(uri)
    return str(client.create_experiment(name, None if database is None else artifact_root(database)))


def _runs_of_lineage(client: "MlflowClient", experiment: str, lineage: str) -> dict[Identity, list[str]]:
    """Active runs by identity, those included that a killed process left unfinished."""
    found: dict[Identity, list[str]] = {}
    token = None
    while True:
        only = f"tags.lineage = '{lineage}'"
        page = client.search_runs([experiment], only, max_results=1000, page_token=token)
        for run in page:
            identity = identity_of(run.data.tags)
            if identity is not None:
                found.setdefault(identity, []).append(run.info.run_id)
        token = page.token
        if not token:
            return found


def _write(client: "MlflowClient", experiment: str, record: RunRecord) -> str:
    tags = {name: clipped(value, TAG_TEXT) for name, value in record.tags.items()}
    run = client.create_run(experiment, record.start, tags=tags, run_name=clipped(record.name, RUN_NAME))
    run_id = str(run.info.run_id)
    _log_numbers(client, run_id, record)
    _log_inputs(client, run_id, record)
    _log_artifacts(client, run_id, record)
    client.set_terminated(run_id, record.status, record.end)
    return run_id


def _log_numbers(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    from mlflow.entities import Metric, Param

    points = [
        Metric(p.name, p.value, record.start if p.timestamp is None else p.timestamp, p.step) for p in record.points
    ]
    params = [Param(name, clipped(value, PARAM_TEXT)) for name, value in record.params.items()]
    first = min(_BATCH_PARAMS_OR_TAGS, len(params))
    room = _BATCH - first
    client.log_batch(run_id, metrics=points[:room], params=params[:first])
    for start in range(first, len(params), _BATCH_PARAMS_OR_TAGS):
        client.log_batch(run_id, params=params[start : start + _BATCH_PARAMS_OR_TAGS])
    for start in range(room, len(points), _BATCH):
        client.log_batch(run_id, metrics=points[start : start + _BATCH])


def _log_inputs(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(entry.name, entry.digest[:DATASET_DIGEST], entry.source_type, entry.source),
            [InputTag(name, value) for name, value in entry.tags.items()],
        )
        for entry in record.inputs
    ]
    if inputs:
        client.log_inputs(run_id, datasets=inputs)


def _log_artifacts(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    if not record.artifacts:
        return
    with tempfile.TemporaryDirectory(prefix="ftl-artifacts-") as folder:
        write_artifacts(record.artifacts, Path(folder))
        for path in record.artifacts:
            parent = PurePosixPath(path).parent.as_posix()
            client.log_artifact(run_id, str(Path(folder) / path), None if parent == "." else parent)
