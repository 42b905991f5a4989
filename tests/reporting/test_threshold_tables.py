import pytest

from ftl.reporting.threshold_tables import rule_of, threshold_tables
from tests.reporting.synthetic_run import synthetic_run


@pytest.mark.parametrize(
    ("detection", "paradigm", "rule"),
    [
        ({"threshold": "protocol", "percentile": 98.0}, "unsupervised", "percentile (98)"),
        ({"threshold": "protocol", "fixed_threshold": 0.5}, "supervised", "fixed (0.5)"),
        ({"threshold": "percentile", "percentile": 99.5}, "supervised", "percentile (99.5)"),
        ({"threshold": "rule_of_tomorrow"}, "unsupervised", "rule_of_tomorrow"),
        ({}, "unsupervised", "unknown"),
    ],
)
def test_the_rule_is_named_with_its_number(detection, paradigm, rule):
    assert rule_of(detection, "rigorous", paradigm) == rule


def test_thresholds_and_alarms_of_every_arm_are_shown():
    run = synthetic_run(n_nodes=6, n_participants=(2,), datasets=("d1",), paradigms=("unsupervised",))
    (table,) = threshold_tables(run)
    assert table.caption.startswith("Thresholds, rule percentile (98). Dataset d1 (simulated, 6 nodes)")
    numbers = table.numbers.set_index("arm")
    local = run.results[run.results["arm"] == "local"]
    assert numbers.loc["local", "median"] == pytest.approx(local["threshold"].median())
    assert numbers.loc["local", "fpr"] == pytest.approx((1 - local["tnr"]).mean())
    assert {"transfer", "pca"} <= set(numbers.index)
