"""The raw table of a node that has just joined, through what the fleet shares to alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ftl.data.alignment import ALIGNMENTS
from ftl.data.column_readers import some
from ftl.data.scaling import Scaling
from ftl.data.table_files import TableReader
from ftl.detection.card import Card
from ftl.detection.contributions import top_sensors
from ftl.detection.newcomer import KnownRows, Newcomer, NewcomerCard, nothing_known, seen_of
from ftl.detection.plausibility import plausibility_notes
from ftl.detection.raw_rows import Past, RowRules, model_rows
from ftl.detection.raw_table import read_raw_table
from ftl.detection.scored_rows import ScoredRows, notes_on_rows, scored_frame
from ftl.errors import TelemetryError

MOST_MISSING = 0.5
"""Share of the fleet's features that a newcomer's table may lack."""

MOSTLY = 0.5
"""Share of flagged rows above which a newcomer is said to be unlike the fleet."""


def score_newcomer(
    card: Card,
    newcomer: Newcomer,
    table: pd.DataFrame | TableReader,
    node: str,
    past: Past | None = None,
    *,
    explain_all: bool = False,
    time_column: str | None = None,
) -> ScoredRows:
    """Score rows of a node that has just joined, which follow those that left this past.

    Args:
        card: Of the detector.
        newcomer: The fleet's part for such nodes.
        table: The node's rows. Which columns it has is told by their names alone, so that no row's score depends on
            what later rows hold.
        node: A name for it.
        past: What earlier rows left; None before the first.
        explain_all: Name top sensors in every row that has a score, not only where it is flagged.
        time_column: Where it has another name than in the tables that the fleet was made of.

    Raises:
        TelemetryError: If the table lacks too many features, or other ones than the rows before, or cannot be read.
    """
    names = list(table.columns.map(str)) if isinstance(table, pd.DataFrame) else table.schema.names
    columns = columns_of_newcomer(names, card.rules, newcomer.card.alignment)
    muted = newcomer.muted | lacking(columns, card.rules)
    _check_columns(node, columns, newcomer, muted, card.rules)
    read = read_raw_table(table, node, columns, card.rules, time_column)
    known = (past.newcomer if past is not None else None) or nothing_known(columns, len(muted))
    if known.columns != columns:
        raise TelemetryError(
            f"node {node}: the table has other columns than the rows scored before; give the same in every piece"
        )
    rows = model_rows(read, columns, card.rules, past, newcomer.card.is_rebased)
    scaling = _scaling(card, newcomer, muted)
    measured = rows.before_scale(card.rules, scaling)
    x = newcomer.scaled(measured, scaling.clip_low, scaling.clip_high)
    residual, n_held = _residual(newcomer, x, muted, () if known.scores else card.rules.counters)
    scores = newcomer.scores(
        residual,
        rows.time[rows.complete],
        n_held,
        card.score.variance_floor,
        card.score.smoothing_half_life,
        known,
        explain_all,
    )
    numbers = np.flatnonzero(rows.complete)
    sensors = {int(numbers[row]): top_sensors(parts[None], card.features)[0] for row, parts in scores.parts}
    score = np.full(len(rows.time), np.nan)
    score[rows.complete] = scores.score
    next_row = np.searchsorted(numbers, np.arange(len(rows.time)))  # a row without a score changes no threshold
    threshold = np.append(scores.threshold, scores.next_threshold)[next_row]
    left = None if rows.past is None else replace(rows.past, newcomer=scores.known)
    features = card.rules.features
    notes = [
        *_what_it_stands_on(newcomer.card, scores.known, card.dataset),
        *_what_it_lacks(columns, newcomer.muted, card.rules),
        *plausibility_notes(x, measured, scaling, 0, features, ~muted[: len(features)]),
        *notes_on_rows(rows, card.rules),
    ]
    if rows.lacking:
        notes.append("leave a column that is always empty out of the table: the rows can then be scored by the others")
    return ScoredRows(
        scored_frame(rows, card.rules, node, score, threshold, sensors), rows.treatments, left, tuple(notes)
    )


def _residual(
    newcomer: Newcomer, x: np.ndarray, muted: np.ndarray, unread: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of rows (T, F), and of how many features each tells.

    Args:
        unread: Counters, where the first row is the node's very first: there they have been read once, and what they
            have increased by is not known.
    """
    residual, n_held = newcomer.residual(x, muted), np.full(len(x), int((~muted).sum()))
    silent = muted.copy()
    silent[list(unread)] = True
    if len(x) and not silent.all():
        residual[:1], n_held[0] = newcomer.residual(x[:1], silent), int((~silent).sum())
    return residual, n_held


def columns_of_newcomer(names: Sequence[str], rules: RowRules, alignment: str) -> tuple[str | None, ...]:
    """Which column of a table holds each feature of the fleet; None where none does."""
    present = list(dict.fromkeys(names))
    named = dict(zip(ALIGNMENTS[alignment].rename(present), present, strict=True))
    return tuple(named.get(feature) for feature in rules.features)


def lacking(columns: Sequence[str | None], rules: RowRules) -> np.ndarray:
    """Features that a table does not tell of, bool (F,): indicators too, if all that they look at is lacking."""
    absent = [column is None for column in columns]
    return np.array([*absent, *(all(absent[feature] for feature in of) for _, of in rules.indicators)], bool)


def _absent(columns: Sequence[str | None], muted: np.ndarray, rules: RowRules) -> tuple[list[str], int]:
    """The features that a table lacks of those that say something in the fleet, and how many these are."""
    wanted = [(name, column) for name, column, mute in zip(rules.features, columns, muted, strict=False) if not mute]
    return [name for name, column in wanted if column is None], len(wanted)


def _check_columns(
    node: str, columns: Sequence[str | None], newcomer: Newcomer, muted: np.ndarray, rules: RowRules
) -> None:
    absent, n_wanted = _absent(columns, newcomer.muted, rules)
    seen = seen_of(newcomer.components, muted).shape[1]
    if len(absent) > MOST_MISSING * n_wanted or seen >= (~muted).sum():
        raise TelemetryError(
            f"node {node}: {len(absent)} of the {n_wanted} feature columns of the fleet are missing, first "
            f"{some(absent, 3)}, and a newcomer may lack at most half of them: is this a table of the fleet's kind?"
        )


def _scaling(card: Card, newcomer: Newcomer, muted: np.ndarray) -> Scaling:
    """The fleet's scale as that of a single node."""
    scaler = card.scaler
    signed_log = np.array([name in scaler.signed_log for name in card.features])
    low, span = (array.astype(np.float32)[None] for array in (newcomer.low, newcomer.span))
    return Scaling(low, span, muted[None], signed_log, scaler.clip_low, scaler.clip_high)


def _what_it_stands_on(card: NewcomerCard, known: KnownRows, dataset: str) -> list[str]:
    n_rows = known.sums.n_rows + known.n_flagged
    own = len(known.scores) / (len(known.scores) + card.pseudo_rows)
    notes = [
        (
            f"a newcomer, scored by what {card.n_nodes} nodes of the fleet share, and by {n_rows:,} rows of its own; "
            f"{known.n_flagged:,} of these were flagged, and their residuals do not count"
        ),
        (
            f"the threshold rests to {own:.0%} on its own scores, else on the fleet's: from {card.threshold:.4g} of a "
            f"node without a past to {card.participant_threshold:.4g} of one with a long one"
        ),
    ]
    if known.n_flagged > MOSTLY * n_rows:
        notes.append(
            "most rows are flagged: it is faulty, or unlike the fleet's nodes (another role, other hardware); in the "
            "second case only a model of its own will do"
        )
    notes.append(
        f"next: add its table to the fleet {dataset!r} and run the pipeline again; from about a day of rows on, a "
        "model of its own is better"
    )
    return notes


def _what_it_lacks(columns: Sequence[str | None], muted: np.ndarray, rules: RowRules) -> list[str]:
    absent, n_wanted = _absent(columns, muted, rules)
    return (
        [f"{len(absent)} of the fleet's {n_wanted} features are not in its table and left out: {some(absent, 6)}"]
        if absent
        else []
    )
