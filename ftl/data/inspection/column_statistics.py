"""One node's columns in a few numbers each: how full, where, how wide, and how far the later rows have moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ftl.data.node_table import ANOMALOUS, NORMAL

SAMPLE = 4096  # rows per part, evenly spaced, from which drift is estimated
LEAST_FOR_DRIFT = 40  # values on either side
MOST_BINS = 10
_BLOCK = 32  # columns at a time: a copy of a few megabytes instead of one of the whole node


@dataclass(frozen=True)
class ColumnStatistics:
    """One node's F columns; every array has shape (F,), NaN where there is nothing to compute from."""

    features: tuple[str, ...]
    n_rows: int
    present: np.ndarray  # int64: values that are not missing
    mean: np.ndarray
    deviation: np.ndarray  # standard deviation (ddof 0) over the node's rows
    lowest: np.ndarray
    highest: np.ndarray
    shift: np.ndarray  # mean of the later rows less that of the earlier, in standard deviations of the earlier
    psi: np.ndarray  # population stability index of the later rows against the earlier
    label_correlation: np.ndarray  # with the label, over labelled rows
    ups: np.ndarray  # int64: rises from one value of the earlier rows to the next
    downs: np.ndarray  # int64: falls

    def constant(self) -> np.ndarray:
        """True for columns whose values are all the same, bool; an empty column is not constant but empty."""
        return (self.present > 0) & (self.lowest == self.highest)

    def empty(self) -> np.ndarray:
        """True for columns without a single value, bool."""
        return self.present == 0


def column_statistics(
    features: tuple[str, ...], values: np.ndarray, label: np.ndarray, earlier: np.ndarray, later: np.ndarray
) -> ColumnStatistics:
    """Summarise the columns of one node.

    Args:
        features: F names.
        values: Shape (T, F), NaN where missing.
        label: Shape (T,).
        earlier: Row numbers of the part that trains, ascending.
        later: Row numbers of the part that tests, ascending.
    """
    parts = [
        np.stack(_moments(values[:, first : first + _BLOCK], label, earlier))
        for first in range(0, len(features) if len(values) else 0, _BLOCK)
    ]
    nothing = np.full((8, len(features)), np.nan)
    nothing[[0, 6, 7]] = 0
    columns = np.concatenate(parts, axis=1) if parts else nothing
    present, mean, deviation, lowest, highest, correlation, ups, downs = columns
    shift, psi = _drift(values[_spread(earlier)], values[_spread(later)])
    return ColumnStatistics(
        features=features,
        n_rows=len(values),
        present=present.astype(np.int64),
        mean=mean,
        deviation=deviation,
        lowest=lowest,
        highest=highest,
        shift=shift,
        psi=psi,
        label_correlation=correlation,
        ups=ups.astype(np.int64),
        downs=downs.astype(np.int64),
    )


def population_stability(earlier: np.ndarray, later: np.ndarray) -> float:
    """Population stability index: sum over bins of (q - p) ln(q / p), p and q being the shares of the two samples.

    The bins end at quantiles of the earlier sample, and a value that falls on such an end has a bin of its own, so that
    columns with few different values are compared value by value. Half a row is added to every bin.

    Args:
        earlier: Sorted, without NaN.
        later: Without NaN.
    """
    n_bins = int(np.clip(min(len(earlier), len(later)) // 20, 2, MOST_BINS))
    inner = (np.arange(1, n_bins) * len(earlier)) // n_bins
    ends = np.unique(earlier[inner])
    p, q = (_smoothed_shares(sample, ends) for sample in (earlier, later))
    return float(np.sum((q - p) * np.log(q / p)))


def _smoothed_shares(sample: np.ndarray, ends: np.ndarray) -> np.ndarray:
    place = np.searchsorted(ends, sample, "left") + np.searchsorted(ends, sample, "right")
    counts = np.bincount(place, minlength=2 * len(ends) + 1) + 0.5
    return np.asarray(counts / counts.sum())


def _drift(earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and stability index of each column of two samples, shapes (T1, F) and (T2, F)."""
    n_features = earlier.shape[1]
    shift, psi = np.full(n_features, np.nan), np.full(n_features, np.nan)
    if min(len(earlier), len(later)) < LEAST_FOR_DRIFT:
        return shift, psi
    for column in range(n_features):
        before, after = (part[:, column] for part in (earlier, later))
        before, after = np.sort(before[~np.isnan(before)]), after[~np.isnan(after)]
        if min(len(before), len(after)) < LEAST_FOR_DRIFT:
            continue
        psi[column] = population_stability(before, after)
        difference, spread = float(after.mean(dtype=float) - before.mean(dtype=float)), float(before.std(dtype=float))
        if before[0] < before[-1]:
            shift[column] = difference / spread
        elif difference == 0:
            shift[column] = 0.0
    return shift, psi


def _moments(values: np.ndarray, label: np.ndarray, earlier: np.ndarray) -> tuple[np.ndarray, ...]:
    """Count, mean, deviation, lowest, highest, correlation with the label, rises and falls, of a block of columns."""
    block = np.array(values.T, np.float64, order="C")  # (columns, T), a copy to work in
    missing = np.isnan(block)
    present = block.shape[1] - missing.sum(axis=1)
    has_some = present > 0
    lowest, highest = np.full(len(block), np.nan), np.full(len(block), np.nan)
    if has_some.any():
        lowest[has_some] = np.fmin.reduce(block[has_some], axis=1)
        highest[has_some] = np.fmax.reduce(block[has_some], axis=1)
    number = np.where(has_some, present, np.nan)
    ups, downs = _rises_and_falls(block[:, earlier], missing[:, earlier])
    any_missing = missing.any()
    if any_missing:
        block[missing] = 0.0
    mean = block.sum(axis=1) / number
    block -= np.where(has_some, mean, 0.0)[:, None]
    if any_missing:
        block[missing] = 0.0
    deviation = np.sqrt(np.einsum("ft,ft->f", block, block) / number)
    deviation[lowest == highest] = 0.0  # without the rounding of the mean
    correlation = _label_correlation(block, missing, label)
    return present.astype(float), mean, deviation, lowest, highest, correlation, ups, downs


def _rises_and_falls(block: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each column, shape (columns, T), rises and falls from one value to the next that is not missing."""
    gaps = missing.any(axis=1)
    ups, downs = np.zeros((2, len(block)))
    step = np.diff(block[~gaps], axis=1)
    ups[~gaps], downs[~gaps] = (step > 0).sum(axis=1), (step < 0).sum(axis=1)
    for column in np.flatnonzero(gaps):
        step = np.diff(block[column, ~missing[column]])
        ups[column], downs[column] = (step > 0).sum(), (step < 0).sum()
    return ups, downs


def _label_correlation(centred: np.ndarray, missing: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Point-biserial correlation over labelled rows; NaN where one of the two classes or any spread is lacking."""
    result = np.full(len(centred), np.nan)
    anomalous = np.flatnonzero(label == ANOMALOUS)
    normal = np.flatnonzero(label == NORMAL)
    if not len(anomalous) or not len(normal):
        return result

    def sums(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = centred if len(rows) == centred.shape[1] else centred[:, rows]
        counts = len(rows) - missing[:, rows].sum(axis=1)
        return counts, chosen.sum(axis=1), np.einsum("ft,ft->f", chosen, chosen)

    (n1, sum1, square1), (n0, sum0, square0) = sums(anomalous), sums(normal)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = n0 + n1
        variance = (square0 + square1) / n - ((sum0 + sum1) / n) ** 2
        found = (sum1 / n1 - sum0 / n0) * np.sqrt(n1 / n * n0 / n / variance)
    usable = (n0 > 0) & (n1 > 0) & (variance > 0)
    result[usable] = np.clip(found[usable], -1, 1)
    return result


def _spread(rows: np.ndarray) -> np.ndarray:
    """At most SAMPLE of these rows, evenly spaced."""
    if len(rows) <= SAMPLE:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64)])
