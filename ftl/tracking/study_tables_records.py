"""Studies of fleets as runs of MLflow, made from their tables.

- ``ftl coldstart`` (level coldstart): one run per arm and fleet, see :mod:`ftl.tracking.coldstart_records`;
- ``ftl policies``, ``ftl methods``, ``ftl labels``, ``ftl drift`` and so on, after the study's name (level: that name):
  one run per row of its summary;
- ``ftl reports`` (level report): one run per study and fleet, with all of its tables and pictures.

Of a row of a summary, numbers are metrics under their columns' names; texts, and whatever tells rows apart, are tags.
Its rows of the table of differences and of the table of nodes are the artifacts ``differences.csv`` and
``node_table.csv``. NaN is left out, and an infinite value is named in the tag ``infinite``, as everywhere.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.tracking.coldstart_records import COLDSTART, coldstart_records
from ftl.tracking.lineage import Lineage
from ftl.tracking.record import Point, RunRecord, plain_name
from ftl.tracking.record_parts import dataset_input, params_of, report_files, timed
from ftl.tracking.results_records import EXPERIMENTS
from ftl.tracking.study_tables import FLEET, Row, StudyTables, parts, rows_of

_OF_STUDIES = "study_"
_UNCLEAR = {"all", "none"}
"""Values that say nothing without their column's name."""


def study_tables_records(
    studies: Sequence[StudyTables], params: Mapping[str, Any], lineage: Lineage, now: int | None = None
) -> list[RunRecord]:
    """All runs of studies: rows in the order of their summary, after them the study's tables.

    Args:
        params: Nested; of other studies than its own a run gets no parameters.
        lineage: What the tables were made from.
        now: Milliseconds since 1970, the start of the first run.

    Raises:
        UserError: If a table lacks what belongs into it.
    """
    records: list[RunRecord] = []
    for study in studies:
        settings = {dataset: _params(study.name, dataset, params) for dataset, _ in study.fleets()}
        of_rows = coldstart_records if study.name == COLDSTART else row_records
        records += [*of_rows(study, settings, lineage), *_report_records(study, settings, lineage)]
    return timed(records, int(time.time() * 1000) if now is None else now)


def row_records(study: StudyTables, params: Mapping[str, Mapping[str, str]], lineage: Lineage) -> Iterator[RunRecord]:
    """One run per row of a study's summary."""
    of_run = {"differences.csv": study.tables.get("differences"), "node_table.csv": study.rows}
    tables = {name: _by_key(study, table) for name, table in of_run.items() if table is not None}
    cells: dict[str, int] = {}
    said = _said_in_names(study)
    for row in rows_of(study.summary):
        key = {name: row[name] for name in study.key}
        dataset = key["dataset"]
        cell = "/".join([key["dataset"], key["protocol"], study.name, *(key[n] or "-" for n in study.key[2:])])
        cells[cell] = cells.get(cell, 0) + 1  # rows that nothing tells apart are counted
        artifacts = {
            name: content for name, (columns, found) in tables.items()
            if (content := found.get(tuple(row[column] for column in columns))) is not None
        }  # fmt: skip
        numbers, infinite = _numbers(row, study.numeric)
        tags = {plain_name(name): _tag(value, name in study.numeric) for name, value in key.items() if value}
        yield RunRecord(
            experiment=f"ftl {study.name}",
            name=_run_name(study, {name: key[name] for name in said}),
            tags=tags
            | ({"infinite": ", ".join(infinite)} if infinite else {})
            | {"study": study.name, "level": study.name, **lineage.tags(dataset)}
            | {"cell": cell if cells[cell] == 1 else f"{cell}#{cells[cell]}"},
            params={**params[dataset], **{name: value for name, value in tags.items() if name not in FLEET}},
            points=tuple(Point(plain_name(name), value) for name, value in numbers.items()),
            inputs=(dataset_input(lineage, dataset),),
            artifacts=artifacts,
            start=0,
            end=0,
        )


def _report_records(
    study: StudyTables, params: Mapping[str, Mapping[str, str]], lineage: Lineage
) -> Iterator[RunRecord]:
    datasets = [dataset for dataset, _ in study.fleets()]
    for dataset, protocol in study.fleets():
        artifacts: dict[str, str | Path] = {
            path: file
            for path, file in report_files(study.folder / "report", dataset, datasets).items()
            if file.name.startswith(study.name)
        }
        for name, table in study.tables.items():
            own = {"dataset": dataset, "protocol": protocol}
            for column in [column for column in own if column in table]:
                table = table[table[column] == own[column]]
            artifacts[f"{study.name}_{name}.csv"] = table.to_csv(index=False, lineterminator="\n")
        yield RunRecord(
            experiment=EXPERIMENTS["report"],
            name=f"{dataset} {study.name}" + ("" if protocol == "rigorous" else f" ({protocol} protocol)"),
            tags={"dataset": dataset, "protocol": protocol, "study": study.name, **lineage.tags(dataset)}
            | {"level": "report", "cell": f"{dataset}/{protocol}/{study.name}"},
            params=params[dataset],
            points=(),
            inputs=(dataset_input(lineage, dataset),),
            artifacts=artifacts,
            start=0,
            end=0,
        )


def _params(study: str, dataset: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a run: all sections but those of other studies."""
    of_studies = {name for name in params if name == COLDSTART or name.startswith(_OF_STUDIES)}
    return params_of(params, dataset, without=of_studies - {study, _OF_STUDIES + study})


def _by_key(study: StudyTables, table: pd.DataFrame) -> tuple[list[str], dict[tuple[str, ...], str]]:
    """(columns, rows of a table by them): what tells rows of the summary apart, where the table uses the same words."""
    reference = set(table["against"]) if "against" in table else set()  # has no difference to itself
    columns = [c for c in study.key if c in table and set(study.summary[c]) - reference <= set(table[c])]
    return columns, parts(table, columns) if columns else {}


def _numbers(row: Row, names: frozenset[str]) -> tuple[dict[str, float], list[str]]:
    """(finite numbers, names of infinite ones) of a row's columns that hold numbers."""
    numbers = {name: float(value) for name, value in row.items() if name in names and value}
    finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
    return finite, [name for name, value in numbers.items() if math.isinf(value)]


def _tag(value: str, is_number: bool) -> str:
    """Truth as mlflow's pages search for it elsewhere, numbers without needless digits."""
    if is_number:
        return f"{float(value):.10g}"
    return value.lower() if value in ("True", "False") else value


def _said_in_names(study: StudyTables) -> list[str]:
    """What tells rows apart, without words that follow from those before them, such as what a policy ranks by."""
    said: list[str] = []
    for name in study.key:
        follows = study.summary.groupby(said)[name].nunique().max() == 1 if said[len(FLEET) :] else False
        if name in FLEET or name in study.numeric or not follows:
            said.append(name)
    return said


def _run_name(study: StudyTables, key: Row) -> str:
    """What a row says of itself, e.g. "asd top_n zero_shot hours=24"."""
    words = [key["dataset"]]
    for name, value in key.items():
        if name in FLEET or value in ("", "False"):
            continue
        if name in study.numeric or value in _UNCLEAR:
            words.append(f"{name}={_tag(value, name in study.numeric)}")
        else:
            words.append(name if value == "True" else value)
    return " ".join(words + ([] if key["protocol"] == "rigorous" else [f"({key['protocol']} protocol)"]))
