"""Thresholds that follow a node: a percentile of its own scores in the days before each row, above a floor.

A static threshold keeps its rate of alarms only while normal rows stay what they were. Where they drift, a quantile of
the recent past keeps it; the price is that a fault which lasts becomes the recent past, and is normal then. A lag
leaves the rows just before out, so that this takes longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftl.errors import UserError

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Trailing:
    """A percentile of the scores before a row.

    Attributes:
        window: How long the stretch of them is, in units of time; positive.
        percentile: In (0, 100].
        lag: How long before the row the stretch ends, in units of time; at 0 the row before counts.
    """

    window: float
    percentile: float
    lag: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.window < math.inf and 0 < self.percentile <= 100 and 0 <= self.lag < math.inf):
            raise ValueError(f"window must be positive, percentile in (0, 100], lag 0 or more; got {self!r}")

    @classmethod
    def of_days(
        cls, days: float, percentile: float, seconds_per_unit: float | None, lag_hours: float = 0.0
    ) -> Trailing:
        """A window of so many days that ends so many hours before the row.

        Raises:
            UserError: If the length of a unit of time is not known.
        """
        if seconds_per_unit is None:
            raise UserError(
                "detection.threshold: the trailing rules look back over days, and the length of a telemetry window is "
                "not known: put window_minutes into the fleet's fleet.yaml and prepare it again, or take another "
                "threshold"
            )
        return cls(days * SECONDS_PER_DAY / seconds_per_unit, percentile, lag_hours * 3600 / seconds_per_unit)

    @property
    def reach(self) -> float:
        """Age, in units of time, of the oldest row that counts."""
        return self.window + self.lag

    @property
    def least_rows(self) -> float:
        """Rows in the window that the percentile needs, so that one of them can lie above it: 50 for the 98th.

        With fewer the floor alone holds. The 100th needs infinitely many: no sample shows what is never exceeded.
        """
        above = 100.0 - self.percentile
        return math.ceil(100.0 / above - 1e-6) if above > 0 else math.inf

    def check_spacing(self, spacing: float) -> None:
        """Refuse a window that can never hold enough rows.

        Raises:
            UserError: If rows are usually so far apart.
        """
        if self.window < self.least_rows * spacing:
            days = f"{self.window / spacing:.6g} rows"
            raise UserError(
                f"detection.trailing_days: so many days hold {days} of a node, and percentile {self.percentile:g} "
                f"needs {self.least_rows:g} to be told from the highest score: set more days, or a lower percentile"
            )

    def percentiles(self, score: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The percentile of the finite scores in [t - lag - window, t - lag) at each time t, linearly interpolated.

        Neither the row itself nor a later one counts, and a gap ages the rows before it as fast as any other time.
        O(T log W) for W rows in a window.

        Args:
            score: Of a node, shape (T,), in time order.
            time: Of these rows, shape (T,), strictly increasing.

        Returns:
            Shape (T,) float64; NaN where the window holds fewer than ``least_rows`` finite scores.

        Raises:
            ValueError: If the shapes differ, or times do not increase.
        """
        if score.shape != time.shape or score.ndim != 1:
            raise ValueError(f"score and time must have the same shape (T,); got {score.shape} and {time.shape}")
        if np.any(np.diff(time) <= 0):
            raise ValueError("time must be strictly increasing, so that no threshold knows a later score")
        if len(time) < self.least_rows:
            return np.full(len(time), np.nan)
        import pandas as pd

        finite = np.where(np.isfinite(score), score, np.nan).astype(np.float64)
        windows = pd.Series(finite).rolling(_before_each(time, self), min_periods=int(self.least_rows))
        found: np.ndarray = windows.quantile(self.percentile / 100.0).to_numpy()
        return found

    def thresholds(
        self,
        floor: float,
        score: np.ndarray,
        time: np.ndarray,
        earlier_score: np.ndarray | None = None,
        earlier_time: np.ndarray | None = None,
    ) -> np.ndarray:
        """The threshold of each row: the trailing percentile where it is above the floor, else the floor.

        Args:
            floor: What holds at least, and alone where the window holds too few rows.
            score, time: Of the rows, shape (T,), in time order; smoothed as alarms will be.
            earlier_score, earlier_time: Other rows of the node, shape (E,), that no threshold is wanted of. They count
                as far as they lie before a row, within its window; so they may also lie between the rows.
        """
        if earlier_score is None or earlier_time is None or not len(earlier_time) or not len(time):
            return np.fmax(floor, self.percentiles(score, time))
        near = (earlier_time >= time[0] - self.reach) & (earlier_time < time[-1])
        all_time = np.concatenate([earlier_time[near], time])
        order = np.argsort(all_time, kind="stable")
        found = np.empty(len(all_time))
        found[order] = self.percentiles(np.concatenate([earlier_score[near], score])[order], all_time[order])
        return np.fmax(floor, found[int(near.sum()) :])


def _before_each(time: np.ndarray, trailing: Trailing) -> Any:
    """Windows of rows, as pandas takes them, none of which holds its own row."""
    from pandas.api.indexers import BaseIndexer

    class Before(BaseIndexer):
        def get_window_bounds(
            self,
            num_values: int = 0,
            min_periods: int | None = None,
            center: bool | None = None,
            closed: str | None = None,
            step: int | None = None,
        ) -> tuple[np.ndarray, np.ndarray]:
            starts, ends = (np.searchsorted(time, time - age) for age in (trailing.reach, trailing.lag))
            return starts.astype(np.int64), ends.astype(np.int64)

    return Before()
