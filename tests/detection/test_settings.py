import pytest

from ftl.detection import ANOMALY_SCORES, THRESHOLDS, DetectionSettings
from ftl.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("score", "l7"),
        ("score", None),
        ("threshold", "p98"),
        ("percentile", 0),
        ("percentile", 100.5),
        ("percentile", "98"),
        ("percentile", True),
        ("fixed_threshold", float("nan")),
        ("smoothing_half_life", -1),
        ("smoothing_half_life", float("inf")),
        ("conformal_alpha", 0),
        ("conformal_alpha", 1.0),
        ("pot_level", 100),
        ("pot_risk", 0.02),
        ("pot_risk", 0.0),
        ("alarms_per_node_day", -0.5),
        ("alarms_per_node_day", "few"),
        ("summary_spread", 0.0),
        ("trailing_days", 0.0),
        ("trailing_days", float("inf")),
        ("trailing_lag_hours", -1.0),
        ("variance_floor", 0.0),
        ("variance_floor", None),
        ("variance_shrinkage", -1.0),
        ("variance_shrinkage", float("inf")),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_key(key, value):
    with pytest.raises(ConfigError, match=rf"detection\.{key}: .*{value!r}"):
        DetectionSettings(**{key: value})


def test_every_known_score_and_threshold_can_be_set():
    for score in ANOMALY_SCORES:
        for threshold in ("protocol", *THRESHOLDS):
            assert DetectionSettings(score=score, threshold=threshold).score == score


def test_whole_numbers_are_numbers():
    assert DetectionSettings(percentile=99, smoothing_half_life=3, fixed_threshold=1).percentile == 99


def test_the_risk_of_peaks_over_threshold_must_lie_beyond_its_level():
    assert DetectionSettings(pot_level=90, pot_risk=0.05).pot_risk == 0.05
    with pytest.raises(
        ConfigError, match=r"detection\.pot_risk: .*less than 0\.01, the share above detection\.pot_level"
    ):
        DetectionSettings(pot_level=99, pot_risk=0.05)
