"""What a study may look at: a fleet without the rows on which its result will be tested, and the fleet of that test.

Trials are judged on rows that the whole fleet left behind before its test part; the test rows are not in the folder
that trials read, so that no code of a study can reach them. Where no anomaly precedes the test part of any node, trials
are judged on the first rows of the test part (those that lend their labels, ``Fleet.lent``), and the test is made on
the later ones alone.

Note: the map from telemetry to ``x`` stays as it was fitted on the train rows of the whole fleet. Rows that a study is
judged on have taken part in that fit where they are train rows; rows of the test have not.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.fleet import (
    CARD_FILE,
    GAP,
    ROW_ARRAYS,
    TEST,
    TRAIN,
    VALIDATION,
    Fleet,
    read_fleet,
    replacing,
    write_all_but_rows,
)
from ftl.data.row_files import RowFiles
from ftl.data.split import find_cut_time, lent_rows
from ftl.errors import ConfigError
from ftl.randomness import generator

LABELS_FROM = ("auto", "validation", "lent")
ROWS_AT_ONCE = 65536


@dataclass(frozen=True)
class TuningSplit:
    """Folders of two prepared fleets.

    Attributes:
        tuning: What trials are trained and judged on; its TEST part judges.
        final: Where the effect of a study is tested, once.
        labels_from: ``validation`` (the TEST part of ``tuning`` precedes the test part of the whole fleet) or ``lent``
            (it is the first part of that).
        description: How the two were made, JSON-able.
    """

    tuning: Path
    final: Path
    labels_from: str
    description: dict[str, Any]


def split_for_tuning(
    fleet_folder: Path,
    out: Path,
    labels_from: str = "auto",
    validation_fraction: float = 0.3,
    keep_lent: bool = False,
) -> TuningSplit:
    """Cut a prepared fleet in two; folders that are there from an earlier call with the same arguments are kept.

    Args:
        fleet_folder: A prepared fleet; only read.
        out: Where ``tuning`` and, if need be, ``final`` are made.
        labels_from: ``validation``, ``lent``, or ``auto``: lent where the fleet borrows labels (``labels_borrowed``).
        validation_fraction: Share of the rows before the test part on which trials are judged, the latest ones, in
            (0, 1).
        keep_lent: Whether rows that lent their labels train in the final fleet (paradigms that need labels).

    Raises:
        ConfigError: If no node has both rows to train on and an anomaly to be judged on.
    """
    fleet = read_fleet(fleet_folder)
    chosen = ("lent" if fleet.labels_borrowed else "validation") if labels_from == "auto" else labels_from
    settings = fleet.report["settings"]
    how: dict[str, Any] = {"labels_from": chosen, "gap": settings["gap"], "keep_lent": keep_lent}
    if chosen == "lent":
        how["lend_fraction"] = settings["lend_fraction"]
    else:
        how |= {"validation_fraction": validation_fraction, "new_validation": settings["validation_fraction"]}
    parts = _lent_parts(fleet, how) if chosen == "lent" else _validation_parts(fleet, how)
    tuning = _cut(fleet, parts, out / "tuning", how)
    final = fleet_folder if chosen == "validation" else _final(fleet, out / "final", how)
    return TuningSplit(tuning, final, chosen, how | tuning_counts(read_fleet(tuning)))


def tuning_counts(fleet: Fleet) -> dict[str, int]:
    """Nodes of a tuning fleet, those of them that have an anomaly to be judged on, and rows by use."""
    judged = [int((fleet.label[fleet.rows(node, TEST)] == 1).any()) for node in range(len(fleet.node_ids))]
    parts = {"train": TRAIN, "validation": VALIDATION, "judged": TEST}
    rows = {f"n_{name}_rows": int((fleet.part == part).sum()) for name, part in parts.items()}
    return {"n_nodes": len(judged), "n_nodes_with_anomalies": sum(judged), **rows}


def _lent_parts(fleet: Fleet, how: dict[str, Any]) -> list[np.ndarray]:
    """Part of each row in the tuning fleet, node by node; -1: the row is not in it."""
    parts = []
    for node in range(len(fleet.node_ids)):
        part = np.array(fleet.part[fleet.start[node] : fleet.start[node + 1]])
        part[(part == TEST) & ~_lent(fleet, node, how)] = -1
        parts.append(part)
    return parts


def _validation_parts(fleet: Fleet, how: dict[str, Any]) -> list[np.ndarray]:
    """Likewise, all rows before the test part split anew: by one cut in time, or at random where the fleet was."""
    nodes = range(len(fleet.node_ids))
    before = [fleet.rows(node, TRAIN, VALIDATION) for node in nodes]
    random = any(_interleaves(fleet, node) for node in nodes)
    times = [np.asarray(fleet.time[rows]) for rows in before]
    cut = None if random else find_cut_time([time for time in times if len(time)], how["validation_fraction"])
    parts = []
    for node, rows, time in zip(nodes, before, times, strict=True):
        part = np.full(int(fleet.start[node + 1] - fleet.start[node]), -1, np.int8)
        part[rows - fleet.start[node]] = (
            _random_parts(len(rows), fleet.node_ids[node], how) if cut is None else _chronological_parts(time, cut, how)
        )
        parts.append(part)
    return parts


def _chronological_parts(time: np.ndarray, cut: int, how: dict[str, Any]) -> np.ndarray:
    part = np.where(time > cut, TEST, TRAIN).astype(np.int8)
    part[np.flatnonzero(part == TEST)[: how["gap"]]] = GAP
    train = np.flatnonzero(part == TRAIN)
    part[train[len(train) - round(how["new_validation"] * len(train)) :]] = VALIDATION
    return part


def _random_parts(n_rows: int, node_id: str, how: dict[str, Any]) -> np.ndarray:
    order = generator(0, "tuning split", node_id).permutation(n_rows)
    n_judged = round(how["validation_fraction"] * n_rows)
    n_validation = round(how["new_validation"] * (n_rows - n_judged))
    part = np.full(n_rows, TRAIN, np.int8)
    part[order[:n_judged]] = TEST
    part[order[n_judged : n_judged + n_validation]] = VALIDATION
    return part


def _interleaves(fleet: Fleet, node: int) -> bool:
    """Whether a row that trains follows one that tests."""
    train, test = fleet.rows(node, TRAIN, VALIDATION), fleet.rows(node, TEST)
    return bool(len(train) and len(test) and train[-1] > test[0])


def _lent(fleet: Fleet, node: int, how: dict[str, Any]) -> np.ndarray:
    """Which rows of a node judge trials; the fleet's own choice where it lends labels."""
    mine = slice(int(fleet.start[node]), int(fleet.start[node + 1]))
    return np.array(fleet.lent[mine]) if fleet.labels_borrowed else lent_rows(fleet.part[mine], how["lend_fraction"])


def _cut(fleet: Fleet, parts: Sequence[np.ndarray], folder: Path, how: dict[str, Any]) -> Path:
    """Write the tuning fleet: nodes that have rows to train on, and of them the rows that have a part."""
    nodes = [node for node, part in enumerate(parts) if (part == TRAIN).any() and (part == TEST).any()]
    _require_anomalies(fleet, parts, nodes, how)
    rows = [fleet.start[node] + np.flatnonzero(parts[node] >= 0) for node in nodes]
    keys = {"of": fleet.fingerprint, **{name: value for name, value in how.items() if name != "keep_lent"}}
    borrows = fleet.labels_borrowed and how["labels_from"] == "lent"
    lent = [lent_rows(_kept(parts[node]), how["lend_fraction"] if borrows else 0.0) for node in nodes]
    small = _of_nodes(fleet, nodes, [len(of_node) for of_node in rows], "tuning", keys)
    new = {"part": [_kept(parts[node]) for node in nodes], "lent": lent}
    _write(fleet, replace(small, labels_borrowed=borrows), rows, new, folder)
    return folder


def _kept(part: np.ndarray) -> np.ndarray:
    return part[part >= 0]


def _final(fleet: Fleet, folder: Path, how: dict[str, Any]) -> Path:
    """Write the fleet of the final test: the rows that judged trials, and a gap behind them, are tested no more.

    Where ``keep_lent`` is set, paradigms that need labels go on to learn from the rows that lend them and are never
    scored on these; otherwise they are put out of use.
    """
    nodes = list(range(len(fleet.node_ids)))
    rows, parts, lent = [], [], []
    for node in nodes:
        first, last = int(fleet.start[node]), int(fleet.start[node + 1])
        part, judged = np.array(fleet.part[first:last]), _lent(fleet, node, how)
        part[np.flatnonzero((part == TEST) & ~judged)[: how["gap"]]] = GAP
        if not how["keep_lent"]:
            part[judged] = GAP
        rows.append(np.arange(first, last))
        parts.append(part)
        lent.append(judged if how["keep_lent"] else np.zeros(last - first, bool))
    small = _of_nodes(fleet, nodes, [len(of_node) for of_node in rows], "final", {"of": fleet.fingerprint, **how})
    small = replace(small, labels_borrowed=how["keep_lent"])
    _write(fleet, small, rows, {"part": parts, "lent": lent}, folder)
    return folder


def _of_nodes(fleet: Fleet, nodes: list[int], n_rows: list[int], use: str, how: dict[str, Any]) -> Fleet:
    """The fleet's card and scaling for some of its nodes, without anything that was counted on test rows."""
    named = json.dumps([use, how], sort_keys=True).encode()
    return replace(
        fleet,
        node_ids=tuple(fleet.node_ids[node] for node in nodes),
        racks=tuple(fleet.racks[node] for node in nodes),
        start=np.cumsum([0, *n_rows]),
        offset=np.asarray(fleet.offset[nodes]),
        scale=np.asarray(fleet.scale[nodes]),
        muted=np.asarray(fleet.muted[nodes]),
        report={"settings": fleet.report["settings"], use: {k: v for k, v in how.items() if k != "of"}},
        fingerprint=hashlib.sha256(named).hexdigest(),
    )


def _write(
    whole: Fleet, small: Fleet, rows: Sequence[np.ndarray], new: Mapping[str, Sequence[np.ndarray]], folder: Path
) -> None:
    """Write a fleet from rows of another one, a few at a time."""
    if (folder / CARD_FILE).exists() and read_fleet(folder).fingerprint == small.fingerprint:
        return
    with replacing(folder) as partial:
        files, n_rows = RowFiles(partial), int(small.start[-1])
        files.create({name: (n_rows, *getattr(whole, name).shape[1:]) for name in ROW_ARRAYS})
        for node, of_node in enumerate(rows):
            for name in ROW_ARRAYS:
                for begin in range(0, len(of_node), ROWS_AT_ONCE):
                    some = slice(begin, begin + ROWS_AT_ONCE)
                    values = new[name][node][some] if name in new else np.asarray(getattr(whole, name)[of_node[some]])
                    files.write(name, int(small.start[node]) + begin, values)
        write_all_but_rows(small, partial)


def _require_anomalies(fleet: Fleet, parts: Sequence[np.ndarray], nodes: list[int], how: dict[str, Any]) -> None:
    found = any((fleet.label[fleet.start[node] + np.flatnonzero(parts[node] == TEST)] == 1).any() for node in nodes)
    if found:
        return
    if how["labels_from"] == "validation":
        raise ConfigError(
            f"{fleet.name}: no anomaly in the last {how['validation_fraction']:.0%} of the rows before the test part, "
            "so trials cannot be told apart; raise tune.validation_fraction, or let the first test rows judge "
            "(-S tune.labels_from=lent)"
        )
    raise ConfigError(f"{fleet.name}: no anomaly in the lent rows of the test part, so trials cannot be told apart")
