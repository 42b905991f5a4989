import numpy as np
import pandas as pd
import pytest

from ftl.studies.comparison.verdicts import sentences, spread_of_draws, with_verdicts
from ftl.studies.tables import differences

METRICS = ("f1", "auroc", "auprc")


def rows_of(policy: str, lift: float, n_nodes: int = 12, draws: int = 1) -> pd.DataFrame:
    """A policy that is better than the nodes' own level by about `lift` everywhere; draws differ by luck."""
    random = np.random.default_rng(7)
    level, jitter = random.uniform(0.3, 0.9, n_nodes), random.normal(0, 0.003, n_nodes)
    parts = []
    for draw in range(draws):
        luck = 0.02 * (draw - (draws - 1) / 2)
        value = level + lift + (jitter if lift else 0.0) + luck
        parts.append(
            pd.DataFrame(
                {"policy": policy, "draw": draw, "seed": 0, "arm": "zero_shot", "hours": 24.0}
                | {"node": [f"n{node}" for node in range(n_nodes)]}
                | dict.fromkeys(METRICS, value)
            )
        )
    return pd.concat(parts)


def compared(*policies: pd.DataFrame, n_nodes: int = 12) -> pd.DataFrame:
    rows = pd.concat([rows_of("random_n", 0.0, n_nodes, draws=3), *policies], ignore_index=True)
    return with_verdicts(differences(rows, ("arm", "hours"), "policy", "random_n", {}, METRICS))


def test_a_policy_that_does_as_random_cohorts_do_is_no_different() -> None:
    table = compared(rows_of("same", 0.0))
    assert set(table["verdict"]) == {"no difference"}
    assert table["delta"].to_numpy() == pytest.approx(0.0)
    told = sentences(table, "policy", "random")
    assert told[0] == "same: no difference; AUROC zero-shot at 24 h +0.000 [+0.000, +0.000]."
    assert told[-1].startswith("None differs from random in AUROC, AUPRC or F1 (0 tests per metric")


def test_better_and_worse_policies_are_named_so_and_the_others_are_not() -> None:
    table = compared(rows_of("same", 0.0), rows_of("good", 0.05), rows_of("bad", -0.05)).set_index(["policy", "metric"])
    assert table.loc[("good", "f1"), "verdict"] == "better"
    assert table.loc[("bad", "auroc"), "verdict"] == "worse"
    assert table.loc[("same", "auroc"), "verdict"] == "no difference"
    told = sentences(table.reset_index(), "policy", "random")
    assert "good: better F1 zero-shot at 24 h +0.048 [+0.046, +0.050]" in told[1]
    assert told[-1].startswith("6 of 9 comparisons with random differ")


def test_an_interval_that_holm_does_not_bear_out_is_no_verdict_and_the_sentence_says_when_nothing_could_be() -> None:
    table = compared(rows_of("good", 0.05, n_nodes=5), n_nodes=5)
    assert set(table["interval_verdict"]) == {"better"}
    assert set(table["verdict"]) == {"no difference"}  # five nodes: p is at least 1/16
    assert sentences(table, "policy", "random")[0].startswith(
        "good: no difference that holds after Holm's correction, though intervals leave out 0; AUROC"
    )
    assert sentences(table, "policy", "random")[-1].endswith(
        "With 5 nodes no difference whatever could pass that correction."
    )


def test_the_spread_of_draws_is_that_of_their_means() -> None:
    found = spread_of_draws(rows_of("random_n", 0.0, draws=3), ["auroc"])
    assert found["sd_of_draws"].tolist() == pytest.approx([0.02])  # means 0.02 apart, three of them
