"""From scores to the results table, the summary and, on request, the scores table."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ftl.data.fleet import Fleet
from ftl.detection.settings import DetectionSettings
from ftl.evaluation.cost import Traffic
from ftl.evaluation.node_metrics import node_metrics
from ftl.evaluation.results import check_results, results_frame
from ftl.evaluation.summary import summarise
from ftl.experiment.alarms import Judged, judged, seconds_per_unit
from ftl.experiment.scored import ScoredNode, components_of, read_scored
from ftl.experiment.traffic import FleetTraffic
from ftl.experiment.units import unit_folders

SCORES_SCHEMA = pa.schema(
    [
        *((name, pa.dictionary(pa.int32(), pa.string())) for name in ("dataset", "protocol", "paradigm", "policy")),
        ("n_participants", pa.int32()),
        ("draw", pa.int32()),
        ("seed", pa.int32()),
        ("arm", pa.dictionary(pa.int32(), pa.string())),
        ("node", pa.dictionary(pa.int32(), pa.string())),
        ("step", pa.int64()),
        ("score", pa.float64()),
        ("threshold", pa.float64()),
        ("label", pa.int8()),
    ]
)


def scored_stages(paradigms: Iterable[str]) -> tuple[str, ...]:
    """The stages whose scores are evaluated: baselines stand beside the unsupervised models alone."""
    return ("baselines", "local", "transfer") if "unsupervised" in paradigms else ("local", "transfer")


def evaluate_fleet(
    fleet: Fleet, stages: Sequence[Path], detection: DetectionSettings, params: Mapping[str, Any]
) -> pd.DataFrame:
    """The results table of one fleet, from the scored nodes of its stages; checked, leak check included.

    Rows of unknown label are left out of every metric. Where a rule gives a threshold per row, the column ``threshold``
    is the median over the test rows; scores.parquet has each row's own. Of the parameters, those of training say what a
    model's making moved over the network.
    """
    seconds, traffic = seconds_per_unit(fleet), FleetTraffic(fleet, params, components_of(stages))
    alarms = judged_stages(fleet, stages, detection)
    frame = results_frame(_results_row(fleet, one, seconds, traffic(one.scored)) for one in alarms)
    check_results(frame)
    return frame


def summarise_results(results: pd.DataFrame, fleets: Mapping[str, Fleet]) -> pd.DataFrame:
    """The summary, with intervals clustered by rack where racks are known."""
    racks = {name: dict(zip(fleet.node_ids, fleet.racks, strict=True)) for name, fleet in fleets.items()}
    return summarise(results, racks)


def judged_stages(
    fleet: Fleet,
    stages: Sequence[Path],
    detection: DetectionSettings,
    wanted: Callable[[ScoredNode], bool] = lambda scored: True,
) -> Iterator[Judged]:
    """The alarms of all scored nodes of a fleet's stages, or of those that are wanted."""
    return judged(fleet, partial(_all_scored, stages), detection, wanted=wanted)


def write_scores(fleets: Mapping[str, tuple[Fleet, Sequence[Path]]], detection: DetectionSettings, path: Path) -> None:
    """Write scores.parquet: every scored row of every model, from which anyone can recompute the results table."""
    half = path.with_name(path.name + ".half")
    with pq.ParquetWriter(half, SCORES_SCHEMA, compression="zstd") as writer:
        for fleet, stages in fleets.values():
            for alarms in judged_stages(fleet, stages, detection):
                writer.write_table(_scores_table(fleet, alarms))
    os.replace(half, path)


def _all_scored(stages: Iterable[Path]) -> Iterator[ScoredNode]:
    for stage in stages:
        for folder in unit_folders(stage):
            yield from read_scored(folder)


def key_of(fleet: Fleet, scored: ScoredNode) -> dict[str, Any]:
    """The key of a scored node's row in the results table, and its role."""
    return {
        "dataset": fleet.name,
        "protocol": fleet.protocol,
        "paradigm": scored.paradigm,
        "policy": scored.policy,
        "n_participants": scored.n_participants,
        "draw": scored.draw,
        "seed": scored.seed,
        "arm": scored.arm,
        "node": fleet.node_ids[scored.node],
        "role": scored.role,
    }


def _results_row(fleet: Fleet, alarms: Judged, seconds: float | None, traffic: Traffic | None) -> dict[str, Any]:
    scored, rows = alarms.scored, alarms.rows
    known = fleet.label[rows] >= 0
    return {
        **key_of(fleet, scored),
        "threshold": float(np.median(alarms.threshold)),
        "n_train_rows": scored.n_train_rows,
        "n_train_steps": scored.n_train_steps,
        "training_seconds": scored.training_seconds,
        "bytes_sent": None if traffic is None else traffic.sent,
        "bytes_received": None if traffic is None else traffic.received,
        **node_metrics(
            alarms.scores[known], fleet.label[rows][known], alarms.thresholds[known], fleet.time[rows][known], seconds
        ),
    }


def _scores_table(fleet: Fleet, alarms: Judged) -> pa.Table:
    scored, rows = alarms.scored, alarms.rows
    n = len(rows)
    label = np.asarray(fleet.label[rows])

    def word(value: str | None) -> pa.Array:
        indices = pa.nulls(n, pa.int32()) if value is None else pa.array(np.zeros(n, np.int32))
        return pa.DictionaryArray.from_arrays(indices, pa.array([value or ""]))

    def number(value: int | None) -> pa.Array:
        return pa.nulls(n, pa.int32()) if value is None else pa.array(np.full(n, value, np.int32))

    return pa.table(
        [
            *(word(value) for value in (fleet.name, fleet.protocol, scored.paradigm, scored.policy)),
            *(number(value) for value in (scored.n_participants, scored.draw, scored.seed)),
            word(scored.arm),
            word(fleet.node_ids[scored.node]),
            pa.array(np.asarray(fleet.time[rows])),
            pa.array(alarms.scores),
            pa.array(alarms.thresholds),
            pa.array(label, mask=label < 0),
        ],
        schema=SCORES_SCHEMA,
    )
