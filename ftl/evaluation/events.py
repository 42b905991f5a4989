"""What an operator sees: events found or missed, how late, and how many alarms a node raises per day.

An event is a maximal run of anomalous rows, an alarm episode a maximal run of flagged rows; both over the rows as they
stand, in time order. Rows that the caller left out (unknown label, or the other part of a random split) do not break a
run, and delays are counted in the rows that are there.
"""

from math import nan

import numpy as np

SECONDS_PER_DAY = 86_400


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the maximal runs of True in mask (T,); run i is the rows starts[i]:ends[i]."""
    padded = np.zeros(len(mask) + 2, dtype=bool)
    padded[1:-1] = mask
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return edges[::2], edges[1::2]


def event_recall(flagged: np.ndarray, label: np.ndarray) -> float:
    """Share of events with at least one flagged row inside; NaN without an event."""
    delays = _delays(flagged, label)
    return float(np.count_nonzero(delays >= 0) / len(delays)) if len(delays) else nan


def detection_delay(flagged: np.ndarray, label: np.ndarray) -> float:
    """Rows (telemetry windows) from an event's start to its first flagged row, mean over detected events; NaN if none.

    Read it beside :func:`event_recall`: a detector that finds only easy events has a short delay.
    """
    delays = _delays(flagged, label)
    detected = delays[delays >= 0]
    return float(detected.mean()) if len(detected) else nan


def alarm_episodes(flagged: np.ndarray) -> int:
    """Number of maximal runs of consecutive flagged rows, true and false alarms alike."""
    return len(runs(flagged)[0])


def alarms_per_node_day(flagged: np.ndarray, time: np.ndarray, seconds_per_unit: float | None) -> float:
    """Alarm episodes per day of observed rows; days = rows x median time step x seconds_per_unit / 86 400.

    Args:
        flagged: (T,) bool.
        time: (T,) int64, ascending, in units of seconds_per_unit.
        seconds_per_unit: Seconds of one time unit (1 for timestamps, the window length for step numbers), None if
            unknown.

    Returns:
        Alarms per day; NaN where the length of a row is unknown or there are fewer than two rows.
    """
    if seconds_per_unit is None or len(time) < 2:
        return nan
    days = len(time) * float(np.median(time[1:] - time[:-1])) * seconds_per_unit / SECONDS_PER_DAY
    return alarm_episodes(flagged) / days if days > 0 else nan


def _delays(flagged: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Rows from each event's start to its first flagged row, -1 where the event is missed; (n_events,) int64."""
    starts, ends = runs(label == 1)
    alarms = np.append(np.flatnonzero(flagged), len(label))
    first = alarms[np.searchsorted(alarms, starts)]
    return np.where(first < ends, first - starts, -1)
