"""Causal smoothing of scores over time: an alarm that lasts is worth more than a single odd row.

An exponentially weighted mean with a half-life h in windows, s_t = s_{t-1} + a (x_t - s_{t-1}), a = 1 - 2^(-1/h). It
starts anew (s = x) at the first row and behind every gap in the telemetry, and never looks ahead. Scores are expected
finite: one that is not spoils the smoothed scores behind it up to the next gap.
"""

import numpy as np

GAP_WINDOWS = 4  # a step in time longer than this many spacings is a gap


def smooth(
    score: np.ndarray,
    time: np.ndarray,
    half_life: float,
    gap_windows: int = GAP_WINDOWS,
    spacing: float | None = None,
    before: tuple[int, float] | None = None,
) -> np.ndarray:
    """The causal exponentially weighted mean of a node's scores.

    Args:
        score: One score per row, shape (T,), in time order.
        time: Time of the rows, shape (T,), strictly increasing; any unit.
        half_life: Rows after which a score counts half, >= 0; 0 returns the scores unchanged.
        gap_windows: A step in time above this many spacings starts the mean anew, >= 1.
        spacing: Usual time between two rows, in units of `time`; the median of the steps in `time` where not given.
            Rows that arrive one by one need it given.
        before: Time and smoothed score of the row before these, from which the mean goes on; rows smoothed in pieces
            get the same numbers as in one go, to the last bit.

    Returns:
        Smoothed scores, shape (T,), float64.

    Raises:
        ValueError: If the shapes differ, times do not increase, an option is out of range, or a row before is given
            without the spacing.
    """
    if score.shape != time.shape or score.ndim != 1:
        raise ValueError(f"score and time must have the same shape (T,); got {score.shape} and {time.shape}")
    if not half_life >= 0 or gap_windows < 1:
        raise ValueError(f"half_life must be >= 0 and gap_windows >= 1; got {half_life!r} and {gap_windows!r}")
    if before is not None and spacing is None:
        raise ValueError("the usual spacing of rows must be given where the mean goes on from an earlier row")
    from scipy.signal import lfilter  # half a second to import, and smoothing is off by default

    smoothed = np.array(score, dtype=np.float64)
    step = np.diff(time) if before is None else np.diff(time, prepend=before[0])
    if np.any(step <= 0):
        raise ValueError("time must be strictly increasing, so that no score is smoothed with a later one")
    if half_life == 0 or len(step) == 0:
        return smoothed
    usual = float(np.median(step)) if spacing is None else spacing
    keep = 2.0 ** (-1.0 / half_life)
    anew = step > gap_windows * usual
    if before is None:
        anew = np.concatenate([[True], anew])
    segment_starts = np.unique([0, *np.flatnonzero(anew)])
    for first, last in zip(segment_starts, [*segment_starts[1:], len(smoothed)], strict=True):
        segment = smoothed[first:last]
        mean = segment[:1] if anew[first] or before is None else np.array([before[1]])
        smoothed[first:last] = lfilter([1.0 - keep], [1.0, -keep], segment, zi=keep * mean)[0]
    return smoothed


def smooth_train_test(
    train_score: np.ndarray,
    test_score: np.ndarray,
    train_time: np.ndarray,
    test_time: np.ndarray,
    half_life: float,
    gap_windows: int = GAP_WINDOWS,
) -> tuple[np.ndarray, np.ndarray]:
    """A node's training and test scores smoothed as an operator would have seen them.

    Where the test rows follow the training rows, the mean runs on from the last training row into the test (unless a
    gap lies between), and the usual spacing of rows is learned from training alone. Where the two interleave (a random
    split), each part is smoothed by itself, with its own spacing, so that no training score leaks into a test score.

    Args:
        train_score: Shape (T,), in time order; likewise `train_time`.
        test_score: Shape (T',), in time order; likewise `test_time`.
        half_life: In rows, see :func:`smooth`.
        gap_windows: See :func:`smooth`.

    Returns:
        Smoothed training scores, shape (T,), and test scores, shape (T',).
    """
    n_train = len(train_score)
    follows = n_train > 1 and len(test_score) > 0 and test_time[0] > train_time[-1]
    if not follows:
        return (
            smooth(train_score, train_time, half_life, gap_windows),
            smooth(test_score, test_time, half_life, gap_windows),
        )
    both = smooth(
        np.concatenate([train_score, test_score]),
        np.concatenate([train_time, test_time]),
        half_life,
        gap_windows,
        spacing=float(np.median(np.diff(train_time))),
    )
    return both[:n_train], both[n_train:]
