"""Scored nodes: what training stages hand to evaluation. Scores stay scores: alarms are made of them later.

They are stored as the models gave them, neither smoothed nor compared with a threshold, on the test rows and on the
rows before them, so that every rule of alarms can be tried without training again.
"""

import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCORED_FILE = "scored.parquet"
COMPONENTS_FILE = "components.json"
"""Beside the scores of federated PCA: how many components it has."""


@dataclass(frozen=True)
class ScoredNode:
    """One model's scores on one node.

    Attributes:
        arm: What the node did (see DESIGN of the results table); ``policy``, ``n_participants``, ``draw`` are None
            without a cohort.
        role: ``target`` or ``participant`` of the cohort; None without a cohort.
        node: The node's position in the fleet.
        scores: Score of each of the paradigm's test rows of this node, in time order, shape (T,), float32.
        earlier: Scores of rows before the test part, shape (E,), float32.
        earlier_rows: Those rows' numbers in the fleet, ascending, shape (E,): the normal rows that the model was
            trained on and the whole validation slice.
        n_train_rows: Rows that this node trained on for this model (0 for a model taken as it is).
        n_train_steps: Gradient steps made on this node.
        training_seconds: CPU seconds of these steps: the stack's time, shared out by steps.
    """

    paradigm: str
    seed: int
    arm: str
    policy: str | None
    n_participants: int | None
    draw: int | None
    role: str | None
    node: int
    scores: np.ndarray
    earlier: np.ndarray
    earlier_rows: np.ndarray
    n_train_rows: int
    n_train_steps: int
    training_seconds: float

    @property
    def run(self) -> tuple[Any, ...]:
        """What the nodes that run the same model, or one trained in the same way, have in common."""
        return (self.paradigm, self.seed, self.arm, self.policy, self.n_participants, self.draw)


_SCHEMA = pa.schema(
    [
        ("paradigm", pa.string()),
        ("seed", pa.int32()),
        ("arm", pa.string()),
        ("policy", pa.string()),
        ("n_participants", pa.int32()),
        ("draw", pa.int32()),
        ("role", pa.string()),
        ("node", pa.int32()),
        ("scores", pa.list_(pa.float32())),
        ("earlier", pa.list_(pa.float32())),
        ("earlier_rows", pa.list_(pa.int64())),
        ("n_train_rows", pa.int32()),
        ("n_train_steps", pa.int32()),
        ("training_seconds", pa.float64()),
    ]
)
_VECTORS = ("scores", "earlier", "earlier_rows")
# Row numbers ascend in steps of one, nearly: their differences take no room.
_ENCODING = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in _VECTORS[:2]} | {
    "earlier_rows.list.element": "DELTA_BINARY_PACKED"
}


class ScoredWriter:
    """Writes scored nodes as they come, so that memory does not grow; the file appears when it is whole."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SCORED_FILE
        self.half = folder / (SCORED_FILE + ".half")

    def __enter__(self) -> "ScoredWriter":
        self.writer = pq.ParquetWriter(
            self.half, _SCHEMA, compression="zstd", use_dictionary=False, column_encoding=_ENCODING
        )
        return self

    def write(self, nodes: Iterable[ScoredNode]) -> None:
        nodes = list(nodes)
        if not nodes:
            return
        columns = [[getattr(node, name) for node in nodes] for name in _SCHEMA.names]
        self.writer.write_table(
            pa.table([pa.array(c, t.type) for c, t in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
        )

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.writer.close()
        if kind is None:
            os.replace(self.half, self.path)


def read_scored(folder: Path) -> Iterator[ScoredNode]:
    """The scored nodes of a unit, one by one."""
    with pq.ParquetFile(folder / SCORED_FILE) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            vectors = (_split(table.column(name).combine_chunks()) for name in _VECTORS)
            plain = table.drop_columns(list(_VECTORS)).to_pylist()
            for row, scores, earlier, rows in zip(plain, *vectors, strict=True):
                yield ScoredNode(**row, scores=scores, earlier=earlier, earlier_rows=rows)


def _split(lists: pa.ListArray) -> list[np.ndarray]:
    """The vectors of a column of lists, without a copy."""
    values, offsets = lists.values.to_numpy(), lists.offsets.to_numpy()
    return [values[first:last] for first, last in itertools.pairwise(offsets)]


def write_components(folder: Path, n_components: int) -> None:
    """Note how many components the fleet's PCA has, which says what its nodes sent each other."""
    (folder / COMPONENTS_FILE).write_text(json.dumps({"n_components": n_components}) + "\n", encoding="utf-8")


def components_of(stages: Iterable[Path]) -> int | None:
    """How many components the fleet's PCA has; None where no stage has one that says so."""
    for stage in stages:
        for file in sorted(stage.glob(f"*/{COMPONENTS_FILE}")):
            return int(json.loads(file.read_text(encoding="utf-8"))["n_components"])
    return None
