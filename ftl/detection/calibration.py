"""What a threshold may look at: scores of rows before the test part, and a few numbers that other nodes may send."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ftl.errors import UserError

_NONE = np.zeros(0)


@dataclass(frozen=True)
class ScoreSums:
    """Count, mean and sum of squared deviations of anomaly scores: what a node sends instead of the scores themselves.

    Adding up those of several nodes gives those of their pooled scores (Chan, Golub and LeVeque 1983; no difference of
    large sums of squares is taken), so that pooled and federated computation agree.
    """

    n: int
    mean: float  # NaN without a score
    squares: float

    @classmethod
    def of(cls, score: np.ndarray) -> ScoreSums:
        """The sums of the finite ones among these scores, shape (T,)."""
        finite = np.asarray(score, np.float64)
        finite = finite[np.isfinite(finite)]
        if len(finite) == 0:
            return cls(0, float("nan"), 0.0)
        mean = float(finite.mean())
        return cls(len(finite), mean, float(np.square(finite - mean).sum()))

    def __add__(self, other: ScoreSums) -> ScoreSums:
        if not self.n or not other.n:
            return other if other.n else self
        n, apart = self.n + other.n, other.mean - self.mean
        mean = self.mean + apart * (other.n / n)
        return ScoreSums(n, mean, self.squares + other.squares + apart * apart * (self.n * other.n / n))

    @property
    def std(self) -> float:
        """With ddof 0; NaN without a score."""
        return float(np.sqrt(self.squares / self.n)) if self.n else float("nan")


@dataclass(frozen=True)
class FleetScores:
    """What the nodes that run the same model have sent, added up.

    Attributes:
        normal: Sums over all nodes, of rows not labelled anomalous.
        anomalous: Sums over all nodes, of rows labelled so.
        percentiles: One number per node that speaks: a percentile of its own scores of normal rows. Nodes without a
            finite score send none.
    """

    normal: ScoreSums
    anomalous: ScoreSums
    percentiles: tuple[float, ...] = ()

    def __add__(self, other: FleetScores) -> FleetScores:
        percentiles = self.percentiles + other.percentiles
        return FleetScores(self.normal + other.normal, self.anomalous + other.anomalous, percentiles)


@dataclass(frozen=True)
class CalibrationScores:
    """A node's scores before its test part, smoothed as its alarms will be.

    Attributes:
        score: Scores of rows that are not labelled anomalous, shape (T,), in time order.
        held_out: Which of them were not trained on (the validation slice), bool, shape (T,).
        time: Their times, shape (T,), ascending.
        seconds_per_unit: Seconds of one unit of time, None where it is unknown.
        anomalous: Scores of validation rows labelled anomalous, shape (A,); often empty.
        fleet: What the fleet has sent, given only to rules that are named in NEEDS_FLEET.
    """

    score: np.ndarray
    held_out: np.ndarray
    time: np.ndarray
    seconds_per_unit: float | None = None
    anomalous: np.ndarray = field(default_factory=lambda: _NONE)
    fleet: FleetScores | None = None

    @classmethod
    def plain(cls, score: np.ndarray) -> CalibrationScores:
        """Training scores alone: one time step apart, none held out."""
        return cls(np.asarray(score), np.zeros(len(score), bool), np.arange(len(score)))

    def finite(self) -> np.ndarray:
        """The finite ones among the scores, in time order, shape (n,), n >= 1.

        Raises:
            UserError: If there is none.
        """
        finite = self.score[np.isfinite(self.score)]
        if len(finite) == 0:
            raise UserError(
                f"a threshold needs at least one finite training score; got none among {len(self.score)}: "
                "training diverged (lower the learning rate), or the node has no normal training row"
            )
        return finite

    def sums(self, percentile: float | None = None) -> FleetScores:
        """What this node sends to the others; a percentile of its scores only where one is asked for."""
        finite = self.score[np.isfinite(self.score)]
        percentiles = () if percentile is None or not len(finite) else (float(np.percentile(finite, percentile)),)
        return FleetScores(ScoreSums.of(self.score), ScoreSums.of(self.anomalous), percentiles)
