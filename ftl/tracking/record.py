"""A run as data: what MLflow shall hold of it, before anything is sent anywhere.

A record can be written to any store (:mod:`ftl.tracking.store`), kept on disk until a store can be reached
(:mod:`ftl.tracking.spool`), and recognised again: two records of equal :attr:`RunRecord.identity` are the same run,
and the later one replaces the earlier one.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

IDENTITY_TAGS = ("lineage", "level", "cell", "seed")
PARAM_TEXT, DATASET_DIGEST, TAG_TEXT, RUN_NAME = 6000, 36, 5000, 250
"""Lengths that mlflow documents for a parameter, a dataset digest and a tag, and that its table has for a name."""
_CUT = " ... (cut)"
_REFUSED = re.compile(r"[^/\w.\- :]")

Identity = tuple[str, str, str, str]
Content = str | Path


@dataclass(frozen=True)
class Point:
    """One value of a metric; ``timestamp`` in milliseconds since 1970, None: the record's start."""

    name: str
    value: float
    step: int = 0
    timestamp: int | None = None


@dataclass(frozen=True)
class DatasetInput:
    """Data that a run was made from. ``source`` is a JSON text, ``tags`` stand on the input."""

    name: str
    digest: str
    source: str
    source_type: str = "ftl_fleet"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One run of MLflow.

    Attributes:
        experiment: Name of its experiment, made where it is missing.
        name: The run's name.
        tags, params: Texts; a text longer than mlflow takes is cut, and says so at its end.
        points: All values of all metrics. NaN and infinity have no place in a store: name them in a tag.
        inputs: The data it was made from.
        artifacts: Path below the run's artifacts -> text, or a file to be copied.
        start, end: Milliseconds since 1970.
        status: FINISHED, FAILED or KILLED.
    """

    experiment: str
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: tuple[Point, ...]
    inputs: tuple[DatasetInput, ...]
    artifacts: Mapping[str, Content]
    start: int
    end: int
    status: str = "FINISHED"

    def __post_init__(self) -> None:
        for point in self.points:
            if not math.isfinite(point.value):
                raise ValueError(f"run {self.name!r}: metric {point.name} must be finite; got {point.value}")
        for path in self.artifacts:
            if Path(path).is_absolute() or ".." in Path(path).parts:
                raise ValueError(f"run {self.name!r}: an artifact's path must lie below the run; got {path!r}")

    @property
    def identity(self) -> Identity | None:
        """(lineage, level, cell, seed) of the tags; None where one of the first three is missing."""
        return identity_of(self.tags)


def identity_of(tags: Mapping[str, str]) -> Identity | None:
    """The same of any run's tags."""
    lineage, level, cell, seed = (tags.get(name, "") for name in IDENTITY_TAGS)
    return (lineage, level, cell, seed) if lineage and level and cell else None


def clipped(text: str, length: int) -> str:
    """The text, cut to what a store takes where it must be."""
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT


def plain_name(text: str) -> str:
    """The text as the name of a metric, a parameter or a tag: signs that mlflow refuses become ``_``."""
    return _REFUSED.sub("_", text)


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as ``section.name`` -> text; lists are written as JSON, and signs mlflow refuses as ``_``."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        key = prefix + plain_name(str(name))
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{key}.")
        else:
            flat[key] = json.dumps(value, default=str) if isinstance(value, list | tuple) else str(value)
    return flat


def record_to_json(record: RunRecord) -> dict[str, Any]:
    """The record as plain JSON, its artifacts by their paths alone: the caller keeps their content."""
    plain = {name: getattr(record, name) for name in ("experiment", "name", "start", "end", "status")}
    return {
        **plain,
        "tags": dict(record.tags),
        "params": dict(record.params),
        "points": [[p.name, p.value, p.step, p.timestamp] for p in record.points],
        "inputs": [asdict(replace(entry, tags=dict(entry.tags))) for entry in record.inputs],
        "artifacts": sorted(record.artifacts),
    }


def record_from_json(content: Mapping[str, Any], artifacts: Path) -> RunRecord:
    """The record that :func:`record_to_json` wrote, its artifacts as files below the folder ``artifacts``.

    Raises:
        ValueError, KeyError, TypeError: If the content is no such record.
    """
    points = tuple(Point(str(n), float(v), int(s), None if t is None else int(t)) for n, v, s, t in content["points"])
    return RunRecord(
        experiment=str(content["experiment"]),
        name=str(content["name"]),
        tags=dict(content["tags"]),
        params=dict(content["params"]),
        points=points,
        inputs=tuple(DatasetInput(**entry) for entry in content["inputs"]),
        artifacts={path: artifacts / path for path in content["artifacts"]},
        start=int(content["start"]),
        end=int(content["end"]),
        status=str(content["status"]),
    )
