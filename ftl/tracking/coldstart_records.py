"""The cold start as runs of MLflow: one per arm and fleet in ``ftl coldstart``, with series over the length of history.

The step of a series is the length of a target's history: hours, where every length that was asked for is a whole
number of them, else minutes, else seconds (tag ``step_unit``; the same for all runs of a folder). The whole history is
the last step: its mean length, or one more than the longest that was asked for where that is more, as histories of
different nodes may differ. The series ``history_hours`` has the exact mean lengths.

- series: SERIES (means over nodes) and, of every arm but ``local``, the paired difference to it with its interval:
  ``delta_f1``, ``ci_low``, ``ci_high``, ``delta_auroc``, ``ci_low_auroc``, ``ci_high_auroc``. What a list of runs shows
  of a series is its last value: that of the whole history;
- single values: ``f1_full``, ``fpr_full``, ``f1_at_2h``, ``fpr_at_2h`` and so on, ``hours_until_usable`` (left out
  where alarms never are; the tag ``usable`` says it in words) with ``f1_needed`` and ``fpr_allowed``,
  ``participant_bytes`` and ``target_bytes``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ftl.tracking.lineage import Lineage
from ftl.tracking.record import Point, RunRecord
from ftl.tracking.record_parts import dataset_input, report_files
from ftl.tracking.study_tables import FLEET, Row, StudyTables, grouped, parts, require_columns

COLDSTART = "coldstart"
EXPERIMENT = "ftl coldstart"
SERIES = ("f1", "auroc", "auprc", "fpr", "event_recall", "alarms_per_node_day", "n_nodes")
AT_LENGTH = ("f1", "fpr")
BYTES = ("participant_bytes", "target_bytes")
USABLE = ("hours_until_usable", "f1_needed", "fpr_allowed")
REFERENCE = "local"
UNITS = {"hours": 1, "minutes": 60, "seconds": 3600}
"""Unit of a step -> how many of them an hour has."""
_DELTAS = {"f1": ("delta_f1", "ci_low", "ci_high"), "auroc": ("delta_auroc", "ci_low_auroc", "ci_high_auroc")}
_DIFFERENCE = ("against", "metric", "delta", "ci_low", "ci_high")
_ARM = (*FLEET, "arm")

Steps = dict[tuple[str, str, str], int]
"""(dataset, protocol, asked_hours as written) -> step."""


def coldstart_records(
    study: StudyTables, params: Mapping[str, Mapping[str, str]], lineage: Lineage
) -> Iterator[RunRecord]:
    """One run per arm of every fleet, in the order of the summary.

    Args:
        params: dataset -> its parameters, flat.

    Raises:
        UserError: If a table lacks a column.
    """
    summary = require_columns(study, "summary", (*_ARM, "asked_hours", "hours", *SERIES, *BYTES))
    differences = require_columns(study, "differences", (*_ARM, "asked_hours", *_DIFFERENCE))
    usable = require_columns(study, "usable", (*_ARM, *USABLE))
    rows_of, deltas_of, usable_of = (grouped(table, _ARM) for table in (summary, differences, usable))
    unit, steps = history_steps(summary)
    tables = {"summary.csv": summary, "differences.csv": differences, "node_table.csv": study.rows}
    csv_of_arm = {name: parts(table, _ARM) for name, table in tables.items()}
    if "decisions" in study.tables:
        csv_of_arm["decisions.csv"] = _decisions(study)
    meaning = _meanings()
    for of, rows in rows_of.items():
        dataset, protocol, arm = of
        said = usable_of.get(of, [{}])[0]
        points = [*_series(rows, steps), *_delta_series(deltas_of.get(of, []), steps), *_single_values(rows, said)]
        tags = {"dataset": dataset, "protocol": protocol, "arm": arm, "study": COLDSTART, "step_unit": unit}
        tags |= {"usable": _usable(said.get("hours_until_usable", "")), **lineage.tags(dataset)}
        if arm in meaning:
            tags["mlflow.note.content"] = f"{arm}: {meaning[arm]}"
        artifacts: dict[str, str | Path] = {**_pictures(study, dataset)}
        artifacts |= {name: found[of] for name, found in csv_of_arm.items() if of in found}
        yield RunRecord(
            experiment=EXPERIMENT,
            name=f"{dataset} {arm}" + ("" if protocol == "rigorous" else f" ({protocol} protocol)"),
            tags=tags | {"level": COLDSTART, "cell": f"{dataset}/{protocol}/{COLDSTART}/{arm}"},
            params={**params[dataset], "arm": arm, **({"arm_means": meaning[arm]} if arm in meaning else {})},
            points=tuple(points),
            inputs=(dataset_input(lineage, dataset),),
            artifacts=artifacts,
            start=0,
            end=0,
        )


def history_steps(summary: pd.DataFrame) -> tuple[str, Steps]:
    """The unit of steps, and the step of every length of history of every fleet.

    Args:
        summary: With dataset, protocol, asked_hours (empty for the whole history) and hours, all of them texts.
    """
    asked = {float(hours) for hours in summary["asked_hours"] if hours}
    whole = (unit for unit, n in UNITS.items() if all(math.isclose(h * n, round(h * n), abs_tol=1e-6) for h in asked))
    unit = next(whole, "seconds")
    steps: Steps = {}
    for (dataset, protocol), rows in grouped(summary, FLEET).items():
        lengths = {row["asked_hours"] for row in rows} - {""}
        of_asked = {length: round(float(length) * UNITS[unit]) for length in lengths}
        steps |= {(dataset, protocol, length): step for length, step in of_asked.items()}
        full = [float(row["hours"]) for row in rows if not row["asked_hours"]]
        if full:
            longest = max(of_asked.values(), default=0)
            steps[dataset, protocol, ""] = max(round(sum(full) / len(full) * UNITS[unit]), longest + 1)
    return unit, steps


def _series(rows: Sequence[Row], steps: Steps) -> Iterator[Point]:
    for row in rows:
        values = {name: row[name] for name in SERIES} | {"history_hours": row["hours"]}
        yield from _points(values, steps[row["dataset"], row["protocol"], row["asked_hours"]])


def _delta_series(rows: Sequence[Row], steps: Steps) -> Iterator[Point]:
    for row in rows:
        step = steps.get((row["dataset"], row["protocol"], row["asked_hours"]))
        if row["against"] == REFERENCE and row["metric"] in _DELTAS and step is not None:
            values = (row["delta"], row["ci_low"], row["ci_high"])
            yield from _points(dict(zip(_DELTAS[row["metric"]], values, strict=True)), step)


def _single_values(rows: Sequence[Row], usable: Row) -> Iterator[Point]:
    for row in rows:
        place = f"at_{float(row['asked_hours']):.10g}h" if row["asked_hours"] else "full"
        yield from _points({f"{name}_{place}": row[name] for name in AT_LENGTH})
    yield from _points({name: usable.get(name, "") for name in USABLE})
    yield from _points({name: rows[-1][name] for name in BYTES})


def _points(values: Mapping[str, str], step: int = 0) -> Iterator[Point]:
    for name, text in values.items():
        if text and math.isfinite(float(text)):
            yield Point(name, float(text), step)


def _decisions(study: StudyTables) -> dict[tuple[str, ...], str]:
    """The policy's decisions of every fleet, for its arm; they are written by dataset."""
    from ftl.studies.coldstart.arms import POLICY

    of_dataset = parts(study.tables["decisions"], ["dataset"])
    return {
        (dataset, protocol, POLICY): of_dataset[(dataset,)]
        for dataset, protocol in study.fleets()
        if (dataset,) in of_dataset
    }


def _meanings() -> dict[str, str]:
    """arm -> what it does, in a line."""
    from ftl.studies.coldstart.arms import ARMS, POLICY

    policy = "what suits the length of the history and the divergence of its rows, chosen for every node with a reason"
    return {name: arm.means for name, arm in ARMS.items()} | {POLICY: policy}


def _usable(hours: str) -> str:
    number = float(hours) if hours else math.nan
    return "never" if math.isnan(number) else f"from {number:.3g} h"


def _pictures(study: StudyTables, dataset: str) -> dict[str, Path]:
    datasets = [name for name, _ in study.fleets()]
    files = report_files(study.folder / "report", dataset, datasets)
    return {path: file for path, file in files.items() if file.name.startswith(COLDSTART) and file.suffix == ".png"}
