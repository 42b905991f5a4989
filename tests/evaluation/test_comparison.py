import numpy as np
import pytest

from ftl.evaluation.comparison import compare_arms, compare_policies
from ftl.evaluation.results import results_frame

EVEN, PERFECT, NEVER = (2, 2, 14, 2), (4, 0, 16, 0), (0, 0, 16, 4)


@pytest.fixture
def two_policies(result_row, cohort):
    """Nodes a to e; top_n took a, random_n took b in draw 0 and c in draw 1. Common targets: c d e, then b d e."""
    rows = [result_row("local", node, EVEN) for node in "abcde"]

    def federation(policy, draw, participant, outcomes):
        key = {"policy": policy, "draw": draw}
        rows.append(result_row("zero_shot", participant, EVEN, **cohort("participant", **key)))
        rows.extend(
            result_row("transfer", node, counts, **cohort("target", **key)) for node, counts in outcomes.items()
        )

    federation("top_n", 0, "a", {"b": PERFECT, "c": PERFECT, "d": PERFECT, "e": EVEN})
    federation("random_n", 0, "b", {"a": NEVER, "c": EVEN, "d": EVEN, "e": EVEN})
    federation("random_n", 1, "c", {"a": NEVER, "b": NEVER, "d": PERFECT, "e": EVEN})
    return results_frame(rows)


def test_policies_are_compared_on_nodes_that_neither_federation_used(two_policies):
    """top_n - random_n: b 1 (draw 1), c .5 (draw 0), d (.5 + 0) / 2, e 0; a is never a common target."""
    table = compare_policies(two_policies, "top_n", "random_n")
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["policy"], row["reference"], row["arm"]) == ("top_n", "random_n", "transfer")
    assert row["n_nodes"] == 4
    assert row["delta_f1"] == pytest.approx((1 + 0.5 + 0.25 + 0) / 4)


def test_comparing_the_other_way_round_turns_the_sign(two_policies):
    there, back = (
        compare_policies(two_policies, *pair).iloc[0] for pair in (("top_n", "random_n"), ("random_n", "top_n"))
    )
    assert there["delta_f1"] == -back["delta_f1"]
    assert there["p_t"] == pytest.approx(back["p_t"])


def test_a_policy_that_was_not_run_gives_an_empty_table(two_policies):
    assert len(compare_policies(two_policies, "top_n", "hybrid")) == 0


def test_a_policy_under_which_all_train_meets_every_n_on_the_targets_of_the_other(result_row, cohort):
    """Halves ab and cd serve each other; random_n took a at N = 1, a and c at N = 2."""
    rows = [result_row("local", node, EVEN) for node in "abcd"]
    for draw, trained in enumerate(("ab", "cd")):
        for node in "abcd":
            key = cohort("participant" if node in trained else "target", "all", 2, draw)
            rows.append(result_row("zero_shot" if node in trained else "transfer", node, PERFECT, **key))
    for trained in ("a", "ac"):
        for node in "abcd":
            key = cohort("participant" if node in trained else "target", "random_n", len(trained))
            rows.append(result_row("zero_shot" if node in trained else "transfer", node, EVEN, **key))
    table = compare_policies(results_frame(rows), "all", "random_n")
    assert table["n_participants"].tolist() == [2, 2]
    assert table["n_reference"].tolist() == [1, 2]
    assert table["n_nodes"].tolist() == [3, 2]
    assert table["delta_f1"].tolist() == pytest.approx([0.5, 0.5])
    back = compare_policies(results_frame(rows), "random_n", "all")
    assert back[["n_participants", "n_reference"]].values.tolist() == [[1, 2], [2, 2]]


@pytest.fixture
def two_arms(result_row, cohort):
    outcomes = {"a": (PERFECT, EVEN), "b": (PERFECT, PERFECT), "c": (EVEN, EVEN)}
    rows = []
    for draw in (0, 1):
        key = {"draw": draw, "policy": "random_n"}
        for node, (transfer, full) in outcomes.items():
            rows.append(result_row("transfer", node, transfer, **cohort("target", **key)))
            rows.append(result_row("full_fine_tune", node, full if draw == 0 else transfer, **cohort("target", **key)))
    rows += [result_row("local_long", node, EVEN) for node in outcomes]
    return results_frame(rows)


def test_arms_of_one_cohort_are_paired_draw_by_draw(two_arms):
    """Draw 0: .5, 0, 0; draw 1: equal. Pairing across draws would give more."""
    row = compare_arms(two_arms, "transfer", "full_fine_tune").iloc[0]
    assert (row["arm"], row["reference"], row["n_nodes"]) == ("transfer", "full_fine_tune", 3)
    assert row["delta_f1"] == pytest.approx(0.25 / 3)
    assert row["p_holm"] == row["p_t"]


def test_an_arm_can_be_compared_with_one_that_has_no_cohort(two_arms):
    row = compare_arms(two_arms, "transfer", "local_long").iloc[0]
    assert (row["policy"], row["n_participants"]) == ("random_n", 1)
    assert row["delta_f1"] == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_equal_arms_are_degenerate_and_claim_nothing(two_arms):
    row = compare_arms(two_arms, "transfer", "transfer").iloc[0]
    assert row["degenerate"] == "zero variance"
    assert row["verdict"] == "no difference"
    assert np.isnan(row["p_holm"])
