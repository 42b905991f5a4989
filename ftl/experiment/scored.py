"""Scored nodes: what training stages hand to evaluation. Scores stay scores until metrics are computed from them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCORED_FILE = "scored.parquet"


@dataclass(frozen=True)
class ScoredNode:
    """One model's scores on one node's test rows.

    Attributes:
        arm: What the node did (see DESIGN of the results table); ``policy``, ``n_participants``, ``draw`` are None
            without a cohort.
        role: ``target`` or ``participant`` of the cohort; None without a cohort.
        node: The node's position in the fleet.
        threshold: A row is flagged if its score is greater.
        scores: Score of each of the paradigm's test rows of this node, in time order, shape (T,), float64.
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
    threshold: float
    scores: np.ndarray
    n_train_rows: int
    n_train_steps: int
    training_seconds: float


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
        ("threshold", pa.float64()),
        ("scores", pa.list_(pa.float64())),
        ("n_train_rows", pa.int32()),
        ("n_train_steps", pa.int32()),
        ("training_seconds", pa.float64()),
    ]
)


class ScoredWriter:
    """Writes scored nodes as they come, so that memory does not grow; the file appears when it is whole."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SCORED_FILE
        self.half = folder / (SCORED_FILE + ".half")

    def __enter__(self) -> "ScoredWriter":
        self.writer = pq.ParquetWriter(self.half, _SCHEMA, compression="zstd")
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
            scores = table.column("scores").combine_chunks()
            values, offsets = scores.values.to_numpy(), scores.offsets.to_numpy()
            plain = table.drop_columns(["scores"]).to_pylist()
            for row, first, last in zip(plain, offsets[:-1], offsets[1:], strict=True):
                yield ScoredNode(scores=values[first:last], **row)
