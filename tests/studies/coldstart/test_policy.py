"""The transfer policy decides by what a node can know, with a reason; where nodes share no scale, each stays alone."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.detection.scores import VARIANCE_FLOOR
from ftl.studies.cohort import strangeness_of
from ftl.studies.coldstart.arms import REHEARSED
from ftl.studies.coldstart.policy import COHERENT, STRANGE, Decision, Situation, decide, put_together

SITUATION = Situation(100, 4.0, 1.2, 1.0, np.array([0.8, 1.0, 1.5]), (0, 1), 2)

situations = st.builds(
    Situation,
    n_rows=st.integers(2, 10**6),
    hours=st.floats(0.01, 1e4),
    divergence=st.floats(0, 1e9),
    strangeness=st.floats(0, 1e9),
    of_participants=st.lists(st.floats(0, 1e9), min_size=1, max_size=5).map(np.array),
    frozen=st.sets(st.integers(0, 4)).map(lambda layers: tuple(sorted(layers))),
    n_layers=st.just(5),
)


@settings(max_examples=50)
@given(situations)
def test_every_decision_has_weights_that_sum_to_1_detectors_that_were_rehearsed_and_a_reason(situation) -> None:
    decision = decide(situation)
    assert sum(decision.weights.values()) == pytest.approx(1)
    assert min(decision.weights.values()) > 0
    assert set(decision.weights) <= set(REHEARSED)
    assert decision.action
    assert len(decision.reason) > 20


@settings(max_examples=20)
@given(situations)
def test_a_decision_depends_on_its_situation_alone(situation) -> None:
    again = replace(situation, of_participants=situation.of_participants.copy())
    assert decide(again) == decide(situation)


def test_a_situation_holds_no_label_and_no_later_row() -> None:
    known = {"n_rows", "hours", "divergence", "strangeness", "of_participants", "frozen", "n_layers"}
    assert {field.name for field in fields(Situation)} == known


def test_nodes_without_a_common_scale_stay_on_their_own() -> None:
    torn = replace(SITUATION, of_participants=np.array([0.9, COHERENT * 1.1, COHERENT * 2]))
    below, from_a_day = decide(replace(torn, hours=23.9)), decide(replace(torn, hours=24.0))
    assert (below.action, dict(below.weights)) == ("own components", {"pca": 1.0})
    assert (from_a_day.action, dict(from_a_day.weights)) == ("local", {"local": 1.0})
    for decision in (below, from_a_day):
        assert "no common scale" in decision.reason


def test_a_node_of_another_kind_stays_on_its_own_whatever_the_cohort() -> None:
    strange = replace(SITUATION, strangeness=STRANGE * 1.1)
    below, from_a_day = decide(replace(strange, hours=23.9)), decide(replace(strange, hours=24.0))
    assert (below.action, dict(below.weights)) == ("own components", {"pca": 1.0})
    assert (from_a_day.action, dict(from_a_day.weights)) == ("local", {"local": 1.0})
    for decision in (below, from_a_day):
        assert "another kind" in decision.reason


def test_one_wild_feature_makes_no_node_strange() -> None:
    assert decide(replace(SITUATION, divergence=1e6)).action == "shared and own"
    residual, variance = np.ones((4, 5)), np.full(5, 1.0 - VARIANCE_FLOOR)
    residual[:, 0] = 1e3
    muted = np.array([False, False, False, False, True])
    assert strangeness_of(residual, variance, muted) == pytest.approx(1.0)
    assert strangeness_of(residual * 6, variance, muted) == pytest.approx(36.0)


def test_of_a_node_that_tells_nothing_nothing_is_known() -> None:
    nothing = strangeness_of(np.zeros((3, 2)), np.ones(2), np.array([True, True]))
    assert decide(replace(SITUATION, strangeness=nothing)).action == "own components"


def test_one_odd_participant_does_not_tear_a_cohort() -> None:
    assert decide(replace(SITUATION, of_participants=np.array([0.9, 1.1, 1e6]))).action == "shared and own"


def test_a_divergence_that_cannot_be_told_counts_as_none_in_common() -> None:
    assert decide(replace(SITUATION, of_participants=np.array([np.nan, 1.0]))).action == "own components"


def test_the_global_model_weighs_less_the_more_rows_a_node_has() -> None:
    weights = [decide(replace(SITUATION, hours=30.0, n_rows=n)).weights["zero_shot"] for n in (10, 200, 500, 5000)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == pytest.approx(1 / 3)
    assert weights[-1] < 0.03


@pytest.mark.parametrize(
    ("frozen", "words"),
    [((0, 1), "the decoder alone"), ((0,), "encoder layers 1 are"), ((), "all of the model")],
)
def test_the_reason_says_what_is_fine_tuned(frozen: tuple[int, ...], words: str) -> None:
    assert words in decide(replace(SITUATION, frozen=frozen)).reason


def test_scores_are_put_together_as_a_geometric_mean_in_units_of_their_levels() -> None:
    scores = {"a": np.array([2.0, 8.0]), "b": np.array([10.0, 10.0])}
    both = put_together(scores, {"a": 2.0, "b": 10.0}, {"a": 0.5, "b": 0.5})
    np.testing.assert_allclose(both, [1.0, 2.0], rtol=1e-5)
    alone = put_together(scores, {"a": 4.0, "b": 0.0}, {"a": 1.0})
    np.testing.assert_allclose(alone, [0.5, 2.0], rtol=1e-5)


def test_scores_of_0_and_levels_of_0_are_finite() -> None:
    found = put_together({"a": np.array([0.0, 1.0])}, {"a": 0.0}, {"a": 1.0})
    assert np.isfinite(found).all()
    assert found[0] < found[1]


# In the study


def test_in_the_study_the_decisions_are_those_of_the_rows(like_replay) -> None:
    decisions = like_replay.decisions()
    assert decisions["action"].tolist() == ["shared and own", "mostly own", "mostly own"] * 2
    for row in decisions.itertuples():
        assert len(row.reason) > 20
    others = like_replay.rows[like_replay.rows["arm"] != "transfer_policy"]
    assert others[["action", "reason", "divergence"]].isna().all().all()


def test_on_its_own_the_policy_ranks_as_the_detector_that_it_takes(unlike_replay) -> None:
    decisions = unlike_replay.decisions()
    assert decisions["action"].tolist() == ["own components", "local", "local"] * 2
    rows = unlike_replay.rows.set_index(["node", "full", "asked_hours", "arm"])
    for node, hours, arm in [("n1", 4.0, "pca"), ("n1", 24.0, "local"), ("n3", None, "local"), ("n3", 24.0, "local")]:
        own, policy = (unlike_replay.scores[node, hours, name] for name in (arm, "transfer_policy"))
        np.testing.assert_array_equal(np.argsort(own, kind="stable"), np.argsort(policy, kind="stable"))
        place = (node, hours is None, np.nan if hours is None else hours)
        for metric in ("auroc", "auprc"):
            assert rows.loc[(*place, "transfer_policy"), metric] == pytest.approx(rows.loc[(*place, arm), metric])


def test_the_policy_costs_what_its_detectors_cost(like_replay) -> None:
    rows = like_replay.rows[like_replay.rows["node"] == "n1"]
    steps = rows.groupby("arm")["n_train_steps"].first()
    policy = rows[rows["arm"] == "transfer_policy"].set_index("action")["n_train_steps"]
    assert policy["shared and own"] == steps["selective"] == 4
    assert policy["mostly own"].tolist() == [steps["full_fine_tune"] + steps["local"]] * 2 == [12, 12]


def test_a_decision_says_nothing_of_arms_that_were_not_chosen() -> None:
    assert isinstance(decide(SITUATION), Decision)
    assert set(decide(SITUATION).weights) == {"zero_shot", "federated_pca", "selective", "pca"}
