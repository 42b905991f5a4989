"""Samples into windows: count, mean, spread and extremes of every (node, window), fed batch by batch.

A bin is one window of one node. Files of the release are roughly sorted by node, so most samples stand beside others
of their bin: a batch is cut where the bin changes, each stretch is reduced at once, and one short line per stretch is
added to the totals. Deviations are taken from a sample of the same window, so a constant sensor has a standard
deviation of exactly 0 however large its values are.

Order does not matter, and a sample that occurs twice (node, time and value) counts once; samples of one node and time
with unlike values are all kept, because the data do not tell which is right. Within a batch, sorting settles that. A
bin whose samples come in several batches that overlap in time is untidy: it is read a second time and counted anew
(:meth:`WindowSums.recount`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Samples:
    """Samples of one metric; equal lengths N, every value finite and every bin inside the grid."""

    bins: np.ndarray  # (N,) int64: node row * n_windows + window
    time: np.ndarray  # (N,) int64, milliseconds since 1970
    value: np.ndarray  # (N,) float64

    def __getitem__(self, rows: np.ndarray) -> Samples:
        return Samples(self.bins[rows], self.time[rows], self.value[rows])

    def in_order(self) -> np.ndarray:
        """Row numbers by bin, then time, then value, shape (N,); N must not be 0."""
        key = self.time - self.time.min() + self.bins * (int(np.ptp(self.time)) + 1)
        order = np.argsort(key)
        key = key[order]
        same = key[1:] == key[:-1]
        if same.any():
            tied = np.append(False, same) | np.append(same, False)
            order[tied] = order[tied][np.lexsort((self.value[order[tied]], key[tied]))]
        return order


class WindowSums:
    """Running totals of all bins of one metric and month; about 45 bytes per bin, 53 with extremes.

    Args:
        n_nodes: Rows of the node axis.
        n_windows: Windows of the month.
        extremes: Whether lowest and highest samples are asked for.
    """

    def __init__(self, n_nodes: int, n_windows: int, extremes: bool = False) -> None:
        self.shape = (n_nodes, n_windows)
        n_bins = n_nodes * n_windows
        self.count = np.zeros(n_bins, np.int32)
        self.mean = np.zeros(n_bins)
        self.squares = np.zeros(n_bins)  # sum of squared deviations from the mean
        self.first, self.last = np.zeros(n_bins, np.int64), np.zeros(n_bins, np.int64)
        self.untidy = np.zeros(n_bins, bool)
        self.repeated = np.zeros(n_bins, np.int32)  # samples left out because they occur twice
        self.unlike = np.zeros(n_bins, np.int32)  # samples of the time of another sample with another value
        self.low = np.full(n_bins, np.inf, np.float32) if extremes else None
        self.high = np.full(n_bins, -np.inf, np.float32) if extremes else None

    def add(self, samples: Samples) -> None:
        """Add a batch, in whatever order."""
        if not len(samples.bins):
            return
        starts = _starts(samples.bins)
        late = samples.time[1:] <= samples.time[:-1]
        late[starts[1:] - 1] = False  # where the bin changes, time may jump back
        ordered = np.sort(samples.bins[starts])
        if late.any() or (ordered[1:] == ordered[:-1]).any():
            samples = self._distinct(samples)
            starts = _starts(samples.bins)
        bins, ends = samples.bins[starts], np.append(starts[1:], len(samples.time)) - 1
        first, last, is_new = samples.time[starts], samples.time[ends], self.count[bins] == 0
        self.untidy[bins] |= ~is_new & (first <= self.last[bins]) & (last >= self.first[bins])
        self.first[bins] = np.where(is_new, first, np.minimum(first, self.first[bins]))
        self.last[bins] = np.where(is_new, last, np.maximum(last, self.last[bins]))
        self._merge(bins, starts, samples.value)

    def untidy_groups(self, max_samples: int) -> Iterator[np.ndarray]:
        """Masks over bins, shape (n_bins,), which part the untidy bins into groups of about max_samples samples."""
        bins = np.flatnonzero(self.untidy)
        group = np.cumsum(self.count[bins] + self.repeated[bins], dtype=np.int64) // max(max_samples, 1)
        ends = np.flatnonzero(group[1:] != group[:-1]) + 1
        for together in np.split(bins, ends) if len(bins) else ():
            mask = np.zeros(len(self.count), bool)
            mask[together] = True
            yield mask

    def recount(self, mask: np.ndarray, samples: Samples) -> None:
        """Count these bins anew.

        Args:
            mask: Bins to count anew, shape (n_bins,).
            samples: All samples of these bins, and no others.
        """
        for total in (self.count, self.mean, self.squares, self.repeated, self.unlike):
            total[mask] = 0  # the extremes stay: a sample that occurs twice changes none
        kept = self._distinct(samples)
        starts = _starts(kept.bins)
        self._merge(kept.bins[starts], starts, kept.value)

    def _distinct(self, samples: Samples) -> Samples:
        """Samples in order, each once."""
        samples = samples[samples.in_order()]
        same_time = (samples.bins[1:] == samples.bins[:-1]) & (samples.time[1:] == samples.time[:-1])
        if not same_time.any():
            return samples
        same = same_time & (samples.value[1:] == samples.value[:-1])
        np.add.at(self.repeated, samples.bins[1:][same], 1)
        np.add.at(self.unlike, samples.bins[1:][same_time & ~same], 1)
        return samples[np.append(True, ~same)]

    def _merge(self, bins: np.ndarray, starts: np.ndarray, value: np.ndarray) -> None:
        """Add stretches of samples, one per bin; pairwise update of Chan, Golub and LeVeque (1983)."""
        n = np.diff(starts, append=len(value))
        base = value[starts]
        deviation = value - np.repeat(base, n)
        total = np.add.reduceat(deviation, starts)
        mean = base + total / n
        squares = np.maximum(np.add.reduceat(deviation * deviation, starts) - total * total / n, 0)
        had = self.count[bins]
        both = had + n
        apart = mean - self.mean[bins]
        self.squares[bins] += squares + apart * apart * (had * (n / both))
        self.mean[bins] += apart * (n / both)
        self.count[bins] = both
        if self.low is not None and self.high is not None:
            self.low[bins] = np.minimum(self.low[bins], np.minimum.reduceat(value, starts))
            self.high[bins] = np.maximum(self.high[bins], np.maximum.reduceat(value, starts))


def _starts(bins: np.ndarray) -> np.ndarray:
    """Where a stretch of one bin begins."""
    return np.append(0, np.flatnonzero(bins[1:] != bins[:-1]) + 1)


@dataclass(frozen=True)
class Totals:
    """Totals of a stretch of nodes and windows, each of shape (n_nodes, n_windows)."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


def _standard_deviation(totals: Totals) -> np.ndarray:
    return np.sqrt(totals.squares / np.maximum(totals.count, 1))


def _asked_for(extreme: np.ndarray | None) -> np.ndarray:
    if extreme is None:
        raise ValueError("WindowSums was made without extremes")
    return extreme


STATISTICS: dict[str, Callable[[Totals], np.ndarray]] = {
    "avg": lambda totals: totals.mean,
    "std": _standard_deviation,  # of the population (ddof 0), as in the aggregated release
    "min": lambda totals: _asked_for(totals.low),
    "max": lambda totals: _asked_for(totals.high),
    "count": lambda totals: totals.count,
}
EXTREMES = frozenset({"min", "max"})


@dataclass(frozen=True)
class Block:
    """A stretch of nodes and windows out of the grid of a month."""

    values: np.ndarray  # (n_nodes, n_windows) or (n_nodes, n_windows, n_statistics)
    first_node: int = 0  # row of the node axis at which it begins
    first_window: int = 0


def cut(values: np.ndarray, present: np.ndarray) -> Block:
    """The smallest block with everything that is present; views, nothing is copied.

    Args:
        values: Shape (n_nodes, n_windows, ...).
        present: Where there is something, bool, shape (n_nodes, n_windows).
    """
    nodes, windows = (np.flatnonzero(present.any(axis=axis)) for axis in (1, 0))
    if not len(nodes):
        return Block(values[:0, :0])
    return Block(values[nodes[0] : nodes[-1] + 1, windows[0] : windows[-1] + 1], int(nodes[0]), int(windows[0]))


def window_values(sums: WindowSums, statistics: tuple[str, ...]) -> Block:
    """The statistics of every bin, NaN where it has no sample, float32; cut to the nodes and windows with samples."""
    counts = sums.count.reshape(sums.shape)
    block = cut(counts, counts > 0)

    def same_cut(total: np.ndarray) -> np.ndarray:
        n_nodes, n_windows = block.values.shape
        return total.reshape(sums.shape)[block.first_node :, block.first_window :][:n_nodes, :n_windows]

    extremes = [None if each is None else same_cut(each) for each in (sums.low, sums.high)]
    totals = Totals(block.values, same_cut(sums.mean), same_cut(sums.squares), *extremes)
    values = np.empty((*block.values.shape, len(statistics)), np.float32)
    for column, name in enumerate(statistics):
        values[..., column] = STATISTICS[name](totals)
    values[totals.count == 0] = np.nan
    return Block(values, block.first_node, block.first_window)
