"""Every summary row as one flat MLflow run.

Flat, because the MLflow UI folds nested runs away and leaves them out of its charts; few metrics under fixed names,
because it slows down with their number: what differs by node stands in a table artifact. Written with one
``log_batch`` per thousand entries, about twenty times cheaper than the fluent API on sqlite.
"""

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ftl.errors import ConfigError
from ftl.evaluation.results import CELL_COLUMNS
from ftl.tracking.environment import quiet_environment, sqlite_file
from ftl.tracking.lineage import Lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient

CELL = list(CELL_COLUMNS)
# Limits of one log_batch call, and of a dataset digest and a parameter's text, as mlflow documents them.
_BATCH, _BATCH_PARAMS_OR_TAGS, _DIGEST, _PARAM_TEXT = 1000, 100, 36, 6000
_CUT = " ... (cut)"


class Cell(NamedTuple):
    """The key of one summary row, as in ``CELL_COLUMNS``; policy and n_participants are None without a cohort."""

    dataset: str
    protocol: str
    paradigm: str
    policy: str | None
    n_participants: int | None
    arm: str

    def run_name(self, digits: int) -> str:
        """A name that sorts by what it says, e.g. "d1 unsupervised transfer top_n N=05"."""
        n = None if self.n_participants is None else f"N={self.n_participants:0{digits}d}"
        protocol = None if self.protocol == "rigorous" else f"({self.protocol} protocol)"
        return " ".join(w for w in (self.dataset, self.paradigm, self.arm, self.policy, n, protocol) if w)

    def tags(self) -> dict[str, str]:
        """The key as tags, without what is None, and in one piece as ``cell``."""
        parts = {name: str(value) for name, value in self._asdict().items() if value is not None}
        return parts | {"cell": "/".join(parts.values())}


def log_summary(
    summary: pd.DataFrame,
    results: pd.DataFrame,
    params: Mapping[str, Any],
    rounds: pd.DataFrame | None,
    lineage: Lineage,
    uri: str,
    experiment: str = "ftl",
) -> list[str]:
    """Log one flat run per summary row; runs of the same lineage and cell are replaced.

    Metrics are all numeric columns of the row under the column's name (booleans as 0 and 1). NaN is left out, and an
    infinite value is named in the tag ``infinite`` instead, as no MLflow store keeps it. Text columns become tags.

    Args:
        summary: One row per cell, keyed by ``CELL_COLUMNS``.
        results: The results table; a run's artifact ``node_table.csv`` holds the rows of its cell.
        params: The experiment's parameters, nested as in params.yaml; logged as ``section.name``.
        rounds: Columns dataset, paradigm, policy, n_participants, draw, seed, round, train_loss (and protocol where
            there are several). Runs of a cohort get the series ``round_train_loss``, averaged over draws and seeds.
        lineage: What the results were made from.
        uri: The tracking store, as :func:`ftl.tracking.tracking_uri` gives it.
        experiment: Name of the MLflow experiment, created where it is missing.

    Returns:
        Run ids in the order of the summary's rows.

    Raises:
        ConfigError: If the store cannot be read or written.
    """
    quiet_environment()
    cells = [Cell(*key) for key in _keys(summary, CELL)]
    digits = max([2] + [len(str(cell.n_participants)) for cell in cells if cell.n_participants is not None])
    node_rows = _rows_by_key(results, CELL)
    series = _round_series(rounds)
    flat_params = flatten(params)
    with _store_errors_explained(uri):
        client, experiment_id = _open_experiment(uri, experiment)
        earlier = _earlier_runs(client, experiment_id, {lineage.key(cell.dataset) for cell in cells})
        run_ids = []
        for (_, row), cell in zip(summary.iterrows(), cells, strict=True):
            metrics, texts = _metrics_and_texts(row)
            tags = texts | cell.tags() | lineage.tags(cell.dataset)
            run_id = client.create_run(experiment_id, tags=tags, run_name=cell.run_name(digits)).info.run_id
            own_params = {name: value for name, value in cell._asdict().items() if value is not None}
            losses = series.get(cell[:-1]) or series.get(cell._replace(protocol="")[:-1]) or []
            _log(client, run_id, metrics, losses, flat_params | own_params)
            _log_dataset(client, run_id, cell.dataset, lineage)
            nodes = results.iloc[node_rows.get(tuple(cell), [])]
            client.log_text(run_id, nodes.to_csv(index=False), "node_table.csv")
            client.set_terminated(run_id)
            for old in earlier.get((tags["lineage"], tags["cell"]), []):
                client.delete_run(old)
            run_ids.append(run_id)
    return run_ids


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as ``section.name``; lists are written as JSON."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value, default=str) if isinstance(value, list | tuple) else value
    return flat


def _log(
    client: "MlflowClient",
    run_id: str,
    metrics: dict[str, float],
    losses: list[tuple[int, float]],
    params: dict[str, Any],
) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    points = [Metric(name, value, now, 0) for name, value in metrics.items()]
    points += [Metric("round_train_loss", loss, now, round_) for round_, loss in losses]
    settings = [Param(name, _clipped(str(value))) for name, value in params.items()]
    first = min(_BATCH_PARAMS_OR_TAGS, len(settings))
    room = _BATCH - first
    client.log_batch(run_id, metrics=points[:room], params=settings[:first])
    for start in range(first, len(settings), _BATCH_PARAMS_OR_TAGS):
        client.log_batch(run_id, params=settings[start : start + _BATCH_PARAMS_OR_TAGS])
    for start in range(room, len(points), _BATCH):
        client.log_batch(run_id, metrics=points[start : start + _BATCH])


def _log_dataset(client: "MlflowClient", run_id: str, dataset: str, lineage: Lineage) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    fingerprint = lineage.fingerprint(dataset)
    source = json.dumps({"origin": lineage.origin.get(dataset, "unknown"), "fingerprint": fingerprint})
    entity = Dataset(name=dataset, digest=fingerprint[:_DIGEST], source_type="ftl_fleet", source=source)
    client.log_inputs(run_id, datasets=[DatasetInput(entity, [InputTag("mlflow.data.context", "experiment")])])


def _open_experiment(uri: str, experiment: str) -> tuple["MlflowClient", str]:
    database = sqlite_file(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient

    # mlflow prints a traceback of every database error before it raises it; we say the same in one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is not None and found.lifecycle_stage == "active":
        return client, found.experiment_id
    # Beside the database, not in the current folder, where mlflow would put them.
    artifacts = None if database is None else (database.resolve().parent / "mlartifacts").as_uri()
    return client, client.create_experiment(experiment, artifact_location=artifacts)


def _earlier_runs(client: "MlflowClient", experiment_id: str, lineages: set[str]) -> dict[tuple[str, str], list[str]]:
    """Active runs by (lineage, cell), those included that a killed process left unfinished."""
    found: dict[tuple[str, str], list[str]] = {}
    for lineage in sorted(lineages):
        token = None
        while True:
            only = f"tags.lineage = '{lineage}'"
            page = client.search_runs([experiment_id], only, max_results=1000, page_token=token)
            for run in page:
                found.setdefault((lineage, run.data.tags.get("cell", "")), []).append(run.info.run_id)
            token = page.token
            if not token:
                break
    return found


def _metrics_and_texts(row: "pd.Series[Any]") -> tuple[dict[str, float], dict[str, str]]:
    metrics: dict[str, float] = {}
    texts: dict[str, str] = {}
    infinite = []
    for name, value in row.drop(CELL).items():
        if isinstance(value, str):
            texts[str(name)] = value
        elif isinstance(value, Real | np.bool_):
            number = float(value)
            if math.isinf(number):
                infinite.append(str(name))
            elif not math.isnan(number):
                metrics[str(name)] = number
    if infinite:
        texts["infinite"] = ", ".join(infinite)
    return metrics, texts


def _round_series(rounds: pd.DataFrame | None) -> dict[tuple[Any, ...], list[tuple[int, float]]]:
    """(round, training loss) by the key of a cell without its arm; protocol is "" where the table has none."""
    if rounds is None or rounds.empty:
        return {}
    if "protocol" not in rounds:
        rounds = rounds.assign(protocol="")
    key = CELL[:-1]
    mean = rounds.groupby([*key, "round"], observed=True)["train_loss"].mean().dropna().reset_index()
    series: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
    for cohort, round_, loss in zip(_keys(mean, key), mean["round"], mean["train_loss"], strict=True):
        series.setdefault(cohort, []).append((int(round_), float(loss)))
    return series


def _rows_by_key(table: pd.DataFrame, columns: list[str]) -> dict[tuple[Any, ...], list[int]]:
    rows: dict[tuple[Any, ...], list[int]] = {}
    for number, key in enumerate(_keys(table, columns)):
        rows.setdefault(key, []).append(number)
    return rows


def _keys(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Each row's key with None for null and int for n_participants, whatever the columns' types."""
    plain = []
    for name in columns:
        values = [None if pd.isna(v) else v for v in table[name]]
        plain.append([None if v is None else int(v) for v in values] if name == "n_participants" else values)
    return zip(*plain, strict=True)


def _clipped(text: str) -> str:
    return text if len(text) <= _PARAM_TEXT else text[: _PARAM_TEXT - len(_CUT)] + _CUT


@contextmanager
def _store_errors_explained(uri: str) -> Iterator[None]:
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"the runs could not be written to the MLflow store {uri}: {reason}. {_remedy(reason, uri)} "
            "The results on disk are complete; running the same command again only repeats the logging"
        ) from error


def _remedy(reason: str, uri: str) -> str:
    if "locked" in reason:
        return "Another process is writing to it: wait for it or end it."
    if "locate revision" in reason or "out-of-date database schema" in reason:
        return "Another version of mlflow made it: use that version, `mlflow db upgrade`, or another file."
    if uri.startswith("http"):
        return "Check that the server runs and that MLFLOW_TRACKING_URI is right, or unset it to use a local file."
    return "Check MLFLOW_TRACKING_URI and that the file can be written, or move it away to start afresh."
