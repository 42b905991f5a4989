import itertools

import numpy as np
import pandas as pd
import pytest

from ftl.reporting.tables import ARMS, arms_tables, markdown, number, p_value, tables_like_the_paper


def cell(**values):
    """One summary row, complete in its key and bare otherwise."""
    key = {
        "dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised", "policy": "top_n", "n_participants": 3,
        "arm": "transfer",
    }  # fmt: skip
    return key | values


def summary_of(*rows):
    return pd.DataFrame(list(rows)).astype({"n_participants": "Int64"})


def only(tables):
    (table,) = tables.values()
    return table


def test_there_is_a_table_for_every_dataset_and_paradigm_in_the_papers_order():
    grid = itertools.product(["d2", "d1"], ["supervised", "unsupervised"])
    summary = summary_of(*(cell(dataset=dataset, paradigm=paradigm) for dataset, paradigm in grid))
    assert list(tables_like_the_paper(summary)) == [
        ("d2", "unsupervised"), ("d2", "supervised"), ("d1", "unsupervised"), ("d1", "supervised")
    ]  # fmt: skip


def test_rows_are_policy_by_n_of_the_transfer_arm_alone():
    rows = [cell(policy=p, n_participants=n) for p in ("random_n", "top_n") for n in (20, 3, 5)]
    table = only(tables_like_the_paper(summary_of(*rows, cell(arm="local", policy=None, n_participants=None))))
    assert table[["Policy", "N"]].values.tolist() == [
        ["top_n", "3"], ["top_n", "5"], ["top_n", "20"], ["random_n", "3"], ["random_n", "5"], ["random_n", "20"]
    ]  # fmt: skip


def test_every_number_stands_under_its_own_heading():
    names = [
        "f1_local_participants", "f1_federated_participants", "n_targets", "precision_before", "recall_before",
        "tnr_before", "f1_before", "precision_after", "recall_after", "tnr_after", "f1_after",
    ]  # fmt: skip
    values = {name: (k + 1) / 100 for k, name in enumerate(names)} | {"n_targets": 97}
    table = only(tables_like_the_paper(summary_of(cell(**values, cohens_d=1.234, p_holm=0.0123, share_harmed=0.125))))
    assert table.iloc[0, 2:13].tolist() == [
        "0.01", "0.02", "97", "0.04", "0.05", "0.06", "0.07", "0.08", "0.09", "0.10", "0.11"
    ]  # fmt: skip
    assert table["d"].item() == "1.23"
    assert table["p (Holm)"].item() == "0.0123"
    assert table["Harmed"].item() == "12%"


@pytest.mark.parametrize(("significant", "shown"), [(True, "+0.44* [+0.40, +0.48]"), (False, "+0.44 [+0.40, +0.48]")])
def test_gain_has_its_interval_and_an_asterisk_only_where_it_is_significant(significant, shown):
    row = cell(delta_f1=0.44, ci_low=0.4, ci_high=0.48, significant=significant)
    assert only(tables_like_the_paper(summary_of(row)))["ΔF1 [95 % CI]"].item() == shown


def test_a_loss_is_shown_as_a_loss_also_against_local_long():
    row = cell(delta_f1=0.1, delta_f1_vs_local_long=-0.034, ci_low_vs_local_long=-0.06, ci_high_vs_local_long=-0.001)
    table = only(tables_like_the_paper(summary_of(row)))
    assert table["ΔF1 vs local_long [95 % CI]"].item() == "-0.03 [-0.06, +0.00]"


def test_undefined_and_missing_columns_are_empty_not_wrong():
    table = only(tables_like_the_paper(summary_of(cell(f1_after=np.nan, significant=pd.NA, delta_f1=0.1))))
    assert table["F1 after"].item() == "-"
    assert table["F1 before"].item() == "-"
    assert table["ΔF1 [95 % CI]"].item() == "+0.10"


def test_two_protocols_never_share_a_table():
    both = summary_of(cell(), cell(protocol="paper"))
    for make in (tables_like_the_paper, arms_tables):
        with pytest.raises(ValueError, match="paper, rigorous"):
            make(both)


def test_every_arm_and_baseline_stands_in_the_arms_table():
    rows = [cell(arm=arm, policy=None, n_participants=None) for arm in ["new_arm", *reversed(ARMS)]]
    table = only(arms_tables(summary_of(*rows, cell(policy="top_n"), cell(policy="random_n"))))
    assert list(dict.fromkeys(table["Arm"])) == [*ARMS, "new_arm"]
    assert len(table) == len(rows) + 2


def test_an_arm_shows_ranking_alarms_and_local_on_the_same_nodes():
    values = {"n_nodes": 14, "auroc_after": 0.8, "auroc_before": 0.7, "auprc_after": 0.41, "f1_after": 0.3,
              "f1_before": 0.2, "fpr_after": 0.0123, "alarms_per_node_day_after": 1.5,
              "delta_auroc_vs_local_long": 0.01, "ci_low_auroc_vs_local_long": -0.002,
              "ci_high_auroc_vs_local_long": 0.022}  # fmt: skip
    row = only(arms_tables(summary_of(cell(**values)))).iloc[0].tolist()
    assert row == [
        "transfer", "top_n", "3", "14", "0.800", "0.700", "0.410", "0.300", "0.200", "0.0123", "1.50",
        "+0.010 [-0.002, +0.022]",
    ]  # fmt: skip


def test_markdown_aligns_numbers_right_and_escapes_bars():
    lines = markdown(pd.DataFrame({"Arm": ["a|b", "c"], "d": ["+1.0", "-"]})).splitlines()
    assert lines == ["| Arm | d |", "| :--- | ---: |", "| a\\|b | +1.0 |", "| c | - |"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.44, "+0.44"), (-0.44, "-0.44"), (-0.001, "+0.00"), (np.nan, "-"), (pd.NA, "-"), (None, "-")]
)
def test_signed_numbers(value, shown):
    assert number(value, 2, signed=True) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.0, "<0.0001"), (0.00012, "0.0001"), (0.5, "0.5000"), (np.nan, "-")])
def test_p_values_are_never_shown_as_zero(value, shown):
    assert p_value(value) == shown
