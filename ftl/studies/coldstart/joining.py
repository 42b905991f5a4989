"""A node that joins: it has so many hours of history, and nothing else of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftl.studies.telemetry import NodeTelemetry

LEAST_ROWS = 2
"""Of a history; with fewer there is nothing to fit a scale or a model to."""

REHEARSED_ROWS = 2000
"""Rows at the end of a participant's history that it rehearses on."""


@dataclass(frozen=True)
class Joining:
    """A node at some length of its history.

    Attributes:
        hours: Length of the history, None for all of it.
        n_rows: Rows in it.
        rehearsal: A participant plays this part, to tell the cohort what to expect of a newcomer: it is judged on the
            rest of its own history.
    """

    node: NodeTelemetry
    hours: float | None
    n_rows: int
    rehearsal: bool = False

    @property
    def history(self) -> np.ndarray:
        return self.node.history[: self.n_rows]

    @property
    def history_time(self) -> np.ndarray:
        return self.node.history_time[: self.n_rows]

    @property
    def judged(self) -> np.ndarray:
        """The rows that scores are asked for, (T, F): the test part, or in a rehearsal the history's last rows."""
        return self.node.history[self._rest :] if self.rehearsal else self.node.test

    @property
    def judged_time(self) -> np.ndarray:
        return self.node.history_time[self._rest :] if self.rehearsal else self.node.test_time

    @property
    def _rest(self) -> int:
        return max(self.n_rows, len(self.node.history) - REHEARSED_ROWS)


def joining_targets(nodes: Sequence[NodeTelemetry], hours: Sequence[float], units_per_hour: float) -> list[Joining]:
    """Every node at every length of history that is shorter than its own, and at its own."""
    joining = []
    for node in nodes:
        for length in sorted(hours):
            n_rows = node.first(length * units_per_hour)
            if LEAST_ROWS <= n_rows < len(node.history):
                joining.append(Joining(node, length, n_rows))
        joining.append(Joining(node, None, len(node.history)))
    return joining


def rehearsals(nodes: Sequence[NodeTelemetry], hours: Sequence[float], units_per_hour: float) -> list[Joining]:
    """Every participant at every length of history that is at most half of its own."""
    return [
        Joining(node, length, n_rows, rehearsal=True)
        for node in nodes
        for length in sorted(hours)
        if LEAST_ROWS <= (n_rows := node.first(length * units_per_hour)) <= len(node.history) // 2
    ]
