"""Labels from Nagios reports: which reports of a node speak for a window, and what their states mean.

A service check says 0 OK, 1 WARNING, 2 CRITICAL or 3 UNKNOWN; ``nagiosdrained`` says whether an operator had taken the
node out of service. The rule ``batchs::client::state`` ("the batch scheduler can place jobs on the node") is the one of
the time-aggregated release (Borghesi et al., Scientific Data 10:288, 2023). It tells availability, not health.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ftl.data.m100.layout import Part
from ftl.data.m100.metric import read_numbers
from ftl.data.m100.rows import Grid, Tally, read_rows
from ftl.data.m100.windows import Block, cut
from ftl.data.node_table import ANOMALOUS, NORMAL, UNKNOWN

DEFAULT_LABEL = "batchs::client::state"
NO_REPORT, OK, WARNING, CRITICAL, UNKNOWN_STATE = -1, 0, 1, 2, 3
WORST_FIRST = (CRITICAL, WARNING, OK, UNKNOWN_STATE, NO_REPORT)  # a known state goes before an unknown one
NO_STATE = "Nagios reports without a state left out"
STRANGE_STATE = "unknown Nagios states read as unknown"


@dataclass(frozen=True)
class LabelRule:
    """Which reports count, and where they say how the node is."""

    service: str | None = None  # the description of the reports that count; None takes those of all services
    column: str = "value"
    states: tuple[int, ...] = (OK, WARNING, CRITICAL, UNKNOWN_STATE)  # what the column's values 0, 1, .. stand for


def label_rule(name: str) -> LabelRule:
    """A rule of :data:`LABEL_RULES`, or the one that takes the reports of the service with this description."""
    return LABEL_RULES.get(name, LabelRule(service=name))


@dataclass(frozen=True)
class StateWindows:
    """The worst known state of every window of one month."""

    block: Block  # int8: OK, WARNING, CRITICAL, UNKNOWN_STATE or NO_REPORT
    n_reports: np.ndarray  # (n_nodes,) int64, of the reports that count
    services: tuple[str, ...]  # all descriptions met
    tally: Tally


def window_states(parts: Sequence[Part], grid: Grid, rule: LabelRule) -> StateWindows:
    """Reduce Nagios reports to one state per node and window: the worst known one.

    Raises:
        TelemetryError: If a part is damaged or not as the release writes it.
    """
    tally, services = Tally(len(grid.nodes)), set[str]()
    rank = np.zeros(len(grid.nodes) * grid.n_windows, np.int8)
    n_reports = np.zeros(len(grid.nodes), np.int64)
    by_rank = np.array(WORST_FIRST[::-1], np.int8)
    rank_of = {state: number for number, state in enumerate(WORST_FIRST[::-1])}
    columns = [rule.column, "description"]
    for part in parts:
        for batch in read_rows(part, grid, columns, tally):
            use = (batch.bins >= 0) & _speaks(batch.columns["description"], rule.service, services)
            value, _ = read_numbers(batch.columns[rule.column].filter(pa.array(use)), part)
            bins = batch.bins[use]
            stated = ~np.isnan(np.asarray(value, np.float64))
            tally.count(NO_STATE, bins[~stated] // grid.n_windows)
            bins, value = bins[stated], value[stated]
            ranks = np.full(len(bins), rank_of[UNKNOWN_STATE], np.int8)
            strange = np.ones(len(bins), bool)
            for code, state in enumerate(rule.states):
                ranks[value == code] = rank_of[state]
                strange &= value != code
            tally.count(STRANGE_STATE, bins[strange] // grid.n_windows)
            n_reports += np.bincount(bins // grid.n_windows, minlength=len(n_reports))
            np.maximum.at(rank, bins, ranks)
    ranks_cut = cut(rank.reshape(len(grid.nodes), grid.n_windows), rank.reshape(len(grid.nodes), -1) > 0)
    block = replace(ranks_cut, values=by_rank[ranks_cut.values])
    return StateWindows(block, n_reports, tuple(sorted(services)), tally)


def labels_of(states: np.ndarray, unknown_is_anomalous: bool = False) -> np.ndarray:
    """Labels of states, int8: OK is normal, WARNING and CRITICAL anomalous, all else unknown.

    Args:
        states: OK, WARNING, CRITICAL, UNKNOWN_STATE or NO_REPORT, any shape.
        unknown_is_anomalous: Read UNKNOWN_STATE as anomalous, as GRAAFE does (FGCS 160, 2024); a window
            without any report stays unknown.
    """
    labels = np.full(states.shape, UNKNOWN, np.int8)
    labels[states == OK] = NORMAL
    labels[(states == WARNING) | (states == CRITICAL)] = ANOMALOUS
    if unknown_is_anomalous:
        labels[states == UNKNOWN_STATE] = ANOMALOUS
    return labels


def _speaks(descriptions: pa.Array, service: str | None, services: set[str]) -> np.ndarray:
    """True for the reports of a service, shape (N,); the descriptions met are added to `services`."""
    encoded = descriptions if pa.types.is_dictionary(descriptions.type) else descriptions.dictionary_encode()
    known = encoded.dictionary.to_pylist()
    codes = encoded.indices.cast(pa.int64()).fill_null(len(known)).to_numpy()
    met = np.bincount(codes, minlength=len(known) + 1)
    services.update(str(text) for text, n in zip(known, met, strict=False) if n)
    return np.array([*(service is None or text == service for text in known), service is None])[codes]


LABEL_RULES: dict[str, LabelRule] = {
    "worst": LabelRule(),  # over all services of the node
    "nagiosdrained": LabelRule(column="nagiosdrained", states=(OK, CRITICAL)),
}
