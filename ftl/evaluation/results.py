"""The results table: one row per run of one arm on one node. Every published number is a function of it.

A *cohort* is one federation: (dataset, protocol, paradigm, policy, n_participants, draw, seed). Arms and baselines that
do not depend on a cohort stand once, with null policy, n_participants and draw.
"""

import hashlib
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CELL_COLUMNS = ("dataset", "protocol", "paradigm", "policy", "n_participants", "arm")
COHORT_COLUMNS = ("dataset", "protocol", "paradigm", "policy", "n_participants", "draw", "seed")
KEY_COLUMNS = (*COHORT_COLUMNS, "arm", "node")
COUNT_COLUMNS = ("tp", "fp", "tn", "fn", "n_test_rows", "n_test_anomalies")
METRIC_COLUMNS = (
    "precision",
    "recall",
    "tnr",
    "f1",
    "mcc",
    "accuracy",
    "auroc",
    "auprc",
    "vus_pr",
    "event_recall",
    "detection_delay",
    "alarms_per_node_day",
)
MEASURED_COLUMNS = ("training_seconds",)  # read from a clock: the only columns that differ between equal runs
BASELINES = (
    "random",
    "untrained",
    "pca",
    "federated_pca",
    "centroid_mahalanobis",
    "isolation_forest",
    "ecod",
)

RESULTS_SCHEMA = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("paradigm", pa.string(), nullable=False),
        pa.field("policy", pa.string()),
        pa.field("n_participants", pa.int32()),
        pa.field("draw", pa.int32()),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("node", pa.string(), nullable=False),
        pa.field("role", pa.string()),
        pa.field("threshold", pa.float64(), nullable=False),
        *[pa.field(name, pa.int64(), nullable=False) for name in COUNT_COLUMNS],
        *[pa.field(name, pa.float64()) for name in METRIC_COLUMNS],
        pa.field("n_train_rows", pa.int32()),
        pa.field("n_train_steps", pa.int32()),
        pa.field("training_seconds", pa.float64()),
        pa.field("bytes_sent", pa.float64()),
        pa.field("bytes_received", pa.float64()),
    ]
)
CROSS_FITTED_POLICIES = frozenset({"all"})
"""Policies under which all nodes train and serve each other: a draw is the federation of all nodes but those it serves,
and n_participants the smallest of these federations."""

_COSTS = ("n_train_rows", "n_train_steps", "training_seconds", "bytes_sent", "bytes_received")
_OPTIONAL = {"policy", "n_participants", "draw", "role", *_COSTS}
_PANDAS_TYPES = {pa.int32(): pd.Int64Dtype()}
_TOLERANCE = 1e-9


class LeakError(AssertionError):
    """A target took part in the federation whose model it receives, or that cannot be ruled out."""


def results_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as dicts -> the results table, in stable types and in order of its keys (nulls first).

    Args:
        rows: One dict per key: the key columns, threshold and all of :func:`~ftl.evaluation.node_metrics`. Missing or
            None means null for policy, n_participants, draw, role and the costs (rows, steps, seconds, bytes).

    Raises:
        ValueError: If a row has a column that the table does not know, or lacks one that it needs.
    """
    rows = list(rows)
    known = set(RESULTS_SCHEMA.names)
    for row in rows:
        if row.keys() - known:
            raise ValueError(f"results row has unknown columns {sorted(row.keys() - known)}; known: {sorted(known)}")
        if known - _OPTIONAL - row.keys():
            raise ValueError(f"results row lacks {sorted(known - _OPTIONAL - row.keys())}; got {sorted(row)}")
    columns = [_array(field, [row.get(field.name) for row in rows]) for field in RESULTS_SCHEMA]
    return _sorted(_to_pandas(pa.table(columns, schema=RESULTS_SCHEMA)))


def merge_results(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several results tables as one; a key that occurs twice raises ValueError."""
    tables = [_to_arrow(frame) for frame in frames]
    merged = _sorted(_to_pandas(pa.concat_tables([RESULTS_SCHEMA.empty_table(), *tables])))
    _check_unique(merged)
    return merged


def write_results(frame: pd.DataFrame, path: Path) -> None:
    """Write the table whole or not at all; equal tables give equal bytes, whatever the order of their rows."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        pq.write_table(_to_arrow(_sorted(frame)), temporary, compression="zstd")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_results(path: Path) -> pd.DataFrame:
    """Read what :func:`write_results` wrote, in the same types and order."""
    return _to_pandas(pq.read_table(path, schema=RESULTS_SCHEMA))


def results_digest(frame: pd.DataFrame) -> str:
    """Hash of all columns but the measured times: equal for two runs that came to the same results, bit for bit."""
    table = _to_arrow(_sorted(frame)).drop_columns(list(MEASURED_COLUMNS)).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def check_results(frame: pd.DataFrame) -> None:
    """Hold the table to what must be true of every row.

    Keys are unique; policy and n_participants are null together; a row has a role if and only if it has a cohort;
    counts add up; precision, recall, TNR, F1 and accuracy follow from the counts and are NaN without anomalies; and no
    target took part in the federation it receives. Where federations serve each other (CROSS_FITTED_POLICIES), every
    node is a target of one and a participant of the others.

    Raises:
        LeakError: If a target is a participant of its own cohort, or if a cohort with targets does not list as many
            participants as it has (rows of role "participant"), so that a leak could not be seen.
        ValueError: If anything else does not hold; the message shows the first row at fault.
    """
    _check_unique(frame)
    cohort = frame["policy"].notna()
    _require(frame, cohort == frame["n_participants"].notna(), "policy and n_participants must be null together")
    _require(frame, cohort | frame["draw"].isna(), "draw must be null where policy is")
    _require(frame, cohort == frame["role"].notna(), "rows of a cohort must have a role, and no others")
    _require(frame, frame["role"].isin(["target", "participant"]) | ~cohort, "role must be target or participant")
    _check_counts(frame)
    _check_no_target_trained(frame)


def _check_counts(frame: pd.DataFrame) -> None:
    tp, fp, tn, fn = (frame[name].to_numpy() for name in ("tp", "fp", "tn", "fn"))
    n_rows, n_anomalies = frame["n_test_rows"].to_numpy(), frame["n_test_anomalies"].to_numpy()
    _require(frame, np.minimum.reduce([tp, fp, tn, fn]) >= 0, "counts must not be negative")
    _require(frame, tp + fn == n_anomalies, "tp + fn must be n_test_anomalies")
    _require(frame, tp + fp + tn + fn == n_rows, "tp + fp + tn + fn must be n_test_rows")
    some = n_anomalies > 0
    expected = {
        "precision": _ratio(tp, tp + fp, some),
        "recall": _ratio(tp, n_anomalies, some),
        "tnr": _ratio(tn, tn + fp),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn, some),
        "accuracy": _ratio(tp + tn, n_rows),
    }
    for name, value in expected.items():
        same = np.isclose(frame[name].to_numpy(dtype=float), value, rtol=0, atol=_TOLERANCE, equal_nan=True)
        _require(frame, same, f"{name} must follow from the counts")
    for name in ("mcc", "auroc", "auprc", "vus_pr", "event_recall"):
        value = frame[name].to_numpy(dtype=float)
        low = -1.0 if name == "mcc" else 0.0
        inside = (value >= low - _TOLERANCE) & (value <= 1 + _TOLERANCE)
        _require(frame, np.isnan(value) | (some & inside), f"{name} must be in [{low:g}, 1], NaN without anomalies")


def _check_no_target_trained(frame: pd.DataFrame) -> None:
    keys = list(COHORT_COLUMNS)
    members = frame.loc[frame["policy"].notna(), [*keys, "node", "role"]].drop_duplicates()
    participants = members[members["role"] == "participant"].drop(columns="role")
    targets = members[members["role"] == "target"].drop(columns="role")
    leaks = targets.merge(participants, on=[*keys, "node"])
    if len(leaks):
        raise LeakError(
            f"no target may train in the federation it receives; {len(leaks)} did, first {_show(leaks.iloc[0])}"
        )
    crossed = members["policy"].isin(CROSS_FITTED_POLICIES)
    _check_cross_fitted(members[crossed])
    participants, targets = (part[~part["policy"].isin(CROSS_FITTED_POLICIES)] for part in (participants, targets))
    listed = participants.groupby(keys, dropna=False).size().rename("listed").reset_index()
    cohorts = targets[keys].drop_duplicates().merge(listed, on=keys, how="left")
    short = cohorts[cohorts["listed"].fillna(0).astype("int64") != cohorts["n_participants"].astype("int64")]
    if len(short):
        raise LeakError(
            "a cohort must list its n_participants participants, so that no target can hide among them; "
            f"{len(short)} do not, first {_show(short.iloc[0])}: write a row of role 'participant' for each"
        )


def _check_cross_fitted(members: pd.DataFrame) -> None:
    """Every node is served once and listed as a participant of all other draws, so that none can hide in one."""
    shared = [name for name in COHORT_COLUMNS if name != "draw"]
    n_draws = members.groupby(shared)["draw"].transform("nunique")
    roles = members.assign(n_draws=n_draws).groupby([*shared, "n_draws", "node"])["role"]
    counts = roles.value_counts().unstack(fill_value=0).reindex(columns=["target", "participant"], fill_value=0)
    counts = counts.reset_index()
    wrong = counts[(counts["target"] != 1) | (counts["participant"] != counts["n_draws"] - 1)]
    if len(wrong):
        raise LeakError(
            "of federations that serve each other, a node must be a target of one and listed as a participant of all "
            f"others; {len(wrong)} are not, first {_show(wrong.iloc[0])}"
        )
    trained = members[members["role"] == "participant"].groupby([*shared, "draw"]).size()
    smallest = trained.groupby(shared).min().rename("listed").reset_index()
    short = smallest[smallest["listed"] != smallest["n_participants"].astype("int64")]
    if len(short):
        raise LeakError(f"n_participants must be the smallest federation's participants; {_show(short.iloc[0])}")


def _check_unique(frame: pd.DataFrame) -> None:
    _require(frame, ~frame.duplicated(list(KEY_COLUMNS), keep=False), "keys must be unique")


def _require(frame: pd.DataFrame, holds: "pd.Series[bool] | np.ndarray", claim: str) -> None:
    wrong = ~np.asarray(holds, dtype=bool)
    if wrong.any():
        raise ValueError(f"results: {claim}; broken in {wrong.sum()} rows, first {_show(frame[wrong].iloc[0])}")


def _show(row: "pd.Series[Any]") -> str:
    return ", ".join(f"{name}={row[name]}" for name in row.index if name in (*KEY_COLUMNS, "role", "listed"))


def _ratio(part: np.ndarray, whole: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=(whole > 0) & where)


def _array(field: pa.Field, values: Sequence[Any] | np.ndarray) -> pa.Array:
    """One column; missing floats are NaN and never null, so that equal tables have equal bytes."""
    if pa.types.is_floating(field.type):
        return pa.array(np.array([np.nan if pd.isna(value) else value for value in values], dtype=np.float64))
    return pa.array(values, type=field.type, from_pandas=True)


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(KEY_COLUMNS), na_position="first", kind="stable", ignore_index=True)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=_PANDAS_TYPES.get)


def _to_arrow(frame: pd.DataFrame) -> pa.Table:
    columns = [_array(field, frame[field.name].to_numpy(dtype=object)) for field in RESULTS_SCHEMA]
    return pa.table(columns, schema=RESULTS_SCHEMA)
