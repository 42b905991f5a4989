"""Does a node's telemetry drift while it is normal? A test on its train rows alone, without labels."""

from __future__ import annotations

import math

import numpy as np

from ftl.data.scaling import signed_log1p

MIN_ROWS = 600  # of the train part: below, chance alone often puts 6 % of a tail above a threshold for 2 %
FLOOR = 1e-4  # variance that is added to each feature's own, in squared units of its range; as detection.variance_floor
MOST = 1e4  # of one feature's part of a row's score: beyond hundred standard deviations, farther says no more
EXPLAINED = 0.95  # share of the variance that the directions in which a node usually moves hold
ROWS_PER_DIRECTION = 25  # of the rows that they are found on
MOST_FEATURES = 512  # that are looked at, evenly spaced; the time grows with their square
MOST_ROWS = 20_000  # likewise, about: no more are needed for a share, and memory stays small


def drift_share(x: np.ndarray, percentile: float = 98.0, head: float = 0.7) -> float:
    """Share of a node's later train rows that a threshold found on its earlier ones would call anomalous.

    Of the head, every other row fits two scores and the rows between them set the thresholds, a percentile of their
    scores. One score is how far a row lies along the few linear directions in which the node usually moves, the other
    how far off them: much drift is small beside a day's ups and downs, and shows where metrics stop going together.
    Both are squared, in units of what is usual there, and averaged over directions or features; the larger of the two
    shares counts. Features are measured in the range of their head rows, so that units play no part.

    What makes it hold up: rows that the score was not fitted on set the threshold, so that noise does not fire however
    many the features; these lie between the others in time, so that what wanders within the head does not widen the
    threshold either. A feature that is constant on the head has no scale and is left out: a new value tells of an event
    or of a new configuration, and how far it moved cannot be said. One feature that leaves its range altogether counts
    at most MOST. The head is the greater part, since to one shorter than the node's cycle (a day, a week) the rest of
    the cycle looks like drift. With fewer than MIN_ROWS rows, or no feature that varies, nothing can be said: NaN.

    What it does not see: a drift that begins after the train part, and one that a threshold on the scores would not
    meet, such as a ramp that is slow beside rare, large excursions of the head.

    Args:
        x: Train rows in time order, shape (T, F); anomalies may be among them, missing values may not.
        percentile: Of the head's scores, that is the threshold.
        head: Share of the rows that score and threshold are found on.

    Returns:
        In [0, 1], or NaN where it cannot be told; (100 - percentile) / 100 is what no drift gives.
    """
    x = x[:: -(-len(x) // MOST_ROWS) or 1]
    n_head = int(len(x) * head)
    if len(x) < MIN_ROWS or not 0 < n_head < len(x):
        return math.nan
    values = _in_range_of_head(x, n_head)
    if not values.shape[1]:
        return math.nan
    between = slice(1, n_head, 2)
    scores = _scores(values, values[:n_head:2])
    return float(max((score[n_head:] > np.percentile(score[between], percentile)).mean() for score in scores))


def drifts(share: float, limit: float = 0.06) -> bool:
    """Whether a node's drift share says that it drifts; not where it cannot be told (NaN)."""
    return share > limit


def node_drift(train: np.ndarray, time: np.ndarray, signed_log: np.ndarray, window: float | None) -> float:
    """The drift share of a node that is to be prepared (:func:`drift_share`).

    Args:
        train: Its train rows in the units of the source, shape (T, F), changed by this; indicators are not among them.
        time: Of the rows, shape (T,).
        signed_log: Features that scaling reads through a signed logarithm, bool (F,); so does the test.
        window: How far back re-basing would look, in units of time, where it is known. Train rows that span less than
            two windows cannot tell drift from a cycle, and re-basing would leave little of them: NaN.
    """
    if window is not None and (not len(time) or time[-1] - time[0] < 2 * window):
        return math.nan
    train[:, signed_log] = signed_log1p(train[:, signed_log])
    return drift_share(train)


def _in_range_of_head(x: np.ndarray, n_head: int) -> np.ndarray:
    """The features that vary on the head, at most MOST_FEATURES, in the range of their head rows, float64."""
    low, high = x[:n_head].min(axis=0), x[:n_head].max(axis=0)
    varying = np.flatnonzero(high > low)
    if len(varying) > MOST_FEATURES:
        varying = varying[np.linspace(0, len(varying) - 1, MOST_FEATURES).astype(np.int64)]
    low, high = low[varying].astype(np.float64), high[varying].astype(np.float64)
    values: np.ndarray = (x[:, varying] - low) / (high - low)
    return values


def _scores(values: np.ndarray, fitted_on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each row lies off the usual directions, and how far along them, two scores of shape (T,)."""
    mean = fitted_on.mean(axis=0)
    deviation = fitted_on - mean
    variance, directions = np.linalg.eigh(deviation.T @ deviation / len(deviation))  # ascending
    share = np.cumsum(variance[::-1].clip(0)) / max(float(variance.clip(0).sum()), 1e-300)
    n_usual = min(int(np.searchsorted(share, EXPLAINED)) + 1, len(fitted_on) // ROWS_PER_DIRECTION)
    usual = directions[:, directions.shape[1] - n_usual :]
    scale = (deviation - deviation @ usual @ usual.T).var(axis=0) + FLOOR
    rest = values - mean
    along = rest @ usual
    rest -= along @ usual.T
    return (
        np.minimum(rest**2 / scale, MOST).mean(axis=1),
        np.minimum(along**2 / (variance[variance.size - n_usual :] + FLOOR), MOST).mean(axis=1),
    )
