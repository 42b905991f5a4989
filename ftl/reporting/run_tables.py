"""What a run left behind in its results folder: the tables and cards from which every page and picture is made."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from ftl.errors import UserError
from ftl.evaluation.results import read_results
from ftl.evaluation.summary import read_summary
from ftl.reporting.coldstart_subject import ColdSubject, cold_subjects

if TYPE_CHECKING:  # the study imports torch
    from ftl.studies.coldstart.tables import ColdStartTables

RESULTS_FILE, SUMMARY_FILE = "results.parquet", "summary.csv"
UNKNOWN_ORIGIN = "origin unknown"
_TEXTS = ("dataset", "protocol", "paradigm", "policy", "arm", "node", "node_a", "node_b", "role", "stage", "unit")
_STUDY_TEXTS = ("against", "metric", "verdict", "action", "reason")
_COLDSTART = {  # attribute of ColdStartTables -> columns that the report cannot do without
    "summary": ("dataset", "protocol", "full", "asked_hours", "arm", "f1", "fpr", "auroc", "hours", "n_nodes"),
    "differences": ("dataset", "full", "asked_hours", "arm", "against", "metric", "delta", "ci_low", "ci_high"),
    "usable": ("dataset", "arm", "hours_until_usable", "f1", "fpr", "f1_needed", "fpr_allowed"),
    "decisions": ("dataset", "node", "asked_hours", "action", "reason"),
    "rows": ("dataset", "full", "asked_hours", "arm", "node", "f1", "fpr", "auroc"),
}


@dataclass(frozen=True)
class RunTables:
    """One results folder, read. A table or card that the folder lacks is None, or empty where it is a dict.

    Attributes:
        results: One row per run of one arm on one node (:mod:`ftl.evaluation.results`).
        summary: One row per (dataset, protocol, paradigm, policy, n_participants, arm).
        rounds: Training loss by round: dataset, paradigm, policy, n_participants, draw, seed, round, train_loss.
        costs: What each unit of each stage took: dataset, stage, unit, paradigm, seed, wall_seconds, cpu_seconds,
            peak_memory_bytes, energy_wh, energy_source.
        similarity: Pairs of local models: dataset, paradigm, seed, node_a, node_b, cosine, cka.
        projection: Nodes by their features: dataset, node, x, y, share_x, share_y, distance.
        timelines: Scores of a few nodes over time, with threshold and label.
        fleets: dataset -> origin, protocol, fingerprint, node_ids, racks, time_unit, window_seconds, n_features,
            labels_borrowed, report.
        params: The experiment's parameters.
        tuning: A study and what its best parameters did on the test part.
        coldstart: What `ftl coldstart` left in the folder.
        drift: Rows of the drift study (:mod:`ftl.studies.drift`).
    """

    results: pd.DataFrame
    summary: pd.DataFrame
    rounds: pd.DataFrame | None = None
    costs: pd.DataFrame | None = None
    similarity: pd.DataFrame | None = None
    projection: pd.DataFrame | None = None
    timelines: pd.DataFrame | None = None
    fleets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    tuning: Mapping[str, Any] | None = None
    coldstart: "ColdStartTables | None" = None
    drift: pd.DataFrame | None = None

    @cached_property
    def coldstarts(self) -> list[ColdSubject]:
        """The cold start of every dataset that has one."""
        return cold_subjects(self.coldstart, self.fleets, self.racks(), UNKNOWN_ORIGIN)

    @property
    def scopes(self) -> list[tuple[str, str]]:
        """The (dataset, protocol) that the summary has, in its order."""
        pairs = self.summary[["dataset", "protocol"]].drop_duplicates()
        return [(str(dataset), str(protocol)) for dataset, protocol in pairs.itertuples(index=False, name=None)]

    def origin(self, dataset: str) -> str:
        """ "simulated", "real", or that nobody knows."""
        return str(self.fleets.get(dataset, {}).get("origin", UNKNOWN_ORIGIN))

    def n_nodes(self, dataset: str) -> int:
        """Nodes of the dataset that were scored."""
        return self._nodes_scored.get(dataset, 0)

    @cached_property
    def _nodes_scored(self) -> dict[str, int]:
        counts = self.results.groupby("dataset")["node"].nunique()
        return {str(dataset): int(count) for dataset, count in counts.items()}

    def where(self, dataset: str, protocol: str) -> str:
        """What no number is shown without: ``d1 (simulated, 20 nodes), rigorous protocol``."""
        return f"{dataset} ({self.origin(dataset)}, {self.n_nodes(dataset)} nodes), {protocol} protocol"

    def racks(self) -> dict[str, dict[str, str | None]]:
        """dataset -> node -> rack, as far as known."""
        return racks_in(self.fleets)


def racks_in(fleets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str | None]]:
    """dataset -> node -> rack, as far as the cards of fleets tell it."""
    found: dict[str, dict[str, str | None]] = {}
    for dataset, card in fleets.items():
        racks = card.get("racks")
        if isinstance(racks, Mapping):
            found[dataset] = dict(racks)
        elif racks and len(racks) == len(card.get("node_ids", ())):
            found[dataset] = dict(zip(card["node_ids"], racks, strict=True))
    return found


def read_run(folder: Path) -> RunTables:
    """Read a results folder: ``artifacts`` of the pipeline, or what ``ftl run --out`` wrote.

    Raises:
        UserError: If it is no results folder, or a file in it cannot be read.
    """
    missing = [name for name in (RESULTS_FILE, SUMMARY_FILE) if not (folder / name).is_file()]
    if missing:
        what = "no such folder" if not folder.is_dir() else f"no {' and no '.join(missing)} there"
        raise UserError(
            f"{folder}: {what}; give the folder that `ftl run FLEET --out FOLDER` wrote, or artifacts after `dvc repro`"
        )
    results = _read(folder / RESULTS_FILE, read_results)
    summary = _read(folder / SUMMARY_FILE, read_summary)
    assert results is not None
    assert summary is not None
    return RunTables(
        results=results,
        summary=summary,
        rounds=_read(folder / "rounds.csv", _csv),
        costs=_read(folder / "costs.csv", _csv),
        similarity=_read(folder / "similarity.csv", _csv),
        projection=_read(folder / "projection.csv", _csv),
        timelines=_read(folder / "timelines.parquet", pd.read_parquet),
        fleets=read_card(folder / "fleets.json"),
        params=read_card(folder / "params.json"),
        tuning=_read(folder / "tuning.json", _json),
        coldstart=read_coldstart(folder),
        drift=_read(folder / "drift.parquet", pd.read_parquet),
    )


def read_coldstart(folder: Path) -> "ColdStartTables | None":
    """What `ftl coldstart` left in a folder; None without coldstart_summary.csv, other tables may be empty.

    The pipeline keeps the tables in a folder `coldstart` of its own.

    Raises:
        UserError: If a file of it cannot be read.
    """
    folder = folder if (folder / "coldstart_summary.csv").is_file() else folder / "coldstart"
    paths = {name: folder / f"coldstart_{name}.csv" for name in _COLDSTART} | {"rows": folder / "coldstart.parquet"}
    if not paths["summary"].is_file():
        return None
    from ftl.studies.coldstart.tables import ColdStartTables

    again = "run `ftl coldstart` again"
    tables = {name: _read(path, partial(_with_columns, _COLDSTART[name]), again) for name, path in paths.items()}
    return ColdStartTables(**{name: pd.DataFrame() if table is None else table for name, table in tables.items()})


def read_card(path: Path) -> dict[str, Any]:
    """A mapping in JSON, empty where there is no such file.

    Raises:
        UserError: If it cannot be read.
    """
    found: dict[str, Any] = _read(path, _json) or {}
    return found


def _read(path: Path, reader: Callable[[Path], Any], again: str = "run the evaluation again") -> Any:
    """What the file holds; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        return reader(path)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}); it is damaged or of another version: {again}") from error


def _csv(path: Path) -> pd.DataFrame | None:
    """A table whose names are text, node "007" too; None where the file has no column."""
    try:
        return pd.read_csv(path, dtype=dict.fromkeys((*_TEXTS, *_STUDY_TEXTS), "str"))
    except pd.errors.EmptyDataError:
        return None


def _with_columns(columns: Sequence[str], path: Path) -> pd.DataFrame | None:
    """A table of a study, which must have some columns."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else _csv(path)
    missing = [name for name in columns if table is not None and name not in table]
    if missing:
        raise ValueError(f"column {missing[0]} is missing")
    return table


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"a mapping was expected, found {type(content).__name__}")
    return content
