"""Spaces: what may be varied, and that every mistake in one names its key."""

import pytest

from ftl.config import override, read_profile
from ftl.errors import ConfigError
from ftl.tuning.space import check_tune, space_of
from tests.tuning.conftest import params_of


def space(text: str, n_nodes: int = 6, has_days: bool = True):
    return space_of(params_of(f"tune.space={text}"), n_nodes, has_days)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold", "tune.space: unknown 'treshold'; known: threshold, cohort, training, all"),
        ("{detection.percentil: {low: 1, high: 2}}", "unknown key 'detection.percentil'; did you mean 'detection.perc"),
        ("{seeds: {choices: [1]}}", "unknown key 'seeds'"),
        ("{prepare.gap: {low: 1, high: 2}}", "sections that can be tuned: model"),
        ("{detection.percentile: 98}", "must be {low: .., high: ..} or {choices"),
        ("{detection.percentile: {low: 99, high: 90}}", "low must be below high"),
        ("{detection.percentile: {low: 90, hi: 99}}", "takes low, high, log and step"),
        ("{detection.percentile: {low: 90, high: 101}}", "tune.space.detection.percentile: detection.percentile: must"),
        ("{detection.percentile: {low: 0, high: 99, log: true}}", "log needs low > 0"),
        ("{detection.percentile: {low: 90, high: 99, step: 20}}", "step must be in"),
        ("{detection.threshold: {low: 1, high: 2}}", "is 'protocol' now, no number; give {choices"),
        ("{detection.threshold: {choices: [magic]}}", "tune.space.detection.threshold: detection.threshold: unknown"),
        ("{federate.n_rounds: {low: 1.5, high: 3}}", "is a whole number"),
        ("{select.n_participants: {low: 2, high: 6}}", "6 participants leave no target: the fleet has 6 nodes"),
        ("{tune.arm: {choices: [centralised]}}", "tune.arm: unknown 'centralised'"),
        ("{local.n_epochs: {choices: []}}", "choices must be a list"),
        ("{local.n_epochs: {choices: [1, 1]}}", "a choice stands twice"),
        ("{}", "must be a name or hold ranges"),
    ],
)
def test_a_mistake_names_its_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as found:
        space(text)
    assert message in str(found.value)


@pytest.mark.parametrize("name", ["threshold", "cohort", "training", "all"])
def test_named_spaces_hold_the_parameters_of_now(name: str) -> None:
    params = params_of(f"tune.space={name}", "select.policies=[top_n]", "select.n_participants=[2]")
    found = space_of(params, 6, has_days=True)
    assert found.values_of(params, "rigorous", "unsupervised").keys() == found.ranges.keys()


def test_probabilities_may_keep_a_fixed_threshold() -> None:
    params = params_of("tune.space=threshold", "tune.paradigm=supervised")
    found = space_of(params, 6, has_days=True)
    assert found.values_of(params, "rigorous", "supervised")["detection.threshold"] == "fixed"
    assert "fixed" not in space("threshold").ranges["detection.threshold"].values


def test_rules_by_the_day_need_a_day() -> None:
    assert "alarm_budget" in space("threshold").ranges["detection.threshold"].values
    assert "alarm_budget" not in space("threshold", has_days=False).ranges["detection.threshold"].values


def test_a_list_of_parameters_takes_a_value_as_its_one_element() -> None:
    found = space("{select.n_participants: {choices: [2, 3]}, tune.arm: {choices: [transfer, zero_shot]}}")
    applied = found.applied(params_of(), {"select.n_participants": 3, "tune.arm": "zero_shot"})
    assert applied["select"]["n_participants"] == [3]
    assert applied["tune"]["arm"] == "zero_shot"


def test_a_step_ends_inside_of_the_range() -> None:
    found = space("{detection.percentile: {low: 90.0, high: 99.0, step: 2.0}}").ranges["detection.percentile"]
    assert found.extremes() == (90.0, 98.0)
    assert 94.0 in found
    assert 95.0 not in found


def test_only_scores_and_training_need_training() -> None:
    assert not space("threshold").trains
    assert space("{detection.score: {choices: [nres, mse]}}").trains
    assert space("training").trains


def test_settings_of_rules_that_are_not_used_do_nothing() -> None:
    values = {"detection.threshold": "pot", "detection.pot_risk": 0.01, "detection.percentile": 99.0}
    assert space("threshold").read_keys(values) == {"detection.threshold": "pot", "detection.pot_risk": 0.01}
    assert space("threshold").read_keys({"detection.percentile": 99.0}) == {"detection.percentile": 99.0}
    values = {"tune.arm": "zero_shot", "transfer.n_epochs": 2, "federate.n_rounds": 3}
    assert space("training").read_keys(values) == {"tune.arm": "zero_shot", "federate.n_rounds": 3}


def test_a_number_written_without_a_point_stays_the_kind_of_number_it_is() -> None:
    check_tune(override(read_profile("default"), ["detection.smoothing_half_life=3", "optimizer.learning_rate=1"]))
