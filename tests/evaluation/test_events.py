from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.evaluation.events import alarm_episodes, alarms_per_node_day, detection_delay, event_recall, runs


def bits(text: str) -> np.ndarray:
    return np.array([character == "1" for character in text])


@given(st.lists(st.booleans(), max_size=30))
def test_runs_rebuild_the_mask(mask):
    mask = np.array(mask, dtype=bool)
    starts, ends = runs(mask)
    rebuilt = np.zeros(len(mask), dtype=bool)
    for start, end in zip(starts, ends, strict=True):
        rebuilt[start:end] = True
    assert (rebuilt == mask).all()
    assert (starts < ends).all()
    assert (starts[1:] > ends[:-1]).all()  # maximal: no two runs touch


@pytest.mark.parametrize(
    ("flagged", "label", "recall", "delay"),
    [
        ("0000000000", "0110011100", 0.0, None),
        ("0110011100", "0110011100", 1.0, 0.0),
        ("0010000000", "0110011100", 0.5, 1.0),
        ("0010000100", "0110011100", 1.0, 1.5),
        ("1001100011", "0110011100", 0.0, None),  # beside the events does not count
        ("0000000001", "1000000001", 0.5, 0.0),  # events at both ends
    ],
)
def test_events_found_and_how_late(flagged, label, recall, delay):
    flagged, label = bits(flagged), bits(label).astype(np.int8)
    assert event_recall(flagged, label) == recall
    found = detection_delay(flagged, label)
    assert isnan(found) if delay is None else found == delay


def test_without_events_recall_and_delay_are_undefined():
    assert isnan(event_recall(bits("0100"), np.zeros(4, np.int8)))
    assert isnan(detection_delay(bits("0100"), np.zeros(4, np.int8)))


def test_an_alarm_that_lasts_is_one_episode():
    assert alarm_episodes(bits("0111011001")) == 3


def test_alarms_per_day_of_windows_of_a_quarter_hour():
    flagged = np.zeros(192, dtype=bool)  # 192 windows of 15 min = 2 days
    flagged[[3, 4, 5, 50, 100]] = True
    assert alarms_per_node_day(flagged, np.arange(192) * 900, 1.0) == 1.5
    assert alarms_per_node_day(flagged, np.arange(192), 900.0) == 1.5


def test_one_long_gap_does_not_count_as_observed_time():
    flagged = np.zeros(96, dtype=bool)
    flagged[0] = True
    time = np.arange(96) * 900
    time[48:] += 30 * 86_400
    assert alarms_per_node_day(flagged, time, 1.0) == 1.0


@pytest.mark.parametrize(("time", "unit"), [([0, 1, 2], None), ([0], 1.0), ([], 1.0), ([5, 5, 5], 1.0)])
def test_the_alarm_rate_is_undefined_where_the_length_of_a_row_is_unknown(time, unit):
    assert isnan(alarms_per_node_day(np.zeros(len(time), dtype=bool), np.array(time, dtype=np.int64), unit))
