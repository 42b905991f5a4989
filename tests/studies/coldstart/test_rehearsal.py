"""Participants rehearse what a newcomer does; its thresholds are no lower than what they found."""

from dataclasses import replace

import numpy as np
import pytest

from ftl.studies.alarms import Scored
from ftl.studies.coldstart.fold import Rehearsals
from ftl.studies.coldstart.joining import REHEARSED_ROWS, Joining, joining_targets, rehearsals
from ftl.studies.coldstart.policy import Decision
from ftl.studies.coldstart.rehearsal import levels_of_own, rehearsed_levels
from ftl.studies.telemetry import NodeTelemetry

LOCAL = Decision("local", {"local": 1.0}, "on its own")


def node_of(n_history: int, n_test: int = 5) -> NodeTelemetry:
    history = np.arange(n_history, dtype=np.float32)[:, None]
    test = np.full((n_test, 1), -1, np.float32)
    times = np.arange(n_history + n_test)
    return NodeTelemetry(
        0, history, times[:n_history], test, times[n_history:], np.zeros(n_test, np.int8), np.zeros(1, bool)
    )


def test_a_target_joins_at_every_length_that_is_shorter_than_its_own_and_at_its_own() -> None:
    joining = joining_targets([node_of(100), node_of(30)], [48, 4, 24], 1.0)
    assert [(one.hours, one.n_rows) for one in joining] == [
        (4, 4),
        (24, 24),
        (48, 48),
        (None, 100),
        (4, 4),
        (24, 24),
        (None, 30),
    ]
    for one in joining:
        np.testing.assert_array_equal(one.judged, one.node.test)
        assert len(one.history) == len(one.history_time) == one.n_rows


def test_a_length_without_two_rows_is_left_out() -> None:
    assert [one.hours for one in joining_targets([node_of(100)], [1, 2], 1.0)] == [2, None]


def test_a_participant_rehearses_on_rows_behind_its_first_hours_that_are_no_test_rows() -> None:
    played = rehearsals([node_of(100), node_of(30)], [4, 24, 48], 1.0)
    assert [(len(one.node.history), one.hours) for one in played] == [(100, 4), (100, 24), (100, 48), (30, 4)]
    for one in played:
        assert one.judged[0, 0] == one.n_rows  # the next row of the history
        np.testing.assert_array_equal(one.judged, one.node.history[one.n_rows :])
        np.testing.assert_array_equal(one.judged_time, one.node.history_time[one.n_rows :])


def test_a_rehearsal_takes_the_last_rows_of_a_long_history() -> None:
    (one,) = rehearsals([node_of(REHEARSED_ROWS + 500)], [4], 1.0)
    assert len(one.judged) == REHEARSED_ROWS
    assert one.judged[-1, 0] == REHEARSED_ROWS + 499


def scored(known: float, judged: float) -> Scored:
    return Scored(np.full(10, known), np.full(20, judged))


def test_rehearsed_levels_are_medians_over_participants_of_scores_behind_the_history(alarming) -> None:
    played = [{"local": scored(1, level), "pca": scored(1, 10 * level)} for level in (2.0, 3.0, 40.0)]
    assert rehearsed_levels(played, alarming) == {"local": 3.0, "pca": 30.0}


def test_own_levels_are_of_known_rows(alarming) -> None:
    assert levels_of_own({"local": scored(7, 99)}, alarming) == {"local": 7.0}


def joined(hours: float | None) -> Joining:
    return Joining(node_of(100), hours, 4)


@pytest.mark.parametrize(("own", "expected"), [(0.5, 1.0), (6.0, 3.0)])
def test_the_policys_threshold_is_the_own_level_and_no_less_than_the_rehearsed(alarming, own, expected) -> None:
    """In units of the rehearsed level, 2."""
    played = [{"local": scored(0.1, level)} for level in (1.0, 2.0, 3.0)]
    known = Rehearsals({4.0: played}, {4.0: rehearsed_levels(played, alarming)})
    judged, threshold = known.together(joined(4.0), LOCAL, {"local": scored(own, 4.0)}, alarming)
    assert threshold == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(judged, 2.0, rtol=1e-5)


def test_where_nobody_rehearsed_the_own_level_stands(alarming) -> None:
    nobody = Rehearsals({}, {})
    judged, threshold = nobody.together(joined(None), LOCAL, {"local": scored(0.5, 4.0)}, alarming)
    assert threshold == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(judged, 8.0, rtol=1e-5)
    assert nobody.levels(joined(None), {"local": scored(0.5, 4.0)}, alarming) == {"local": 0.5}


# In the study


def test_in_the_study_thresholds_of_newcomers_are_no_lower_than_the_rehearsed(replay, like_fleet, monkeypatch) -> None:
    made: list[Rehearsals] = []
    of = Rehearsals.of.__func__

    def watched(cls, models, alarming):
        made.append(of(cls, models, alarming))
        return made[-1]

    monkeypatch.setattr(Rehearsals, "of", classmethod(watched))
    played = replay(like_fleet)
    (rehearsed,) = made
    assert set(rehearsed.of_kinds) == {4.0, 24.0}
    for hours, levels in rehearsed.of_kinds.items():
        assert len(rehearsed.by_hours[hours]) == 2  # each participant
        for node in ("n1", "n3"):
            assert played.thresholds[node, hours, "local_rehearsed"] >= levels["local_fleet"]
    own = [np.percentile(one["pca"].judged, 98) for one in rehearsed.by_hours[4.0]]
    assert rehearsed.of_kinds[4.0]["pca"] == pytest.approx(np.median(own))


def test_without_a_rehearsal_the_rehearsed_threshold_is_the_nodes_own(like_replay, replay, like_fleet) -> None:
    """A history of all the hours there are is nobody's first half."""
    for node in ("n1", "n3"):
        key = (node, None, "local_rehearsed")
        assert like_replay.thresholds[key] <= like_replay.thresholds[node, None, "local_fleet"]
    long = replay(like_fleet, hours=(60.0,))  # no participant has twice as much
    assert np.isfinite(list(long.thresholds.values())).all()
    assert {key[1] for key in long.scores} == {60.0, None}


def test_a_participant_with_too_few_rows_rehearses_nothing() -> None:
    assert rehearsals([replace(node_of(7), node=3)], [4, 24], 1.0) == []
