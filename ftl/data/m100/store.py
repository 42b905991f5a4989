"""Windowed metrics on disk: one array and one card per metric and month, each written whole or not at all.

    <month>.<plugin>.<metric>.npy     node-major; cut to the nodes and windows that have samples
    <month>.<plugin>.<metric>.json    the card: its place in the grid, what was counted, made from which files

The card is written last. An entry counts only if its card names the same source files (name, size, time of change) and
settings as are asked for, so a killed run goes on where it stood, and a changed file is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ftl.data.m100.rows import Tally
from ftl.data.m100.windows import Block
from ftl.errors import TelemetryError, disk_full_message, is_disk_full
from ftl.processes import lock

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What is known of one metric, or of the labels, of one month."""

    identity: list[Any]  # source files and settings that it was made from
    first_node: int  # row of the node axis at which the array begins
    first_window: int
    shape: list[int]  # of the array; [0, ...] where there is no sample, and then there is no array
    n_samples: dict[str, int]  # node row -> samples; rows without samples are left out
    treatments: dict[str, dict[str, int]]  # treatment -> node row -> count
    rows_lost: dict[str, int]  # left out without a node to count them for
    other_nodes: list[int]  # node ids met and not chosen
    services: list[str]  # Nagios services met
    digest: str  # of the array's content
    format: int = FORMAT


def save_entry(
    stem: Path,
    identity: Sequence[Any],
    block: Block,
    n_samples: np.ndarray,
    tally: Tally,
    services: Sequence[str] = (),
) -> None:
    """Write array and card.

    Args:
        stem: Path without suffix.
        identity: What the entry was made from, JSON-able.
        block: What was made.
        n_samples: Per node row, shape (n_nodes,).
        tally: What was counted.
        services: Nagios services met.

    Raises:
        TelemetryError: If the disk is full or the folder cannot be written.
    """
    values = np.ascontiguousarray(block.values)
    card = Card(
        identity=list(identity),
        first_node=block.first_node,
        first_window=block.first_window,
        shape=list(values.shape),
        n_samples=_by_row(n_samples),
        treatments={treatment: _by_row(counts) for treatment, counts in tally.by_node.items()},
        rows_lost={what: count for what, count in tally.by_file.items() if count},
        other_nodes=sorted(tally.other_nodes),
        services=list(services),
        digest=hashlib.blake2b(values.data if values.size else b"", digest_size=16).hexdigest(),
    )
    if values.size:
        with _replacing(_with(stem, ".npy")) as partial, partial.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
    with _replacing(_with(stem, ".json")) as partial:
        partial.write_text(json.dumps(asdict(card)), encoding="utf-8")


def load_card(stem: Path, identity: Sequence[Any]) -> Card | None:
    """The card of a finished entry; None where there is none, or one made from something else."""
    try:
        card = Card(**json.loads(_with(stem, ".json").read_text(encoding="utf-8")))
        if card.format != FORMAT or card.identity != json.loads(json.dumps(identity)):
            return None
        if card.shape[0] and list(np.load(_with(stem, ".npy"), mmap_mode="r", allow_pickle=False).shape) != card.shape:
            return None
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return card


def read_rows_of(stem: Path, row: int) -> np.ndarray:
    """One node's stretch of an array, (n_windows, ...); row is counted from the array's first.

    Raises:
        TelemetryError: If the array is gone or damaged.
    """
    path = _with(stem, ".npy")
    try:
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[row])
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise TelemetryError(
            f"{path}: missing or damaged ({error}); delete its folder, a cache, and run the same command again"
        ) from error


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """One process at a time fills a cache folder; the next one waits, and finds the entries made.

    Raises:
        TelemetryError: If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = (folder / "lock").open("a")
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with held:
        lock(held.fileno())
        for leftover in folder.glob(".*.partial"):
            leftover.unlink(missing_ok=True)
        yield


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` that takes its name when the block ends well."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> TelemetryError:
    if is_disk_full(error):
        return TelemetryError(f"{path}: {disk_full_message(error)}; finished metrics are kept")
    return TelemetryError(
        f"{path}: windows cannot be kept there ({error.strerror or error}); name another folder by the source's "
        "setting 'cache' (--with cache=FOLDER)"
    )


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _by_row(counts: np.ndarray | Mapping[int, int]) -> dict[str, int]:
    counts = np.asarray(counts)
    return {str(row): int(counts[row]) for row in np.flatnonzero(counts)}
