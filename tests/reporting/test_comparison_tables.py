from dataclasses import replace

import pandas as pd
import pytest

from ftl.evaluation import compare_arms
from ftl.reporting.comparison_tables import fine_tuning_tables, policy_tables, verdict
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture(scope="module")
def run():
    return synthetic_run(n_nodes=12, n_participants=(2, 3), datasets=("d1",), paradigms=("unsupervised",))


def compared(**values):
    row = {"verdict": "no difference", "p_equivalence": 0.5, "degenerate": None, "delta_f1": 0.01}
    return pd.Series(row | values)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (compared(), "no difference shown, nor equivalence"),
        (compared(p_equivalence=0.001), "equivalent within ±0.02"),
        (compared(p_equivalence=0.001, verdict="worse"), "equivalent within ±0.02, though worse"),
        (compared(verdict="better"), "better"),
        (compared(verdict=None), "cannot be judged: too few nodes"),
        (compared(degenerate="zero variance", delta_f1=0.0, p_equivalence=float("nan")), "equal on every node"),
    ],
)
def test_there_is_a_verdict_also_when_there_is_no_difference(row, words):
    assert verdict(row) == words


def test_decoder_only_is_held_against_full_fine_tuning_on_the_same_nodes(run):
    (table,) = fine_tuning_tables(run)
    expected = compare_arms(run.results, "transfer", "full_fine_tune", run.racks())
    assert table.numbers["delta_f1"].sum() == pytest.approx(expected["delta_f1"].sum())
    assert set(table.shown["Policy"]) == {"top_n", "random_n"}
    assert "p (TOST, ±0.02)" in table.shown


def test_policies_are_compared_on_targets_that_neither_trained(run):
    (table,) = policy_tables(run)
    assert table.shown[["Policy", "Against"]].drop_duplicates().values.tolist() == [["top_n", "random_n"]]
    # top_n takes the first N nodes in every seed, the quiet one among them; of random_n's, each is a target elsewhere.
    assert (table.numbers["n_nodes"] == 12 - table.numbers["n_participants"]).all()


def test_without_a_second_policy_or_arm_there_is_nothing_to_compare(run):
    results = run.results
    one_policy = results[results["policy"].isna() | (results["policy"] == "top_n")]
    assert policy_tables(replace(run, results=one_policy)) == []
    assert fine_tuning_tables(replace(run, results=results[results["arm"] != "full_fine_tune"])) == []


def with_policy(run, name, n=None):
    """The run with top_n's rows once more, under another name (and another N)."""
    more = run.results[run.results["policy"] == "top_n"].assign(policy=name)
    more = more if n is None else more[more["n_participants"] == 2].assign(n_participants=n)
    return replace(run, results=pd.concat([run.results, more.astype(run.results.dtypes)], ignore_index=True))


def test_more_policies_stand_in_one_table_corrected_together(run):
    (alone,), (table,) = policy_tables(run), policy_tables(with_policy(run, "clustered"))
    assert table.shown["Policy"].tolist() == ["top_n", "top_n", "clustered", "clustered"]
    assert "N of reference" not in table.shown
    assert table.numbers["p_holm"].min() == pytest.approx(min(1, 4 * table.numbers["p_t"].min()))
    assert alone.numbers["p_holm"].min() == pytest.approx(min(1, 2 * table.numbers["p_t"].min()))


def test_a_policy_without_a_common_target_is_named(run):
    (table,) = policy_tables(with_policy(run, "facility_location", n=7))
    assert set(table.shown["Policy"]) == {"top_n"}
    assert "(facility_location: no target in common with random_n at the same N)" in table.caption


def test_the_n_of_the_reference_is_shown_where_it_is_another(run):
    (table,) = policy_tables(with_policy(run, "all", n=6))
    assert table.shown.loc[table.shown["Policy"] == "all", ["N", "N of reference"]].values.tolist() == [
        ["6", "2"], ["6", "3"],
    ]  # fmt: skip
