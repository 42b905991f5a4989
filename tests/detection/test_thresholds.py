from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ftl.detection import (
    NEEDS_FLEET,
    PROTOCOL_THRESHOLDS,
    THRESHOLDS,
    CalibrationScores,
    DetectionSettings,
    FleetScores,
    ScoreSums,
    threshold_for,
)
from ftl.errors import ConfigError, UserError

RULES = pytest.mark.parametrize("rule", THRESHOLDS.values(), ids=THRESHOLDS)
LEARNING = {name: rule for name, rule in THRESHOLDS.items() if name != "fixed"}
LEARNING_RULES = pytest.mark.parametrize("rule", LEARNING.values(), ids=LEARNING)
HOUR = 3600.0

finite_scores = arrays.arrays(
    np.float32, st.integers(1, 60), elements=st.floats(0, width=32, allow_nan=False, allow_infinity=False)
)


def hourly(score, held_out=None, **more):
    """Scores an hour apart; the last tenth is held out unless told otherwise."""
    score = np.asarray(score, np.float64)
    if held_out is None:
        held_out = np.arange(len(score)) >= 0.9 * len(score)
    return CalibrationScores(score, np.asarray(held_out), np.arange(len(score)), HOUR, **more)


@st.composite
def calibrations(draw):
    score = draw(finite_scores)
    held_out = draw(arrays.arrays(bool, len(score)))
    anomalous = draw(st.one_of(st.just(np.zeros(0)), finite_scores))
    return hourly(score, held_out, anomalous=anomalous)


@RULES
@given(calibration=calibrations())
def test_any_finite_scores_give_a_finite_threshold(rule, calibration):
    threshold = rule(calibration, DetectionSettings())
    assert isinstance(threshold, float)
    assert np.isfinite(threshold)


@LEARNING_RULES
@given(calibration=calibrations())
def test_no_rule_flags_every_row_where_there_is_no_anomaly(rule, calibration):
    without = replace(calibration, anomalous=np.zeros(0))
    threshold = rule(without, DetectionSettings(alarms_per_node_day=1000.0))
    looked_at = without.score[without.held_out] if rule is THRESHOLDS["alarm_budget"] else without.score
    assert not np.all(without.score > threshold)
    assert not len(looked_at) or not np.all(looked_at > threshold)


@LEARNING_RULES
@given(value=st.floats(0, 1e30), n=st.integers(1, 40))
def test_equal_scores_are_not_flagged(rule, value, n):
    calibration = hourly(np.full(n, value))
    assert not np.any(calibration.score > rule(calibration, DetectionSettings()))


@RULES
def test_scores_that_are_not_finite_do_not_count(rule):
    score = np.random.default_rng(0).lognormal(size=400)
    spoilt = np.insert(score, [0, 50, 400], [np.nan, np.inf, -np.inf])
    held_out = np.arange(400) >= 300
    time = np.arange(400)
    clean = CalibrationScores(score, held_out, time, HOUR)
    other = CalibrationScores(
        spoilt, np.insert(held_out, [0, 50, 400], True), np.insert(time, [0, 50, 400], [0, 50, 399]), HOUR
    )
    settings = DetectionSettings(alarms_per_node_day=1.0)
    assert rule(other, settings) == pytest.approx(rule(clean, settings), rel=1e-12)


@LEARNING_RULES
@pytest.mark.parametrize("scores", [[], [np.nan, np.inf]], ids=["none", "none finite"])
def test_a_rule_that_needs_scores_refuses_to_go_without(rule, scores):
    with pytest.raises(UserError, match="at least one finite training score"):
        rule(hourly(scores), DetectionSettings())


@pytest.mark.parametrize("name", ["percentile", "pot"])
def test_a_promised_rate_is_kept_on_exchangeable_rows(name):
    train, test = np.random.default_rng(0).lognormal(size=(2, 20_000))
    settings = DetectionSettings(pot_risk=0.002, percentile=99.8, pot_level=95)
    assert np.mean(test > THRESHOLDS[name](hourly(train), settings)) == pytest.approx(0.002, abs=0.001)


def test_the_98th_percentile_flags_two_percent_of_exchangeable_rows():
    train, test = np.random.default_rng(0).lognormal(size=(2, 20_000))
    flagged = np.mean(test > THRESHOLDS["percentile"](hourly(train), DetectionSettings()))
    assert flagged == pytest.approx(0.02, abs=0.004)


def test_the_percentile_is_a_setting():
    assert THRESHOLDS["percentile"](hourly(np.arange(101.0)), DetectionSettings(percentile=90)) == 90.0


def test_fixed_ignores_the_scores():
    assert THRESHOLDS["fixed"](hourly([]), DetectionSettings(fixed_threshold=0.3)) == 0.3


def test_fixed_on_scaled_flags_what_exceeds_one_half_after_scaling_by_the_training_range():
    train, test = np.array([2.0, 3.0, 6.0]), np.array([3.9, 4.1, 9.0])
    scaled = (test - 2.0) / 4.0
    np.testing.assert_array_equal(
        test > THRESHOLDS["fixed_on_scaled"](hourly(train), DetectionSettings()), scaled > 0.5
    )


# conformal


@pytest.mark.parametrize(("n", "rank"), [(49, 49), (99, 98), (100, 99), (149, 147)])
def test_conformal_takes_the_rank_that_counts_the_new_row_too(n, rank):
    held_out = np.random.default_rng(n).permutation(n) + 1.0
    score = np.concatenate([np.full(30, 1000.0), held_out])
    calibration = hourly(score, np.arange(len(score)) >= 30)
    assert THRESHOLDS["conformal"](calibration, DetectionSettings()) == rank


def test_conformal_keeps_its_rate_over_many_small_samples_where_the_percentile_does_not():
    settings = DetectionSettings(conformal_alpha=0.1, percentile=90)
    rates = {"conformal": [], "percentile": []}
    for scores in np.random.default_rng(1).lognormal(size=(2000, 13)):
        calibration = hourly(scores[:12], np.ones(12, bool))
        for name, flags in rates.items():
            flags.append(scores[12] > THRESHOLDS[name](calibration, settings))
    assert np.mean(rates["conformal"]) <= 0.1
    assert np.mean(rates["percentile"]) > 0.12


@pytest.mark.parametrize("n_held_out", [0, 1, 48])
def test_conformal_with_too_few_held_out_rows_takes_the_largest_score_of_all(n_held_out):
    score = np.concatenate([[7.0], np.linspace(0, 5, 60)])
    calibration = hourly(score, np.arange(61) >= 61 - n_held_out)
    assert THRESHOLDS["conformal"](calibration, DetectionSettings()) == 7.0


# over the fleet


def heard(*percentiles):
    return FleetScores(ScoreSums(0, np.nan, 0.0), ScoreSums(0, np.nan, 0.0), percentiles)


@pytest.mark.parametrize(("fleet", "expected"), [((1.0, 200.0, 120.0), 120.0), ((1.0, 2.0, 120.0), 98.0), ((), 98.0)])
def test_the_fleets_median_holds_where_it_is_above_the_nodes_own_percentile(fleet, expected):
    calibration = hourly(np.arange(101.0), fleet=heard(*fleet))
    assert THRESHOLDS["fleet_percentile"](calibration, DetectionSettings()) == expected


def test_a_node_without_a_score_gets_the_fleets_percentile():
    calibration = hourly([np.nan], fleet=heard(3.0, 5.0))
    assert THRESHOLDS["fleet_percentile"](calibration, DetectionSettings()) == 4.0


@given(nodes=st.lists(finite_scores, min_size=1, max_size=6))
def test_the_fleets_percentile_is_the_same_from_what_nodes_send_as_from_their_scores(nodes):
    settings = DetectionSettings(percentile=90)
    sent = [hourly(score).sums(settings.percentile) for score in nodes]
    told = replace(hourly(nodes[0]), fleet=sum(sent[1:], sent[0]))
    own = [np.percentile(score.astype(float), 90) for score in nodes]
    assert THRESHOLDS["fleet_percentile"](told, settings) == max(own[0], float(np.median(own)))


# which rule


@pytest.mark.parametrize(
    ("protocol", "paradigm", "name"),
    [
        ("rigorous", "unsupervised", "percentile"),
        ("rigorous", "semi_supervised", "percentile"),
        ("rigorous", "supervised", "fixed"),
        ("paper", "unsupervised", "fixed"),
        ("paper", "semi_supervised", "percentile"),
        ("paper", "supervised", "fixed"),
    ],
)
def test_a_protocol_chooses_the_threshold_of_each_paradigm(protocol, paradigm, name):
    assert threshold_for(protocol, paradigm, DetectionSettings()) is THRESHOLDS[name]


def test_every_choice_of_a_protocol_and_every_rule_over_the_fleet_is_a_known_threshold():
    chosen = {name for names in PROTOCOL_THRESHOLDS.values() for name in names.values()}
    assert chosen | NEEDS_FLEET <= set(THRESHOLDS)


def test_a_named_threshold_overrules_the_protocol():
    settings = DetectionSettings(threshold="fixed_on_scaled")
    assert threshold_for("paper", "supervised", settings) is THRESHOLDS["fixed_on_scaled"]


@pytest.mark.parametrize(("protocol", "paradigm"), [("strict", "supervised"), ("paper", "self_supervised")])
def test_an_unknown_protocol_or_paradigm_is_named(protocol, paradigm):
    with pytest.raises(ConfigError, match="unknown '(strict|self_supervised)'; known: "):
        threshold_for(protocol, paradigm, DetectionSettings())
