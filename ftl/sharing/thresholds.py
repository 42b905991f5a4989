"""One threshold for the fleet from the thresholds that its nodes would set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ftl.sharing.sizes import NUMBER_BYTES


@dataclass(frozen=True)
class ThresholdReport:
    """What a node sends: the threshold that it would set on its own, and the number of scores that it was set on."""

    n_rows: int
    value: float

    @property
    def n_bytes(self) -> int:
        return 2 * NUMBER_BYTES


def fleet_threshold(reports: Iterable[ThresholdReport]) -> float:
    """The median over nodes, a node weighing the same however many rows it has.

    Nodes without a score have no say, nor have those whose value is NaN.

    Raises:
        ValueError: If nobody has a threshold.
    """
    values = [report.value for report in reports if report.n_rows > 0 and not math.isnan(report.value)]
    if not values:
        raise ValueError("fleet_threshold needs the threshold of at least one node that has scores")
    return float(np.median(values))
