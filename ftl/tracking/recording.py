"""Record a results folder in MLflow: the one call of ``ftl run --track`` and of the pipeline's last stage."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftl.tracking.lineage import Lineage, lineage_from_cards
from ftl.tracking.record import RunRecord
from ftl.tracking.results_folder import dvc_hashes, read_fleets, read_params, read_results_folder
from ftl.tracking.results_records import results_records
from ftl.tracking.spool import Sent, record_runs
from ftl.tracking.study_tables import read_studies
from ftl.tracking.study_tables_records import study_tables_records


@dataclass(frozen=True)
class Tracked:
    """What was recorded of a results folder.

    Attributes:
        levels: level (cell, seed, report, or a study's name) -> number of runs.
        params_hash: Of the parameters.
        lineage: dataset -> the key that its runs carry as tag ``lineage``.
        sent: How many runs the store holds, how many are kept in the spool, and why.
        notes: What the folder lacked, in sentences.
    """

    levels: Mapping[str, int]
    params_hash: str
    lineage: Mapping[str, str]
    sent: Sent
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for tracked.json, without anything that differs between machines."""
        return {
            "runs": sum(self.levels.values()),
            "levels": dict(self.levels),
            "sent": self.sent.n_sent,
            "spooled": self.sent.n_spooled,
            "params_hash": self.params_hash,
            "lineage": dict(self.lineage),
        }

    def sentences(self) -> list[str]:
        """What a user is told: the warning last."""
        said = [f"MLflow: {note}." for note in self.notes]
        if self.sent.n_sent:
            n = ", ".join(f"{count} of level {level}" for level, count in self.levels.items())
            said.append(f"MLflow: {self.sent.n_sent} runs recorded ({n}); `ftl ui` shows them")
        return said + ([] if self.sent.warning is None else [f"Warning: {self.sent.warning}"])


def log_results_folder(
    folder: Path, uri: str, params: Mapping[str, Any] | None = None, lineage: Lineage | None = None
) -> Tracked:
    """Record every cell, every seed of it, the report of each dataset, and the studies whose tables lie there.

    A store that cannot be written is no error: the runs are kept in ``folder``'s spool, and ``sent.warning`` says so.

    Args:
        folder: ``artifacts/`` of the pipeline, or OUT of ``ftl run``.
        uri: The tracking store, as :func:`ftl.tracking.tracking_uri` gives it.
        params: The parameters; None: those of the folder's params.json.
        lineage: What the results were made from; None: found out from the folder and this code.

    Raises:
        UserError: If the folder holds no results.
    """
    content = read_results_folder(folder, params, lineage)
    records = results_records(content)
    studies = read_studies(folder)
    records += study_tables_records(studies, content.params, content.lineage, records[-1].start - 1)
    return _tracked(records, folder, uri, content.lineage, content.notes)


def log_studies(
    folder: Path, uri: str, params: Mapping[str, Any] | None = None, lineage: Lineage | None = None
) -> Tracked:
    """Record the studies whose tables lie in a folder, which needs no results of an experiment; else the same.

    Raises:
        UserError: If tables of a study cannot be read.
    """
    studies = read_studies(folder)
    datasets = list(dict.fromkeys(dataset for study in studies for dataset, _ in study.fleets()))
    params = read_params(folder) if params is None else params
    if lineage is None:
        lineage = lineage_from_cards(params, read_fleets(folder, datasets), dvc_hashes(folder, datasets))
    records = study_tables_records(studies, params, lineage)
    return _tracked(records, folder, uri, lineage, () if studies else (f"no tables of a study lie in {folder}",))


def _tracked(records: list[RunRecord], folder: Path, uri: str, lineage: Lineage, notes: tuple[str, ...]) -> Tracked:
    return Tracked(
        levels=dict(Counter(record.tags["level"] for record in records)),
        params_hash=lineage.params_hash,
        lineage={record.tags["dataset"]: record.tags["lineage"] for record in records},
        sent=record_runs(records, uri, folder) if records else Sent(0, 0),
        notes=notes,
    )
