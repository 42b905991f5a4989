"""When a node reported: the length of its window, its gaps, and its rows counted in bins that nodes can share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ftl.data.node_table import ANOMALOUS, UNKNOWN

MOST_BINS = 400  # of a fleet's whole period, and of one node's
_FEW_ROWS, _FEW_OF_ALL = 0.02, 0.05  # shares of a node's and of the fleet's rows, at either end, that may be far away
EARLIEST, LATEST = 946_684_800, 4_102_444_800  # the years 2000 and 2100: outside, a clock or a unit is wrong
FAR_AWAY = 10 * 365 * 86400  # seconds from the node's median time: a clock jumped
_LONGEST = 8  # gaps that are remembered of a node


@dataclass(frozen=True)
class Timeline:
    """One node's times, in the units of its source (seconds or steps); all but `implausible` without false dates."""

    first: int | None
    last: int | None
    window: int | None  # usual distance of two rows; None with fewer than two rows
    irregular: int  # distances that are no whole number of windows (1 % of a window allowed)
    n_gaps: int
    missing_windows: int  # rows that the gaps would have held
    longest_gap: int  # between two rows, 0 without gaps
    longest_gap_after: int | None  # time of the row before it
    implausible: int  # rows before 2000, after 2100 or FAR_AWAY from the node's others
    longest_gaps: tuple[tuple[int, int], ...] = ()  # times of the rows around each of the longest gaps


def find_timeline(time: np.ndarray, seconds: bool) -> Timeline:
    """Read a node's timeline off its times, int64, shape (T,), ascending, each once."""
    if not len(time):
        return Timeline(None, None, None, 0, 0, 0, 0, None, 0)
    plausible = _plausible(time) if seconds else np.ones(len(time), bool)
    implausible = int((~plausible).sum())
    time = time[plausible] if plausible.any() else time
    steps = np.diff(time)
    window = usual_step(steps)
    if window is None:
        return Timeline(int(time[0]), int(time[-1]), None, 0, 0, 0, 0, None, implausible)
    gaps = np.flatnonzero(steps > 1.5 * window)
    longest = int(gaps[np.argmax(steps[gaps])]) if len(gaps) else None
    remembered = gaps[np.argsort(-steps[gaps], kind="stable")[:_LONGEST]]
    return Timeline(
        first=int(time[0]),
        last=int(time[-1]),
        window=window,
        irregular=int((np.abs(steps - np.rint(steps / window) * window) > 0.01 * window).sum()),
        n_gaps=len(gaps),
        missing_windows=int((np.rint(steps[gaps] / window) - 1).sum()),
        longest_gap=int(steps[longest]) if longest is not None else 0,
        longest_gap_after=int(time[longest]) if longest is not None else None,
        implausible=implausible,
        longest_gaps=tuple((int(time[row]), int(time[row + 1])) for row in remembered),
    )


def _plausible(time: np.ndarray) -> np.ndarray:
    """Rows whose date can be true, bool, shape (T,); a jump is told from the node's median time."""
    within = (time >= EARLIEST) & (time <= LATEST)
    return np.asarray(within & (np.abs(time - time[len(time) // 2]) <= FAR_AWAY))


def usual_step(steps: np.ndarray) -> int | None:
    """The most frequent distance where it is at least a third of all, else the median; None without distances."""
    if not len(steps):
        return None
    lengths, counts = np.unique(steps, return_counts=True)
    most = int(np.argmax(counts))
    return int(lengths[most]) if 3 * counts[most] >= len(steps) else max(1, round(float(np.median(steps))))


@dataclass(frozen=True)
class Bins:
    """Rows counted in bins of equal width; bin b holds the times [b * width, (b + 1) * width).

    Widths are a base length times a power of two and bins are counted from time 0, so that the bins of any two nodes
    with one base can be brought to the same width without looking at their rows again.
    """

    base: int
    doublings: int
    first: int  # number of the first bin
    counts: np.ndarray  # (4, n_bins) int64: rows, anomalous, without known label, incomplete without sparse columns
    left_out: int = 0  # rows so far from the others that the bins would have to be too wide

    @property
    def width(self) -> int:
        """Length of a bin in units of time."""
        return self.base << self.doublings

    @property
    def numbers(self) -> np.ndarray:
        """Number of each bin, int64."""
        return self.first + np.arange(self.counts.shape[1])

    def coarsened(self, doublings: int) -> Bins:
        """The same rows in bins of width base * 2**doublings, at least as wide as these."""
        factor = 1 << (doublings - self.doublings)
        first = self.first // factor
        place = self.numbers // factor - first
        counts = np.stack([np.bincount(place, kind).astype(np.int64) for kind in self.counts])
        return Bins(self.base, doublings, first, counts, self.left_out)


@dataclass(frozen=True)
class Grid:
    """The rows of K nodes in the same bins."""

    width: int  # of a bin, in units of time
    start: int  # time at which the first bin begins
    counts: np.ndarray  # (K, 4, n_bins) int64, kinds of rows as in Bins
    left_out: int  # rows far outside the period that most rows lie in


def count_in_bins(time: np.ndarray, label: np.ndarray, complete: np.ndarray, base: int) -> Bins:
    """Count one node's rows in at most about MOST_BINS bins.

    Args:
        time: Shape (T,), ascending. A few rows far away from the others (a clock that was wrong) are left out.
        label: Shape (T,).
        complete: Shape (T,) bool.
        base: The width to double, in units of time.
    """
    if not len(time):
        return Bins(base, 0, 0, np.zeros((4, 0), np.int64))
    few = int(_FEW_ROWS * len(time))
    low, high = _widened(int(time[few]), int(time[len(time) - 1 - few]), base)
    near = (time >= low) & (time <= high)
    time, label, complete = time[near], label[near], complete[near]
    doublings = needed_doublings(int(time[0]), int(time[-1]), base)
    place = time // (base << doublings)
    first, n_bins = int(place[0]), int(place[-1] - place[0]) + 1
    rows = (np.ones(len(time), bool), label == ANOMALOUS, label == UNKNOWN, ~complete)
    counts = np.stack([np.bincount((place - first)[chosen], minlength=n_bins) for chosen in rows])
    return Bins(base, doublings, first, counts, int((~near).sum()))


def needed_doublings(first: int, last: int, base: int) -> int:
    """How often `base` must double so that the period fits into MOST_BINS bins."""
    doublings = 0
    while last // (base << doublings) - first // (base << doublings) >= MOST_BINS:
        doublings += 1
    return doublings


def on_one_grid(nodes: list[Bins]) -> Grid:
    """Bring the bins of all nodes, which have one base, to the same width; no bins where no node has rows.

    The period is the one that nine tenths of the rows lie in and a quarter of its length on either side, cut to the
    rows there are, so that one node with a wrong clock does not squeeze the others.
    """
    filled = [bins for bins in nodes if bins.counts.shape[1]]
    if not filled:
        return Grid(1, 0, np.zeros((len(nodes), 4, 0), np.int64), 0)
    starts = np.concatenate([bins.numbers * bins.width for bins in filled])
    rows = np.concatenate([bins.counts[0] for bins in filled])
    widths = np.repeat([bins.width for bins in filled], [bins.counts.shape[1] for bins in filled])
    order = np.argsort(starts, kind="stable")
    share = np.cumsum(rows[order]) / rows.sum()
    ends = starts[order[np.searchsorted(share, [_FEW_OF_ALL, 1 - _FEW_OF_ALL])]]
    low, high = _widened(int(ends[0]), int(ends[1]), int(widths.max()))
    near = (rows > 0) & (starts >= low) & (starts <= high)
    first, last = int(starts[near].min()), int((starts + widths)[near].max()) - 1
    doublings = max(needed_doublings(first, last, filled[0].base), max(bins.doublings for bins in filled))
    width = filled[0].base << doublings
    n_bins = last // width - first // width + 1
    counts = np.zeros((len(nodes), 4, n_bins), np.int64)
    left_out = 0
    for k, bins in enumerate(nodes):
        coarse = bins.coarsened(doublings)
        place = coarse.numbers - first // width
        shown = (place >= 0) & (place < n_bins)
        counts[k][:, place[shown]] = coarse.counts[:, shown]
        left_out += bins.left_out + int(coarse.counts[0, ~shown].sum())
    return Grid(width, first // width * width, counts, left_out)


def _widened(low: int, high: int, least: int) -> tuple[int, int]:
    margin = (high - low) // 4 + least
    return low - margin, high + margin


def longest_silence(grid: Grid, lines: list[Timeline]) -> tuple[int, int, float] | None:
    """The longest time in which no node has a row: the last row before, the first after, its share of the period.

    Args:
        grid: Of all nodes; a stretch shorter than one of its bins is not seen.
        lines: Of the nodes that have rows.
    """
    busy = np.flatnonzero(grid.counts[:, 0].sum(axis=0))
    if len(busy) < 2 or not (np.diff(busy) > 1).any():
        return None
    place = int(np.argmax(np.diff(busy)))
    low, high = grid.start + grid.width * int(busy[place] + 1), grid.start + grid.width * int(busy[place + 1])
    after, until = [], []
    for line in lines:
        around = [(line.last, None), (None, line.first), *line.longest_gaps]
        for before, behind in around:
            if (before is None or before < low) and (behind is None or behind >= high):
                after += [] if before is None else [before]
                until += [] if behind is None else [behind]
                break
    start, end = max(after, default=low), min(until, default=high)
    period = max(line.last or 0 for line in lines) - min(line.first or 0 for line in lines)
    return start, end, (end - start) / max(period, 1)
