"""A study of parameters as runs of MLflow: one per trial, and one of the study itself.

- ``ftl trials`` (level trial): the trial's parameters (all of them, flat) and values; tags study, trial, state, why;
- ``ftl studies`` (level study): what the best parameters do on validation and on the test part; best.yaml,
  tuning.json and tuning.md as artifacts.

Flat, for the reason that cells are; the tag ``study`` groups trials. A trial that a later command adds or repeats takes
the place of the earlier run of the same number.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ftl.tracking.lineage import Lineage
from ftl.tracking.record import DatasetInput, Point, RunRecord, flatten

EXPERIMENTS = {"trial": "ftl trials", "study": "ftl studies"}
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
STUDY_FILES = ("tuning.json", "tuning.md", "best.yaml")
TESTED = ("f1", "delta_f1", "auprc", "auroc")


def study_records(
    tuning: Mapping[str, Any], params: Mapping[str, Any], lineage: Lineage, folder: Path
) -> list[RunRecord]:
    """The trials of a study in their order, then the study.

    Args:
        tuning: What tuning.json holds.
        params: The parameters that trials vary, nested.
        lineage: Of the parameters as they were given and the whole fleet, as its results are tagged.
        folder: Where the study's files lie.
    """
    return [*_trials(tuning, params, lineage), _study(tuning, params, lineage, folder)]


def _trials(tuning: Mapping[str, Any], params: Mapping[str, Any], lineage: Lineage) -> Iterator[RunRecord]:
    flat, digits = flatten(params), len(str(max((trial["number"] for trial in tuning["trials"]), default=0)))
    for trial in tuning["trials"]:
        number = f"{trial['number']:0{digits}d}"
        values = zip(tuning["objectives"], trial["values"] or (), strict=False)
        tags = {"trial": number, "state": trial["state"], "why": trial["why"]}
        if trial["error"]:
            tags["error"] = trial["error"]
        yield RunRecord(
            experiment=EXPERIMENTS["trial"],
            name=f"{tuning['dataset']} {tuning['study']} trial {number}",
            tags=_tags(tuning, lineage, "trial", f"{tuning['study']}/{number}") | tags,
            params=flat | {name: _text(value) for name, value in trial["params"].items()},
            points=_points(dict(values)),
            inputs=(_input(tuning, lineage),),
            artifacts={},
            start=int(trial["start"] * 1000),
            end=int(trial["end"] * 1000),
            status=STATUS.get(trial["state"], "FAILED"),
        )


def _study(tuning: Mapping[str, Any], params: Mapping[str, Any], lineage: Lineage, folder: Path) -> RunRecord:
    test = tuning["best"]["test_difference"]
    metrics = {
        f"{tuning['objective']}_baseline_validation": tuning["baseline"]["validation"].get(tuning["objective"]),
        f"{tuning['objective']}_best_validation": tuning["best"]["validation"].get(tuning["objective"]),
        **{f"{name}_baseline_test": tuning["baseline"]["test"].get(name) for name in TESTED},
        **{f"{name}_best_test": tuning["best"]["test"].get(name) for name in TESTED},
        "test_difference": test["delta_f1"],
        "ci_low": test["ci_low"],
        "ci_high": test["ci_high"],
        "n_nodes": test["n_nodes"],
        **{name: tuning[name] for name in ("n_trials", "n_pruned", "n_failed")},
    }
    times = [time for trial in tuning["trials"] for time in (trial["start"], trial["end"])] or [0.0]
    return RunRecord(
        experiment=EXPERIMENTS["study"],
        name=f"{tuning['dataset']} {tuning['study']}",
        tags=_tags(tuning, lineage, "study", tuning["study"])
        | {"labels_from": tuning["labels_from"], "improved": str(tuning["improved"]).lower()},
        params=flatten(params) | {f"best.{name}": _text(value) for name, value in tuning["best"]["params"].items()},
        points=_points(metrics),
        inputs=(_input(tuning, lineage),),
        artifacts={name: folder / name for name in STUDY_FILES if (folder / name).is_file()},
        start=int(min(times) * 1000),
        end=int(max(times) * 1000),
    )


def _tags(tuning: Mapping[str, Any], lineage: Lineage, level: str, cell: str) -> dict[str, str]:
    keys = ("dataset", "protocol", "paradigm", "study", "objective")
    return lineage.tags(tuning["dataset"]) | {
        **{key: str(tuning[key]) for key in keys},
        "level": level,
        "cell": cell,
        "seed": str(tuning["seed"]),
    }


def _input(tuning: Mapping[str, Any], lineage: Lineage) -> DatasetInput:
    fingerprint = lineage.fingerprint(tuning["dataset"])
    source = json.dumps({"origin": tuning["origin"], "fingerprint": fingerprint, "labels_from": tuning["labels_from"]})
    return DatasetInput(tuning["dataset"], fingerprint, source, tags={"mlflow.data.context": "tuning"})


def _points(metrics: Mapping[str, Any]) -> tuple[Point, ...]:
    return tuple(
        Point(name, float(value)) for name, value in metrics.items() if value is not None and math.isfinite(value)
    )


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple) else str(value)
