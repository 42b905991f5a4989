"""A node that has just joined: scored from its first row by what the fleet shares, and by its own rows as they come.

The detector is the fleet's PCA in the fleet's scale. Its residuals are measured by the fleet's residual variances, to
which those of the node's own rows are added one by one, and the threshold goes from what a newcomer's scores reach to
what those of a node with a long history reach. All of this looks back only: a row is scored and judged by the rows
before it. Rows that are flagged teach nothing: their residuals do not count, so that a fault which is there from the
first row on never becomes normal.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from ftl.data.alignment import ALIGNMENTS
from ftl.detection.smoothing import GAP_WINDOWS
from ftl.sharing import FleetScale, ResidualSums, shrunk_variance

PSEUDO_ROWS = 300.0
"""Rows of a node's own that weigh as much as all that the fleet says of residual variances and thresholds."""

MOST_SCORES = 2000
"""Of the rows before, that a newcomer's own percentile is taken of; by then the node should have a model of its own."""

_LEAST_WEIGHT = 1e-6  # of a component, in the features that are there; below, nothing of it is seen

ARRAYS = ("low", "span", "mean", "components", "variance", "muted")


@dataclass(frozen=True)
class NewcomerCard:
    """How newcomers are scored, beside the arrays.

    Attributes:
        n_nodes: Nodes whose rows stand behind it.
        percentile: Of normal scores, that thresholds are.
        threshold: Of scores that know no variance but the fleet's: the median over nodes of this percentile.
        participant_threshold: The same of scores that know the node's own variances too.
        pseudo_rows: See PSEUDO_ROWS.
        spacing: Usual time between two rows of a node, in units of time.
        is_rebased: Whether rows are read as the distance to their trailing median, as on most nodes of the fleet.
        alignment: The rule by which a table's columns are named as the fleet names them, a key of ALIGNMENTS.
    """

    n_nodes: int
    percentile: float
    threshold: float
    participant_threshold: float
    pseudo_rows: float
    spacing: float
    is_rebased: bool
    alignment: str

    def __post_init__(self) -> None:
        if not (0 < self.percentile <= 100 and self.pseudo_rows > 0 and self.spacing > 0 and self.n_nodes > 0):
            raise ValueError(f"newcomer: percentile must be in (0, 100], the counts and spacing positive; got {self!r}")
        if not (math.isfinite(self.threshold) and math.isfinite(self.participant_threshold)):
            raise ValueError(f"newcomer: thresholds must be finite; got {self!r}")
        if self.alignment not in ALIGNMENTS:
            raise ValueError(f"newcomer.alignment: unknown {self.alignment!r}; known: {', '.join(ALIGNMENTS)}")

    def threshold_after(self, n_rows: int, own: list[float]) -> float:
        """The threshold of a node.

        Args:
            n_rows: Rows of it whose residuals count.
            own: The scores of the rows before, ascending, none above `threshold`.
        """
        fleet = self._shrunk(n_rows, self.participant_threshold, self.threshold)
        return self._shrunk(len(own), _percentile(own, self.percentile), fleet) if own else fleet

    def _shrunk(self, n_rows: int, own: float, fleet: float) -> float:
        return (n_rows * own + self.pseudo_rows * fleet) / (n_rows + self.pseudo_rows)


def _percentile(ascending: list[float], percentile: float) -> float:
    """As numpy interpolates it."""
    place = (len(ascending) - 1) * percentile / 100.0
    below = ascending[int(place)]
    above = ascending[min(int(place) + 1, len(ascending) - 1)]
    return below + (above - below) * (place - int(place))


@dataclass(frozen=True)
class KnownRows:
    """What is known of a newcomer.

    Attributes:
        sums: Of the residuals of its rows that were not flagged, (F,) each, around 0 (:func:`around_zero`).
        n_flagged: Rows that were flagged.
        scores: Of its last rows in time order, at most MOST_SCORES, none above a newcomer's threshold.
        columns: Of its table, per feature; None for those that it lacks.
        smoothed: Time and smoothed score of the last row that has a score; None before the first.
    """

    sums: ResidualSums
    n_flagged: int = 0
    scores: tuple[float, ...] = ()
    smoothed: tuple[int, float] | None = None
    columns: tuple[str | None, ...] = ()


def nothing_known(columns: tuple[str | None, ...], n_features: int) -> KnownRows:
    """Before a newcomer's first row."""
    return KnownRows(ResidualSums(0, np.zeros(n_features), np.zeros(n_features)), columns=columns)


@dataclass(frozen=True)
class NewcomerScores:
    """Scores of T rows of a newcomer.

    Attributes:
        score, threshold: Of each row, shape (T,).
        next_threshold: Of the row that follows.
        parts: Per row that is explained, its number and what each feature contributed to its score, (F,).
        known: For the rows that follow.
    """

    score: np.ndarray
    threshold: np.ndarray
    next_threshold: float
    parts: list[tuple[int, np.ndarray]]
    known: KnownRows


@dataclass(frozen=True)
class Newcomer:
    """The fleet's own detector, for nodes of which little or nothing is known.

    Attributes:
        low, span: Of the fleet's scale, (F,) float64, in the units before any scale: transformed, re-based; span > 0.
        mean, components: The fleet's PCA in that scale, (F,) and (F, L) float64.
        variance: Residual variance of each feature around 0, the median over nodes whose rows are not in the PCA, (F,)
            float64; the floor is not in it.
        muted: Features that say nothing on any node, (F,) bool.
    """

    card: NewcomerCard
    low: np.ndarray
    span: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    muted: np.ndarray

    def __post_init__(self) -> None:
        n_features = len(self.low)
        for name in ARRAYS:
            array = getattr(self, name)
            shape = (n_features, array.shape[-1]) if name == "components" else (n_features,)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name!r} must be finite and of shape {shape}; got the shape {array.shape}")
        if not (self.span > 0).all() or (self.variance < 0).any() or self.muted.dtype != bool:
            raise ValueError("'span' must be positive, 'variance' 0 or more, and 'muted' bool")

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in ARRAYS}

    def scaled(self, measured: np.ndarray, clip_low: float, clip_high: float) -> np.ndarray:
        """Rows (T, F) before any scale, as the PCA reads them, float32."""
        return FleetScale(self.low, self.span, clip_low, clip_high)(measured)

    def residual(self, x: np.ndarray, muted: np.ndarray) -> np.ndarray:
        """What the fleet's components leave over of rows (T, F), 0 for muted features.

        Each row is multiplied by itself, so that its residual is the same whichever rows stand beside it.

        Args:
            muted: Features that say nothing on the node, bool (F,).
        """
        basis = np.ascontiguousarray(seen_of(self.components, muted))
        centred = x - self.mean
        centred[:, muted] = 0.0
        within = np.matmul(centred[:, None, :], basis)  # (T, 1, L)
        residual: np.ndarray = centred - np.matmul(within, np.ascontiguousarray(basis.T))[:, 0]
        return residual

    def scores(
        self,
        residual: np.ndarray,
        time: np.ndarray,
        n_held: np.ndarray,
        variance_floor: float,
        half_life: float,
        known: KnownRows,
        explain_all: bool = False,
    ) -> NewcomerScores:
        """Score rows one after the other, each by what the rows before it have told.

        Args:
            residual: Shape (T, F), in time order.
            time: Of the rows, shape (T,).
            n_held: Per row, the number of features that are not muted, of which the score is the mean, shape (T,).
            variance_floor: Added to variances.
            half_life: Of the causal mean over scores, in rows; 0 is none.
            known: What earlier rows left.
            explain_all: Keep the contributions of every row, not only of those that are flagged.
        """
        own, smoothed, n_flagged = known.sums, known.smoothed, known.n_flagged
        recent, ascending = deque(known.scores), sorted(known.scores)
        parts = []
        score, threshold = np.empty((2, len(residual)))
        for row, (values, when, held) in enumerate(zip(residual, time.tolist(), n_held.tolist(), strict=True)):
            variance = shrunk_variance(own, self.variance, self.card.pseudo_rows) + variance_floor
            squares = np.square(values)
            contributed = squares / variance
            smoothed = self._smoothed(float(contributed.sum()) / held, when, half_life, smoothed)
            score[row], threshold[row] = smoothed[1], self.card.threshold_after(own.n_rows, ascending)
            flagged = bool(score[row] > threshold[row])
            if flagged:
                n_flagged += 1
            else:
                own = ResidualSums(own.n_rows + 1, own.total, own.squares + squares)  # around 0
            if flagged or explain_all:
                parts.append((row, contributed))
            recent.append(min(float(score[row]), self.card.threshold))
            insort(ascending, recent[-1])
            if len(recent) > MOST_SCORES:
                del ascending[bisect_left(ascending, recent.popleft())]
        left = replace(known, sums=own, n_flagged=n_flagged, scores=tuple(recent), smoothed=smoothed)
        return NewcomerScores(score, threshold, self.card.threshold_after(own.n_rows, ascending), parts, left)

    def _smoothed(self, raw: float, when: int, half_life: float, before: tuple[int, float] | None) -> tuple[int, float]:
        """The causal mean of :func:`ftl.detection.smoothing.smooth`, one row on."""
        if half_life <= 0 or before is None or when - before[0] > GAP_WINDOWS * self.card.spacing:
            return when, raw
        keep = 2.0 ** (-1.0 / half_life)
        return when, keep * before[1] + (1.0 - keep) * raw


def seen_of(components: np.ndarray, muted: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what a node shows of the components, (F, L) -> (F, at most L), 0 for muted features.

    Rows are then explained by the features that are there, as well as these can be, and the others are not guessed.
    """
    if not components[muted].any():
        return components
    left, weight, _ = np.linalg.svd(np.where(muted[:, None], 0.0, components), full_matrices=False)
    basis: np.ndarray = left[:, weight > _LEAST_WEIGHT]
    basis[muted] = 0.0
    return basis


def around_zero(sums: ResidualSums) -> ResidualSums:
    """The same sums with variances around 0: what a node is always off by is usual on it, as its noise is."""
    return ResidualSums(sums.n_rows, 0.0 * sums.total, sums.squares)
