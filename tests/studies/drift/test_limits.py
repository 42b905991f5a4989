"""Thresholds of the drift study at any percentile."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError, UserError
from ftl.studies.alarms import Scored
from ftl.studies.drift.combination import THRESHOLDS
from ftl.studies.drift.limits import Limits
from ftl.studies.drift.settings import DriftStudySettings
from ftl.studies.telemetry import NodeTelemetry

LIMITS = Limits(DetectionSettings(), seconds_per_unit=1800.0, window=1.0)
FLEET = (9.0, 10.0, 11.0)


@pytest.fixture(scope="module")
def node() -> NodeTelemetry:
    rows = np.zeros((300, 2), np.float32)
    label = np.zeros(200, np.int8)
    return NodeTelemetry(0, rows, np.arange(300), rows[:200], np.arange(310, 510), label, np.zeros(2, bool))


@pytest.fixture(scope="module")
def scored() -> Scored:
    random = np.random.default_rng(0)
    return Scored(random.gamma(2.0, 1.0, 300), random.gamma(2.0, 1.5, 200))


@pytest.mark.parametrize("rule", THRESHOLDS)
def test_at_the_usual_percentile_a_threshold_is_an_experiments(rule, node, scored) -> None:
    np.testing.assert_array_equal(LIMITS.at(98.0, rule, node, scored, FLEET), LIMITS.of(rule, node, scored, FLEET))


@pytest.mark.parametrize("rule", THRESHOLDS)
def test_a_higher_percentile_flags_no_more(rule, node, scored) -> None:
    """Also where the trailing days hold too few rows to tell it: 96 rows do not tell the 99.9th."""
    levels = [np.broadcast_to(LIMITS.at(p, rule, node, scored, ()), 200) for p in (80.0, 95.0, 98.0, 99.5, 99.9)]
    assert all((high >= low).all() for low, high in itertools.pairwise(levels))


def test_a_fleets_percentile_is_a_floor(node, scored) -> None:
    assert LIMITS.of("fleet_percentile", node, scored, FLEET) == 10.0
    assert (np.asarray(LIMITS.of("trailing_fleet", node, scored, FLEET)) >= 10.0).all()
    own = LIMITS.of("percentile", node, scored, FLEET)
    assert own == pytest.approx(np.percentile(scored.known, 98))
    assert LIMITS.of("fleet_percentile", node, scored, (own - 1.0,)) == own


def test_trailing_days_with_too_few_rows_are_refused() -> None:
    LIMITS.check()
    with pytest.raises(UserError, match=r"detection\.trailing_days"):
        replace(LIMITS, detection=DetectionSettings(trailing_days=1.0)).check()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seeds", ()), ("seeds", (1, 1)), ("n_folds", 1), ("drift_share", 0.0), ("smoothing_minutes", 0.0),
        ("rebase_hours", -1.0), ("curve_percentiles", ()), ("curve_percentiles", (98.0, 98.0)),
        ("curve_percentiles", (100.0,)), ("curve_percentiles", tuple(range(1, 60))),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(key, value) -> None:
    with pytest.raises(ConfigError, match=f"study_drift.{key}"):
        DriftStudySettings(**{key: value})
