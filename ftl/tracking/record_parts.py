"""What records of all kinds are put together from: inputs, parameters, parts of tables, and their order in a list."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.tracking.lineage import Lineage
from ftl.tracking.record import DatasetInput, RunRecord, flatten

REPORT_SUFFIXES = frozenset({".html", ".md", ".png", ".svg", ".pdf", ".csv", ".tex", ".json", ".txt"})
_LINE_END = "\x1e\n"  # not a plain newline, which could stand in a quoted name


def timed(records: Sequence[RunRecord], now: int) -> list[RunRecord]:
    """Each run starts one millisecond before the one ahead of it, because MLflow lists the latest run first."""
    return [replace(record, start=now - number, end=now - number) for number, record in enumerate(records)]


def dataset_input(lineage: Lineage, dataset: str) -> DatasetInput:
    """The fleet that a run was made from."""
    fingerprint, md5 = lineage.fingerprint(dataset), lineage.dvc_md5.get(dataset)
    source = {"origin": lineage.origin.get(dataset, "unknown"), "fingerprint": fingerprint}
    tags = {"mlflow.data.context": "experiment"}
    if md5 is not None:
        source["dvc_md5"] = tags["dvc_md5"] = md5
    return DatasetInput(dataset, fingerprint, dumps(source), tags=tags)


def params_of(params: Mapping[str, Any], dataset: str, without: Collection[str] = ()) -> dict[str, str]:
    """The parameters, flat: of the section ``datasets`` the part that speaks of this one alone, as ``source``.

    Args:
        without: Sections that are left out.
    """
    of_all = {name: value for name, value in params.items() if name != "datasets" and name not in without}
    datasets = params.get("datasets") or {}
    return flatten({**of_all, "source": datasets.get(dataset) or {}})


def csv_lines(table: pd.DataFrame) -> tuple[str, list[str]]:
    """(header, a line per row) of a table as csv, formatted once for all: many small tables cost seconds."""
    header, *lines = table.to_csv(index=False, lineterminator=_LINE_END).split(_LINE_END)[:-1]
    return header, lines


def csv_of(header: str, lines: Sequence[str]) -> str:
    """The csv of some of the lines that :func:`csv_lines` gave."""
    return "\n".join([header, *lines]) + "\n"


def report_files(report: Path, dataset: str, datasets: Collection[str]) -> dict[str, Path]:
    """Path below a run's artifacts -> file of a report; figures named after another dataset are left out."""
    found: dict[str, Path] = {}
    others = [name for name in datasets if name != dataset]
    for file in sorted(report.rglob("*")) if report.is_dir() else []:
        path = file.relative_to(report).as_posix()
        if file.is_file() and file.suffix in REPORT_SUFFIXES and not _of_another(file.name, dataset, others):
            found[path if path.startswith("figures/") else f"report/{path}"] = file
    return found


def _of_another(file: str, dataset: str, others: Sequence[str]) -> bool:
    """Does a file's name speak of another dataset, and not of this one?"""

    def names(word: str) -> bool:
        return re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", file) is not None

    return not names(dataset) and any(names(other) for other in others)
