"""One metric of one month: from its parts to windows, in one pass, and a second one where samples overlap in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ftl.data.m100.layout import Part
from ftl.data.m100.rows import Grid, Tally, is_text, read_rows
from ftl.data.m100.windows import EXTREMES, Block, Samples, WindowSums, window_values
from ftl.errors import TelemetryError

MAX_SORTED = 4_000_000  # samples sorted at once in the second pass, about 0.3 GB
LARGEST = float(np.finfo(np.float32).max)
MISSING_WORDS = frozenset({"", "nan", "null", "none", "n/a"})
NO_VALUE = "samples without a value left out"
INFINITE = "infinite samples set to missing"
NO_NUMBER = "samples of text that is no number set to missing"
REPEATED = "repeated samples left out"
UNLIKE = "samples of one time with unlike values, all kept"


@dataclass(frozen=True)
class MetricWindows:
    """One metric of one month, windowed."""

    block: Block  # (.., .., n_statistics) float32, NaN where a window has no sample
    n_samples: np.ndarray  # (n_nodes,) int64
    tally: Tally


def window_metric(parts: Sequence[Part], grid: Grid, statistics: tuple[str, ...]) -> MetricWindows:
    """Read all parts of a metric and reduce them to windows.

    Memory is bounded by the grid (about 50 bytes per node and window) and by MAX_SORTED, not by the parts.

    Args:
        parts: The parquet files of the metric and month.
        grid: The bins.
        statistics: Keys of :data:`ftl.data.m100.windows.STATISTICS`.

    Raises:
        TelemetryError: If a part is damaged or not as the release writes it.
    """
    tally = Tally(len(grid.nodes))
    sums = WindowSums(len(grid.nodes), grid.n_windows, extremes=not EXTREMES.isdisjoint(statistics))
    for samples in read_samples(parts, grid, tally):
        sums.add(samples)
    for mask in sums.untidy_groups(MAX_SORTED):
        batches = [samples[mask[samples.bins]] for samples in read_samples(parts, grid, Tally(len(grid.nodes)))]
        sums.recount(mask, _joined(batches))
    for treatment, counts in ((REPEATED, sums.repeated), (UNLIKE, sums.unlike)):
        if counts.any():
            tally.by_node[treatment] = counts.reshape(sums.shape).sum(axis=1, dtype=np.int64)
    n_samples = sums.count.reshape(sums.shape).sum(axis=1, dtype=np.int64)
    return MetricWindows(window_values(sums, statistics), n_samples, tally)


def read_samples(parts: Sequence[Part], grid: Grid, tally: Tally) -> Iterator[Samples]:
    """The usable samples of a metric, batch by batch."""
    for part in parts:
        for batch in read_rows(part, grid, ["value"], tally):
            value, no_number = read_numbers(batch.columns["value"], part)
            usable = batch.bins >= 0
            if value.dtype == np.float64:
                unusable = usable & ~(np.abs(value) <= LARGEST)
                if unusable.any():
                    row, strange = batch.bins[unusable] // grid.n_windows, value[unusable]
                    texts = no_number[unusable] if no_number is not None else np.zeros(len(row), bool)
                    tally.count(NO_NUMBER, row[texts])
                    tally.count(NO_VALUE, row[np.isnan(strange) & ~texts])
                    tally.count(INFINITE, row[~np.isnan(strange)])
                    usable &= ~unusable
            samples = Samples(batch.bins, batch.time, value.astype(np.float64, copy=False))
            yield samples if usable.all() else samples[usable]


def read_numbers(column: pa.Array, part: Part) -> tuple[np.ndarray, np.ndarray | None]:
    """Values as float64, NaN where missing, or as integers where none is; and for text, where it is no number.

    Raises:
        TelemetryError: If the column holds neither numbers nor text.
    """
    kind = column.type
    if is_text(kind) or pa.types.is_dictionary(kind):
        encoded = column if pa.types.is_dictionary(kind) else column.dictionary_encode()
        numbers = [_number(text) for text in encoded.dictionary.to_pylist()]
        codes = encoded.indices.cast(pa.int64()).fill_null(len(numbers)).to_numpy()
        value = np.array([*(np.nan if number is None else number for number in numbers), np.nan])[codes]
        return value, np.array([*(number is None for number in numbers), False])[codes]
    if pa.types.is_integer(kind) and not column.null_count:
        return column.to_numpy(), None
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    ):
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), None
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan), None
    raise TelemetryError(f"{part}: column 'value' holds {kind}; it must hold numbers, or text")


def _number(text: object) -> float | None:
    """The number that a text stands for, NaN for a word that means missing, None for other text."""
    word = str(text).strip()
    if text is None or word.lower() in MISSING_WORDS:
        return float("nan")
    try:
        return None if "_" in word else float(word)
    except ValueError:
        return None


def _joined(batches: Sequence[Samples]) -> Samples:
    return Samples(
        np.concatenate([samples.bins for samples in batches]),
        np.concatenate([samples.time for samples in batches]),
        np.concatenate([samples.value for samples in batches]),
    )
