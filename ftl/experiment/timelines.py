"""Score timelines of a few nodes, to be looked at: what their own model and the transferred one say, row by row.

Which nodes are shown is decided by their test labels and by ΔF1. They are pictures of extremes, and no claim rests on
them: published numbers stand over all targets.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ftl.data.fleet import Fleet
from ftl.experiment.scored import ScoredNode

TIMELINE_ARMS = ("local", "transfer")
TIMELINES_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("dataset", "protocol", "paradigm", "policy")),
        ("n_participants", pa.int32()),
        ("draw", pa.int32()),
        ("seed", pa.int64()),
        *((name, pa.string()) for name in ("arm", "node", "role")),
        ("time", pa.int64()),
        ("score", pa.float64()),
        ("threshold", pa.float64()),
        ("label", pa.int8()),
    ]
)


@dataclass(frozen=True)
class Shown:
    """One paradigm's cohort whose targets are shown, and the chosen ones among them.

    Attributes:
        nodes: Node ids: the most anomalous target, then those of median, worst and best ΔF1; each once.
    """

    paradigm: str
    seed: int
    policy: str
    n_participants: int
    draw: int
    nodes: tuple[str, ...]


def choose_shown(results: pd.DataFrame, dataset: str) -> list[Shown]:
    """Per paradigm of a dataset, the headline cohort and its nodes to be shown; paradigms without targets have none.

    The headline cohort is that of ``top_n`` (else of the first policy), the middle N (the lower of two), the first draw
    and the first seed.
    """
    rows = results[(results["dataset"] == dataset) & results["arm"].isin(TIMELINE_ARMS)]
    found = []
    for paradigm, group in rows.groupby("paradigm", sort=True):
        targets = group[(group["arm"] == "transfer") & (group["role"] == "target")]
        if len(targets):
            found.append(_shown(str(paradigm), targets, group[group["arm"] == "local"]))
    return found


def _shown(paradigm: str, targets: pd.DataFrame, local: pd.DataFrame) -> Shown:
    policies = sorted(targets["policy"].unique())
    policy = "top_n" if "top_n" in policies else policies[0]
    targets = targets[targets["policy"] == policy]
    sizes = sorted(targets["n_participants"].unique())
    targets = targets[targets["n_participants"] == sizes[(len(sizes) - 1) // 2]]
    for column in ("seed", "draw"):
        targets = targets[targets[column] == targets[column].min()]
    first = targets.iloc[0]
    local_f1 = local[local["seed"] == first["seed"]].set_index("node")["f1"]
    nodes = choose_nodes(targets.assign(delta_f1=targets["f1"] - targets["node"].map(local_f1)))
    return Shown(paradigm, int(first["seed"]), str(policy), int(first["n_participants"]), int(first["draw"]), nodes)


def choose_nodes(targets: pd.DataFrame) -> tuple[str, ...]:
    """The target with the largest share of anomalous test rows, and those of median (lower), worst and best ΔF1.

    Ties go to the node that comes first by name. A node that is chosen twice stands once; where no target has a ΔF1,
    the first choice stands alone.

    Args:
        targets: Columns node, n_test_anomalies, n_test_rows, delta_f1 (NaN where undefined); a row per node.
    """
    by_name = targets.sort_values("node", kind="stable")
    share = (by_name["n_test_anomalies"] / by_name["n_test_rows"]).to_numpy(np.float64)
    ranked = by_name.dropna(subset=["delta_f1"]).sort_values("delta_f1", kind="stable")
    chosen = [by_name["node"].iloc[int(share.argmax())]]
    if len(ranked):
        chosen += [ranked["node"].iloc[position] for position in ((len(ranked) - 1) // 2, 0, -1)]
    return tuple(dict.fromkeys(map(str, chosen)))


def is_shown(fleet: Fleet, shown: Sequence[Shown], scored: ScoredNode) -> bool:
    """Whether a model on a node belongs to the timelines: ask it of stored scores before they are judged."""
    for one in shown:
        cohort = (one.policy, one.n_participants, one.draw) if scored.arm == "transfer" else (None, None, None)
        if (
            scored.arm in TIMELINE_ARMS
            and (scored.paradigm, scored.seed) == (one.paradigm, one.seed)
            and (scored.policy, scored.n_participants, scored.draw) == cohort
            and fleet.node_ids[scored.node] in one.nodes
        ):
            return True
    return False


def timelines_table(
    fleet: Fleet,
    shown: Sequence[Shown],
    judged: Iterable[tuple[ScoredNode, np.ndarray, float | np.ndarray, np.ndarray, *tuple[object, ...]]],
) -> pa.Table:
    """Scores over time of the chosen nodes, under TIMELINES_SCHEMA: one row per test row, arm and paradigm.

    Args:
        judged: (model, its scores (T,), its threshold or those of the rows (T,), numbers (T,) of the rows scored), of
            any models; those that are not shown are passed over.
    """
    tables = [_timeline(fleet, *alarms[:4]) for alarms in judged if is_shown(fleet, shown, alarms[0])]
    return pa.concat_tables([TIMELINES_SCHEMA.empty_table(), *tables])


def write_timelines(tables: Iterable[pa.Table], path: Path) -> None:
    """Write the timelines of all datasets, whole or not at all."""
    half = path.with_name(path.name + ".half")
    pq.write_table(pa.concat_tables([TIMELINES_SCHEMA.empty_table(), *tables]), half, compression="zstd")
    os.replace(half, path)


def _timeline(
    fleet: Fleet, scored: ScoredNode, scores: np.ndarray, threshold: float | np.ndarray, rows: np.ndarray
) -> pa.Table:
    label = np.asarray(fleet.label[rows])
    same = {
        "dataset": fleet.name,
        "protocol": fleet.protocol,
        "node": fleet.node_ids[scored.node],
        **{name: getattr(scored, name) for name in ("paradigm", "policy", "n_participants", "draw", "seed")},
        **{name: getattr(scored, name) for name in ("arm", "role")},
    }
    each = {
        "time": pa.array(np.asarray(fleet.time[rows])),
        "score": pa.array(np.asarray(scores, np.float64)),
        "threshold": pa.array(np.broadcast_to(np.asarray(threshold, np.float64), np.shape(scores))),
        "label": pa.array(label, mask=label < 0),
    }
    columns = [each[name] if name in each else _repeated(same[name], len(rows), kind) for name, kind in _fields()]
    return pa.table(columns, schema=TIMELINES_SCHEMA)


def _fields() -> Iterator[tuple[str, pa.DataType]]:
    return ((field.name, field.type) for field in TIMELINES_SCHEMA)


def _repeated(value: Any, times: int, kind: pa.DataType) -> pa.Array:
    return pa.nulls(times, kind) if value is None else pa.repeat(pa.scalar(value, kind), times)
