"""Which rows train, validate and test: split rules, and the lending of labels where none precede the test part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION
from ftl.data.node_table import SPLIT_TRAIN
from ftl.errors import TelemetryError
from ftl.randomness import generator

N_BINS = 2**18  # of the counts by which a cut time is found
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


def find_cut_time(times: Iterable[np.ndarray], test_fraction: float) -> int:
    """The one time after which as nearly test_fraction of the fleet's rows lie as ties allow.

    The times are gone through a few times, each time counted more finely around the cut, so that memory holds one
    node's times and N_BINS counts whatever the number of nodes and of different times.

    Args:
        times: Per node, the times of its rows; iterated over more than once.
        test_fraction: Share of all rows that shall lie after the cut.

    Raises:
        TelemetryError: If all rows have the same time.
    """
    ends = [(int(time.min()), int(time.max()), len(time)) for time in times if len(time)]
    first, last, n_rows = min(end[0] for end in ends), max(end[1] for end in ends), sum(end[2] for end in ends)
    if first == last:
        raise TelemetryError("all rows of the fleet have the same time; a chronological split needs at least two times")
    n_train = (1 - test_fraction) * n_rows
    low, high = first, last  # the cut lies between them, `before` rows lie before low and `up_to_high` not after high
    before, up_to_high = 0, n_rows
    while low < high:
        width = (high - low) // N_BINS + 1
        counts = np.zeros((high - low) // width + 1, np.int64)
        for time in times:
            inside = time[(time >= low) & (time <= high)]
            counts += np.bincount((inside - low) // width, minlength=len(counts))
        up_to = before + np.cumsum(counts)
        chosen = min(int(np.searchsorted(up_to, n_train, side="right")), len(counts) - 1)
        before, up_to_high = int(up_to[chosen] - counts[chosen]), int(up_to[chosen])
        low, high = low + chosen * width, min(low + (chosen + 1) * width - 1, high)
    over = low  # the earliest moment with more than n_train rows up to it; the best is this or the one before it
    under = max((int(time[time < over].max()) for time in times if (time < over).any()), default=None)
    if under is None or over == last:  # the last moment would leave no test row
        return over if under is None else under
    share_after = 1 - np.array([before, up_to_high]) / n_rows
    return (under, over)[int(np.argmin(np.abs(share_after - test_fraction)))]


def lent_rows(part: np.ndarray, lend_fraction: float) -> np.ndarray:
    """A node's first test rows, whose labels are lent where no anomaly precedes the test part of any node.

    Args:
        part: Parts of the node's rows, shape (T,).
        lend_fraction: Share of the test rows that is lent, the earliest ones.

    Returns:
        bool, shape (T,).
    """
    lent = np.zeros(len(part), bool)
    test = np.flatnonzero(part == TEST)
    lent[test[: round(lend_fraction * len(test))]] = True
    return lent


def _with_last_rows_validating(part: np.ndarray, fraction: float) -> np.ndarray:
    train = np.flatnonzero(part == TRAIN)
    part[train[len(train) - round(fraction * len(train)) :]] = VALIDATION
    return part
