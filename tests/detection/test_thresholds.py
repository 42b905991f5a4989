import numpy as np
import pytest

from ftl.detection import PROTOCOL_THRESHOLDS, THRESHOLDS, DetectionSettings, threshold_for
from ftl.errors import ConfigError, UserError

RULES = pytest.mark.parametrize("rule", THRESHOLDS.values(), ids=THRESHOLDS)


@RULES
def test_a_threshold_is_a_finite_number_also_for_one_score_or_equal_scores(rule):
    settings = DetectionSettings()
    for scores in (np.array([0.7]), np.full(5, 2.0), np.array([np.nan, 1.0, np.inf])):
        threshold = rule(scores, settings)
        assert isinstance(threshold, float)
        assert np.isfinite(threshold)


@pytest.mark.parametrize("name", ["percentile", "fixed_on_scaled"])
@pytest.mark.parametrize("scores", [np.array([]), np.array([np.nan, np.inf])], ids=["none", "none finite"])
def test_a_rule_that_needs_scores_refuses_to_go_without(name, scores):
    with pytest.raises(UserError, match="at least one finite training score"):
        THRESHOLDS[name](scores, DetectionSettings())


def test_the_98th_percentile_flags_two_percent_of_exchangeable_rows():
    train, test = np.random.default_rng(0).lognormal(size=(2, 20_000))
    flagged = np.mean(test > THRESHOLDS["percentile"](train, DetectionSettings()))
    assert flagged == pytest.approx(0.02, abs=0.004)


def test_the_percentile_is_a_setting():
    scores = np.arange(101.0)
    assert THRESHOLDS["percentile"](scores, DetectionSettings(percentile=90)) == 90.0


def test_fixed_ignores_the_scores():
    assert THRESHOLDS["fixed"](np.array([]), DetectionSettings(fixed_threshold=0.3)) == 0.3


def test_fixed_on_scaled_flags_what_exceeds_one_half_after_scaling_by_the_training_range():
    train, test = np.array([2.0, 3.0, 6.0]), np.array([3.9, 4.1, 9.0])
    scaled = (test - 2.0) / 4.0
    np.testing.assert_array_equal(test > THRESHOLDS["fixed_on_scaled"](train, DetectionSettings()), scaled > 0.5)


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


def test_every_choice_of_a_protocol_is_a_known_threshold():
    assert {name for names in PROTOCOL_THRESHOLDS.values() for name in names.values()} <= set(THRESHOLDS)


def test_a_named_threshold_overrules_the_protocol():
    settings = DetectionSettings(threshold="fixed_on_scaled")
    assert threshold_for("paper", "supervised", settings) is THRESHOLDS["fixed_on_scaled"]


@pytest.mark.parametrize(("protocol", "paradigm"), [("strict", "supervised"), ("paper", "self_supervised")])
def test_an_unknown_protocol_or_paradigm_is_named(protocol, paradigm):
    with pytest.raises(ConfigError, match="unknown '(strict|self_supervised)'; known: "):
        threshold_for(protocol, paradigm, DetectionSettings())
