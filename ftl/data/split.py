"""Which rows train, validate and test: split rules, and the lending of labels where none precede the test part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION
from ftl.data.node_table import ANOMALOUS, SPLIT_TRAIN
from ftl.errors import TelemetryError
from ftl.randomness import generator

PROTOCOL_SPLIT = {"rigorous": "chronological", "paper": "random"}


@dataclass(frozen=True)
class NodeRows:
    """What a split rule sees of a node: no values and no labels."""

    node_id: str
    time: np.ndarray  # (T,) int64, ascending
    published: np.ndarray | None  # (T,) int8, the source's own split


@dataclass(frozen=True)
class SplitSettings:
    """Fractions in (0, 1), gap in rows; cut_time is the last time of the training period, for the whole fleet."""

    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    gap: int = 4
    seed: int = 0
    cut_time: int = 0


SplitRule = Callable[[NodeRows, SplitSettings], np.ndarray]


def chronological(rows: NodeRows, settings: SplitSettings) -> np.ndarray:
    """Rows after the fleet's cut time test, less the first `gap` of them; the last of the rest validate, shape (T,)."""
    part = np.where(rows.time > settings.cut_time, TEST, TRAIN).astype(np.int8)
    part[np.flatnonzero(part == TEST)[: settings.gap]] = GAP
    return _with_last_rows_validating(part, settings.validation_fraction)


def random(rows: NodeRows, settings: SplitSettings) -> np.ndarray:
    """A random test_fraction of each node's rows tests (paper, section 4.3), shape (T,).

    Note:
        Neighbouring windows fall on both sides, so results are better than they will be in operation.
    """
    part = np.full(len(rows.time), TRAIN, np.int8)
    order = generator(settings.seed, "split", rows.node_id).permutation(len(part))
    n_test = round(settings.test_fraction * len(part))
    n_validation = round(settings.validation_fraction * (len(part) - n_test))
    part[order[:n_test]] = TEST
    part[order[n_test : n_test + n_validation]] = VALIDATION
    return part


def given(rows: NodeRows, settings: SplitSettings) -> np.ndarray:
    """The split that the source publishes, without a gap; the last of its train rows validate, shape (T,)."""
    if rows.published is None:
        raise TelemetryError(f"node {rows.node_id}: no split column, which prepare.split: given needs in every node")
    part = np.where(rows.published == SPLIT_TRAIN, TRAIN, TEST).astype(np.int8)
    return _with_last_rows_validating(part, settings.validation_fraction)


SPLITS: dict[str, SplitRule] = {"chronological": chronological, "random": random, "given": given}


def choose_split(setting: str, protocol: str, published: Sequence[bool]) -> str:
    """The key of SPLITS to use.

    Args:
        setting: ``protocol`` (the source's own split where it has one, else the protocol's) or a key of SPLITS.
        protocol: rigorous or paper.
        published: Per node, whether the source gives a split.
    """
    if setting != "protocol":
        return setting
    if any(published) and not all(published):
        raise TelemetryError(
            f"{sum(published)} of {len(published)} nodes have a split column; give it to all or to none, "
            "or set prepare.split to chronological or random"
        )
    return "given" if all(published) else PROTOCOL_SPLIT[protocol]


def find_cut_time(times: Sequence[np.ndarray], test_fraction: float) -> int:
    """The one time after which as nearly test_fraction of the fleet's rows lie as ties allow.

    Args:
        times: Per node, the times of its rows.
        test_fraction: Share of all rows that shall lie after the cut.

    Raises:
        TelemetryError: If all rows have the same time.
    """
    moments, counts = np.unique(np.concatenate(times), return_counts=True)
    if len(moments) < 2:
        raise TelemetryError("all rows of the fleet have the same time; a chronological split needs at least two times")
    share_after = 1 - np.cumsum(counts)[:-1] / counts.sum()  # the last moment would leave no test row
    return int(moments[np.argmin(np.abs(share_after - test_fraction))])


def lend_labels(
    part: np.ndarray, label: np.ndarray, start: np.ndarray, lend_fraction: float
) -> tuple[bool, np.ndarray]:
    """Where no anomaly precedes the test part of any node, lend the labels of each node's first test rows.

    Args:
        part: Parts of all rows, shape (R,).
        label: Labels of all rows, shape (R,).
        start: First row of each node and the end, shape (K+1,).
        lend_fraction: Share of a node's test rows that is lent, the earliest ones.

    Returns:
        Whether labels are lent, and the lent rows, bool, shape (R,).
    """
    lent = np.zeros(len(part), bool)
    anomalous = label == ANOMALOUS
    if anomalous[np.isin(part, (TRAIN, VALIDATION))].any() or not anomalous[part == TEST].any():
        return False, lent
    for first, last in pairwise(start):
        test = first + np.flatnonzero(part[first:last] == TEST)
        lent[test[: round(lend_fraction * len(test))]] = True
    return True, lent


def _with_last_rows_validating(part: np.ndarray, fraction: float) -> np.ndarray:
    train = np.flatnonzero(part == TRAIN)
    part[train[len(train) - round(fraction * len(train)) :]] = VALIDATION
    return part
