"""How well a score ranks anomalous rows above normal ones, at every threshold at once: AUROC, AUPRC, VUS-PR.

All three walk the same curve: thresholds at each distinct score from the highest down. It is sorted once per node
(:func:`rank`) and shared. Larger scores mean more anomalous; rows with equal scores are flagged together.
"""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from ftl.evaluation.events import runs

VUS_BUFFERS = (0, 2, 4, 8)  # windows; the largest is the L of VUS-PR


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score down; step s of the curve flags the rows order[: last[s] + 1]."""

    order: np.ndarray  # (T,) int64
    last: np.ndarray  # (S,) int64: position in `order` of the last row of each distinct score


def rank(score: np.ndarray) -> Ranking:
    """Sort score (T,) once for all metrics of this module; ties keep their order, so sums are reproducible."""
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    changes = np.flatnonzero(descending[1:] != descending[:-1])
    return Ranking(order, np.append(changes, len(score) - 1) if len(score) else changes)


def auroc(score: np.ndarray, label: np.ndarray, ranking: Ranking | None = None) -> float:
    """Probability that an anomalous row scores above a normal one, ties counting half.

    Args:
        score: (T,) float64, no NaN.
        label: (T,), 0 normal, 1 anomalous.
        ranking: ``rank(score)`` where it is at hand.

    Returns:
        A value in [0, 1], .5 for constant scores; NaN unless both kinds of rows are there.
    """
    anomalous = label == 1
    n_anomalies = int(np.count_nonzero(anomalous))
    if n_anomalies == 0 or n_anomalies == len(label):
        return nan
    tp, flagged = _curve(anomalous, ranking or rank(score))
    fp = flagged - tp
    false_steps = np.diff(fp, prepend=0)
    twice_area = int((false_steps * (2 * tp - np.diff(tp, prepend=0))).sum())  # integers: exact whatever the order
    return twice_area / (2 * n_anomalies * (len(label) - n_anomalies))


def average_precision(score: np.ndarray, label: np.ndarray, ranking: Ranking | None = None) -> float:
    """AUPRC as average precision: sum over thresholds of (recall gained) x precision, without interpolation.

    A random scorer gets the prevalence of anomalies on average. NaN without anomalies. Arguments as in :func:`auroc`.
    """
    anomalous = label == 1
    n_anomalies = int(np.count_nonzero(anomalous))
    if n_anomalies == 0:
        return nan
    tp, flagged = _curve(anomalous, ranking or rank(score))
    return float((np.diff(tp, prepend=0) * (tp / flagged)).sum() / n_anomalies)


def vus_pr(
    score: np.ndarray, label: np.ndarray, ranking: Ranking | None = None, buffers: tuple[int, ...] = VUS_BUFFERS
) -> float:
    """Volume under the precision-recall surface over buffer lengths (Paparrizos et al., PVLDB 2022).

    Labels are often a few windows off, so an alarm close to an event earns part of a hit. For a buffer of l windows,
    l // 2 on each side of an event, a row at distance d from it has the soft label sqrt(1 - d / l); inside it is 1;
    where buffers overlap the values add up to at most 1. With soft labels y, n_a anomalous rows and the rows flagged at
    a threshold,

    * precision = sum of y over flagged rows / number of flagged rows
    * recall = min(1, sum of y over flagged rows / ((n_a + sum of y) / 2)) x share of events with a flagged row in the
      event or its buffer
    * area = sum over thresholds of (recall gained) x precision, thresholds at every distinct score

    and VUS-PR is the mean area over ``buffers``. Also a perfect detector stays below 1 for l > 0 (it leaves the buffers
    unflagged), so compare VUS-PR only with VUS-PR of the same buffers.

    Note:
        The authors' code samples 250 thresholds and averages every l from 0 to L. Here every distinct score is a
        threshold, and the surface is cut at l = 0, 2, 4 and 8 windows (L = 8).

    Returns:
        A value in [0, 1]; NaN without anomalies.
    """
    starts, ends = runs(label == 1)
    if len(starts) == 0:
        return nan
    order, last = (ranking := ranking or rank(score)).order, ranking.last
    soft = _soft_labels(label, starts, ends, buffers)  # (buffers, T)
    hits = soft[:, order].cumsum(axis=1)[:, last]  # (buffers, S)
    positives = (np.count_nonzero(label == 1) + soft.sum(axis=1)) / 2
    found = _share_of_events_found(ranking, starts, ends, buffers)
    recall = np.minimum(hits / positives[:, None], 1.0) * found
    areas = (np.diff(recall, axis=1, prepend=0.0) * (hits / (last + 1))).sum(axis=1)
    return min(float(areas.mean()), 1.0)


def _curve(anomalous: np.ndarray, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """True positives and flagged rows at every step of the curve, (S,) int64 each."""
    return anomalous[ranking.order].cumsum(dtype=np.int64)[ranking.last], ranking.last + 1


def _soft_labels(label: np.ndarray, starts: np.ndarray, ends: np.ndarray, buffers: tuple[int, ...]) -> np.ndarray:
    """Labels that decay around events, one line per buffer length: (buffers, T) in [0, 1]."""
    soft = np.repeat((label == 1).astype(np.float64)[None], len(buffers), axis=0)
    for line, length in zip(soft, buffers, strict=True):
        for distance in range(1, length // 2 + 1):
            reward = sqrt(1 - distance / length)
            before, after = starts - distance, ends - 1 + distance
            line[before[before >= 0]] += reward  # starts differ, so no row is named twice
            line[after[after < len(label)]] += reward
    return np.minimum(soft, 1.0)


def _share_of_events_found(
    ranking: Ranking, starts: np.ndarray, ends: np.ndarray, buffers: tuple[int, ...]
) -> np.ndarray:
    """Share of events touched, buffer included, by the rows flagged at each step: (buffers, S)."""
    n_rows, n_steps = len(ranking.order), len(ranking.last)
    step = np.empty(n_rows + 1, dtype=np.int64)  # the step at which a row is flagged; one more entry ends the last run
    step[ranking.order] = np.searchsorted(ranking.last, np.arange(n_rows))
    step[n_rows] = n_steps
    found = np.empty((len(buffers), n_steps))
    for line, length in zip(found, buffers, strict=True):
        bounds = np.empty(2 * len(starts), dtype=np.int64)
        bounds[::2] = np.maximum(starts - length // 2, 0)
        bounds[1::2] = np.minimum(ends + length // 2, n_rows)
        first = np.minimum.reduceat(step, bounds)[::2]  # odd entries are the stretches between two events
        line[:] = np.bincount(first, minlength=n_steps).cumsum() / len(starts)
    return found
