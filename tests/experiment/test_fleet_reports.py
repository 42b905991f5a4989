"""Who speaks to whom where a threshold looks over the fleet."""

import numpy as np
import pytest

from ftl.detection import CalibrationScores, DetectionSettings
from ftl.experiment.fleet_reports import FleetReports, heard, speaks
from ftl.experiment.scored import ScoredNode

NONE = np.zeros(0)


def node(arm: str, role: str | None, number: int, policy: str | None = "top_n", draw: int | None = 0) -> ScoredNode:
    n = None if policy is None else 2
    return ScoredNode("unsupervised", 0, arm, policy, n, draw, role, number, NONE, NONE, NONE, 0, 0, 0.0)


def reports(*nodes: tuple[ScoredNode, float]) -> FleetReports:
    found = FleetReports(DetectionSettings())
    for scored, score in nodes:
        found.add(scored, CalibrationScores.plain(np.full(9, score)))
    return found


def percentiles(found: FleetReports, scored: ScoredNode) -> tuple[float, ...]:
    sent = found.heard_by(scored)
    assert sent is not None
    return sent.percentiles


COHORT = ((node("zero_shot", "participant", 0), 1.0), (node("zero_shot", "participant", 1), 2.0))
TARGETS = ((node("zero_shot", "target", 2), 30.0), (node("transfer", "target", 2), 40.0))


@pytest.mark.parametrize("arm", ["zero_shot", "transfer"])
def test_targets_hear_the_participants_of_their_cohort_and_no_other_target(arm: str) -> None:
    found = reports(*COHORT, *TARGETS, (node("zero_shot", "participant", 3, draw=1), 7.0))
    assert percentiles(found, node(arm, "target", 2)) == (1.0, 2.0)


def test_without_a_cohort_all_nodes_speak() -> None:
    found = reports(*((node("local", None, k, None, None), float(k)) for k in range(3)), *COHORT)
    assert percentiles(found, node("local", None, 1, None, None)) == (0.0, 1.0, 2.0)


def test_where_no_participant_was_scored_all_nodes_of_the_run_speak() -> None:
    assert percentiles(reports(*TARGETS), node("transfer", "target", 2)) == (40.0,)


def test_sums_are_of_the_run_alone() -> None:
    sent = reports(*COHORT, *TARGETS).heard_by(node("transfer", "target", 2))
    assert sent is not None
    assert (sent.normal.n, sent.normal.mean) == (9, 40.0)


def test_those_who_speak_to_a_target_are_known_before_their_scores_are_smoothed() -> None:
    listened_to = heard([node("transfer", "target", 2)])
    everyone = [scored for scored, _ in (*COHORT, *TARGETS)]
    assert [speaks(scored, listened_to) for scored in everyone] == [True, True, False, True]
    assert not speaks(node("zero_shot", "participant", 3, draw=1), listened_to)
