"""Alarms of an experiment know no later row: every rule, smoothed and not."""

from dataclasses import replace

import numpy as np
import pytest

from ftl.data.fleet import Fleet, read_fleet
from ftl.detection import THRESHOLDS, TRAILING, DetectionSettings
from ftl.experiment.alarms import Judged, judged
from ftl.experiment.scored import ScoredNode, read_scored

CUTS = (1, 20, 40)


@pytest.fixture(scope="module")
def fleet(whole_run) -> Fleet:
    return replace(read_fleet(whole_run.out / "stages" / "fleet"), window_seconds=900.0)


@pytest.fixture(scope="module")
def scored(whole_run) -> list[ScoredNode]:
    unit = whole_run.out / "stages" / "transfer" / "unsupervised-seed0"
    return [node for node in read_scored(unit) if node.draw == 0 and node.policy == "top_n"]


def alarms(fleet: Fleet, scored: list[ScoredNode], rule: str, half_life: float) -> list[Judged]:
    settings = DetectionSettings(threshold=rule, smoothing_half_life=half_life, percentile=90.0, trailing_days=0.5)
    return list(judged(fleet, lambda: scored, settings))


@pytest.mark.parametrize("half_life", [0.0, 3.0])
@pytest.mark.parametrize("rule", THRESHOLDS)
def test_later_rows_change_no_earlier_score_threshold_or_alarm(fleet, scored, rule: str, half_life: float) -> None:
    plain = alarms(fleet, scored, rule, half_life)
    for cut in CUTS:
        wild = [replace(one, scores=np.r_[one.scores[:cut], 50 * one.scores[cut:] + 1]) for one in scored]
        for one, other in zip(plain, alarms(fleet, wild, rule, half_life), strict=True):
            np.testing.assert_array_equal(other.scores[:cut], one.scores[:cut])
            np.testing.assert_array_equal(other.thresholds[: cut + 1], one.thresholds[: cut + 1])
            np.testing.assert_array_equal(other.flagged[:cut], one.flagged[:cut])
            assert not np.array_equal(other.scores[cut:], one.scores[cut:])
            assert other.floor == one.floor
    assert any(np.ndim(one.threshold) for one in plain) == (rule in TRAILING)


@pytest.mark.parametrize("rule", sorted(TRAILING))
def test_thresholds_follow_the_scores_above_their_floor(fleet, scored, rule: str) -> None:
    for one in alarms(fleet, scored, rule, 0.0):
        assert (one.thresholds >= one.floor).all()
        wild = replace(one.scored, scores=one.scored.scores * 50)
        (other,) = alarms(fleet, [wild], "trailing", 0.0)
        assert other.thresholds[-1] > one.thresholds[-1]
