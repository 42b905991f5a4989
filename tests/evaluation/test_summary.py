import warnings
from math import sqrt

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.results import check_results, results_frame
from ftl.evaluation.summary import SUMMARY_COLUMNS, read_summary, summarise, write_summary

NO_ANOMALY = (0, 2, 18, 0)
EVEN = (2, 2, 14, 2)  # F1 .5, precision .5, recall .5
PERFECT = (4, 0, 16, 0)
NEVER = (0, 0, 16, 4)  # F1 0, precision undefined
NOISY = (4, 8, 8, 0)  # F1 .5, precision 1/3, recall 1, TNR .5


@pytest.fixture
def rows(result_row, cohort):
    """Participant p; targets a, b, c, and d without anomalies. Two seeds.

    F1 of local and of transfer, seed by seed: a .5 .5 -> 1 1, b 0 1 -> .5 .5, c .5 .5 -> .5 1. So the nodes'
    differences are .5, 0 and .25. local_long has F1 .5 everywhere.
    """
    local = {"p": (EVEN, EVEN), "a": (EVEN, EVEN), "b": (NEVER, PERFECT), "c": (NOISY, NOISY), "d": (NO_ANOMALY,) * 2}
    transfer = {"a": (PERFECT, PERFECT), "b": (EVEN, EVEN), "c": (NOISY, PERFECT), "d": ((0, 0, 20, 0),) * 2}
    made = []
    for seed in (0, 1):
        for node, counts in local.items():
            made.append(result_row("local", node, counts[seed], seed))
            long = NO_ANOMALY if node == "d" else EVEN
            auroc = {} if node == "d" else {"auroc": 0.6}
            made.append(result_row("local_long", node, long, seed, **auroc))
        made.append(result_row("zero_shot", "p", PERFECT, seed, **cohort("participant")))
        for node, counts in transfer.items():
            auroc = {} if node == "d" else {"auroc": {"a": 0.9, "b": 0.8, "c": 0.7}[node]}
            made.append(result_row("transfer", node, counts[seed], seed, n_train_steps=7, **auroc, **cohort("target")))
    return made


@pytest.fixture
def summary(rows):
    frame = results_frame(rows)
    check_results(frame)
    return summarise(frame)


def cell(summary, arm):
    found = summary[summary["arm"] == arm]
    assert len(found) == 1
    return found.iloc[0]


def test_the_worked_example_of_a_transfer_cell(summary):
    """Every number of the row, by hand."""
    row = cell(summary, "transfer")
    expected = {
        "f1_local_participants": 0.5,
        "f1_federated_participants": 1.0,
        "n_targets": 4,
        "precision_before": (1 / 2 + 1 + 1 / 3) / 3,  # b flagged something in seed 1 only
        "recall_before": (0.5 + 0.5 + 1) / 3,
        "tnr_before": (14 / 16 + 1 + 8 / 16 + 18 / 20) / 4,
        "f1_before": 0.5,
        "precision_after": (1 + 1 / 2 + (1 / 3 + 1) / 2) / 3,
        "recall_after": (1 + 0.5 + 1) / 3,
        "tnr_after": (1 + 14 / 16 + (8 / 16 + 1) / 2 + 1) / 4,
        "f1_after": 0.75,
        "delta_f1": 0.25,
        "p_t": 1 - sqrt(3) / sqrt(5),
        "p_wilcoxon": 0.5,
        "p_holm": 1 - sqrt(3) / sqrt(5),  # the only cell with a test
        "cohens_d": 1.0,
        "cohens_d_av": 2.0,
        "hedges_g": 4 / 7,
        "ci_low": 0.0,
        "ci_high": 0.5,
        "n_nodes": 3,
        "n_without_anomalies": 1,
        "n_precision_undefined": 0,
        "share_harmed": 0.0,
        "share_recall_one": 2 / 3,
        "f1_median": 0.75,
        "f1_worst_decile": 0.5,
        "f1_pooled": 2 * 20 / (2 * 20 + 12 + 4),
        "f1_of_means": 2 * (13 / 18) * (5 / 6) / (13 / 18 + 5 / 6),
        "accuracy_before": (16 / 20 + (16 + 20) / 40 + 12 / 20 + 18 / 20) / 4,
        "accuracy_after": (1 + 16 / 20 + (12 + 20) / 40 + 1) / 4,
        "auroc_before": 0.5,
        "auroc_after": 0.8,
        "delta_auroc": 0.3,
        "prevalence": 0.2,
        "fpr_after": 1 - (1 + 14 / 16 + 0.75 + 1) / 4,
        "n_train_steps": 7.0,
        "alarms_per_node_day_after": 1.0,
        "delta_f1_vs_local_long": 0.25,
        "p_vs_local_long": 1 - sqrt(3) / sqrt(5),
        "delta_auroc_vs_local_long": 0.2,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert (row["ci_method"], row["degenerate"]) == ("nodes", None)
    assert (row["verdict_vs_local"], row["verdict_vs_local_long"]) == ("no difference", "no difference")
    assert not row["significant"]
    assert not row["significant_t"]


def test_a_cell_in_which_no_node_changed_says_zero_variance(summary):
    row = cell(summary, "local_long")
    assert row["degenerate"] == "zero variance"
    assert row["delta_f1"] == 0
    assert np.isnan([row["p_t"], row["p_holm"], row["cohens_d"]]).all()
    assert row["verdict_vs_local"] == "no difference"


def test_the_reference_claims_nothing_against_itself(summary):
    row = cell(summary, "local")
    assert row["delta_f1"] == 0
    assert np.isnan(row[["p_t", "p_holm", "ci_low", "cohens_d"]].astype(float)).all()
    assert row[["degenerate", "verdict_vs_local", "ci_method"]].isna().all()
    assert row["n_precision_undefined"] == 1  # b in seed 0
    assert cell(summary, "local_long")["verdict_vs_local_long"] is None
    assert cell(summary, "local")["delta_f1_vs_local_long"] == 0


def test_arms_without_cohort_stand_over_all_nodes(summary):
    row = cell(summary, "local_long")
    assert pd.isna(row["n_participants"])
    assert row["policy"] is None
    assert (row["n_targets"], row["n_nodes"]) == (5, 4)
    assert np.isnan(row["f1_local_participants"])


def test_after_minus_before_is_delta_in_every_row(summary):
    for metric in ("f1", "auroc"):
        gap = summary[f"{metric}_after"] - summary[f"{metric}_before"] - summary[f"delta_{metric}"]
        assert gap.abs().max() < 1e-12


def test_the_order_of_the_rows_changes_no_bit(rows, summary):
    for seed in range(3):
        shuffled = results_frame(rows).sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(summarise(shuffled), summary, check_exact=True)


def test_one_group_of_nodes_is_averaged_over_draws_before_it_is_compared(result_row, cohort):
    """a is a target in both draws (F1 1 and 0), b and c in one each: differences 0, .5 and -.5, not four runs."""
    rows = [result_row("local", node, EVEN) for node in "abc"]
    for draw, participant, outcomes in ((0, "c", {"a": PERFECT, "b": PERFECT}), (1, "b", {"a": NEVER, "c": NEVER})):
        key = {"policy": "random_n", "draw": draw}
        rows.append(result_row("zero_shot", participant, EVEN, **cohort("participant", **key)))
        rows += [result_row("transfer", node, counts, **cohort("target", **key)) for node, counts in outcomes.items()]
    frame = results_frame(rows)
    check_results(frame)
    row = cell(summarise(frame), "transfer")
    assert (row["delta_f1"], row["n_targets"], row["n_nodes"]) == (0.0, 2, 3)
    assert row["share_harmed"] == pytest.approx(1 / 3)


def test_a_run_is_compared_with_local_of_the_same_seed(result_row):
    """A baseline that ran with seed 1 only is compared with local at seed 1, not with the mean of the seeds."""
    rows = [result_row("local", node, counts, seed) for node in "ab" for seed, counts in enumerate((NEVER, PERFECT))]
    rows += [result_row("pca", node, PERFECT, 1) for node in "ab"]
    assert cell(summarise(results_frame(rows)), "pca")["delta_f1"] == 0


def test_holm_counts_the_cells_of_one_protocol(result_row):
    rows = []
    for protocol in ("rigorous", "paper"):
        for node, local, pca, ecod in (
            ("a", EVEN, PERFECT, EVEN),
            ("b", EVEN, PERFECT, NEVER),
            ("c", EVEN, EVEN, EVEN),
        ):
            rows += [
                result_row(arm, node, counts, protocol=protocol)
                for arm, counts in (("local", local), ("pca", pca), ("ecod", ecod))
            ]
    summary = summarise(results_frame(rows)).set_index(["protocol", "arm"])
    p = summary["p_t"]
    assert p["rigorous", "pca"] < p["rigorous", "ecod"]
    assert summary["p_holm"]["rigorous", "pca"] == pytest.approx(2 * p["rigorous", "pca"])  # a family of 2, not 4


def test_racks_are_resampled_where_they_are_known(rows):
    racks = {"d1": {"a": "r1", "b": "r2", "c": "r3", "p": "r3", "d": None}}
    summary = summarise(results_frame(rows), racks)
    assert cell(summary, "transfer")["ci_method"] == "racks"
    assert cell(summarise(results_frame(rows), {"other": racks["d1"]}), "transfer")["ci_method"] == "nodes"


def test_without_local_long_its_columns_are_empty(rows):
    row = cell(summarise(results_frame([row for row in rows if row["arm"] != "local_long"])), "transfer")
    assert np.isnan(row["delta_f1_vs_local_long"])
    assert row["verdict_vs_local_long"] is None
    assert row["delta_f1"] == 0.25


def test_a_run_without_local_partner_is_refused(rows):
    orphaned = [row for row in rows if (row["arm"], row["node"], row["seed"]) != ("local", "a", 1)]
    with pytest.raises(ValueError, match=r"needs a run of local on the same node and seed; 2 have none.*node=a"):
        summarise(results_frame(orphaned))


def test_two_local_runs_of_one_node_and_seed_are_refused(rows):
    with pytest.raises(ValueError, match="not a many-to-one merge"):
        summarise(results_frame([*rows, rows[0]]))


def test_runs_scored_on_other_rows_are_refused(rows, result_row):
    rows.append(result_row("pca", "a", (2, 2, 13, 2)))
    with pytest.raises(ValueError, match="same test rows only; n_test_rows differs in 1 runs"):
        summarise(results_frame(rows))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [({"a": PERFECT}, "single node"), ({"a": NO_ANOMALY, "b": NO_ANOMALY}, "no node with anomalies")],
)
def test_cells_too_small_for_a_test_say_so_without_a_warning(result_row, nodes, reason):
    rows = [result_row(arm, node, counts) for node, counts in nodes.items() for arm in ("local", "local_long", "pca")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = cell(summarise(results_frame(rows)), "pca")
    assert row["degenerate"] == reason
    assert row["n_targets"] == len(nodes)
    assert np.isnan(row[["p_t", "p_wilcoxon", "p_holm", "cohens_d", "ci_low"]].astype(float)).all()
    assert row["verdict_vs_local"] is None
    assert not row["significant"]


def test_an_empty_results_table_gives_an_empty_summary():
    summary = summarise(results_frame([]))
    assert summary.columns.to_list() == list(SUMMARY_COLUMNS)
    assert len(summary) == 0


def test_a_node_with_anomalies_in_one_seed_only_counts_with_that_seed(result_row):
    """A random split moves anomalies between train and test with the seed."""
    outcomes = {"a": (EVEN, PERFECT), "b": (EVEN, EVEN)}
    rows = [result_row(arm, node, pair[i]) for node, pair in outcomes.items() for i, arm in enumerate(("local", "pca"))]
    rows += [result_row(arm, node, NO_ANOMALY, 1) for node in outcomes for arm in ("local", "pca")]
    row = cell(summarise(results_frame(rows)), "pca")
    assert (row["n_nodes"], row["n_without_anomalies"], row["delta_f1"]) == (2, 0, 0.25)


def test_reading_gives_back_the_bits_that_were_written(summary, tmp_path):
    summary.loc[0, "dataset"] = "NA"  # a name that a reader of CSV may take for a missing value
    write_summary(summary, tmp_path / "summary.csv")
    pd.testing.assert_frame_equal(read_summary(tmp_path / "summary.csv"), summary, check_exact=True)
