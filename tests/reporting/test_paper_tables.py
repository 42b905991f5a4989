import numpy as np
import pandas as pd
import pytest

from ftl.evaluation import compare
from ftl.reporting.paper_tables import effect_band, effect_tables, mean_tables, transfer_tables
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture(scope="module")
def run():
    return synthetic_run(n_nodes=8, n_participants=(2, 4), seeds=(0, 1))


def test_tables_2_to_4_are_the_three_paradigms_as_the_paper_numbers_them(run):
    captions = [(table.number, table.caption) for table in transfer_tables(run)]
    assert [number for number, _ in captions] == [2, 2, 3, 3, 4, 4]
    assert captions[0][1] == (
        "Table 2: targets before and after transfer. "
        "Dataset d1 (simulated, 8 nodes), semi_supervised, rigorous protocol."
    )
    assert "supervised" in captions[5][1]
    assert "d2" in captions[5][1]


def test_table_5_is_the_mean_over_n_of_the_rows_of_tables_2_to_4(run):
    cells = run.summary[(run.summary["arm"] == "transfer") & (run.summary["dataset"] == "d2")]
    expected = cells.groupby(["paradigm", "policy"])["delta_f1"].mean().to_dict()
    numbers = mean_tables(run)[1].numbers.set_index(["paradigm", "policy"])
    assert numbers["delta_f1"].to_dict() == pytest.approx(expected)
    shown = mean_tables(run)[1].shown
    assert shown["N"].unique().tolist() == ["2, 4"]
    assert shown["Better than both"].str.fullmatch(r"\d of 2 cells").all()


def test_table_6_has_the_effect_sizes_over_nodes_against_both_controls(run):
    first = effect_tables(run)[0].numbers.iloc[0]
    runs = run.results[(run.results["dataset"] == "d1") & (run.results["paradigm"] == "unsupervised")]
    cohort = runs[(runs["arm"] == "transfer") & (runs["policy"] == "top_n") & (runs["n_participants"] == 2)]
    after = cohort.groupby("node")["f1"].mean()
    for arm, suffix in {"local": "", "local_long": "_vs_local_long"}.items():
        before = runs[runs["arm"] == arm].groupby("node")["f1"].mean()[after.index]
        expected = compare(before.to_numpy(), after.to_numpy())
        assert first[f"cohens_d{suffix}"] == pytest.approx(expected.cohens_d)
    difference = (after - runs[runs["arm"] == "local"].groupby("node")["f1"].mean()[after.index]).dropna()
    assert first["sd_delta_f1"] == pytest.approx(difference.std())
    assert first["n_nodes"] == len(difference)


def test_table_5_does_not_count_cells_that_cannot_be_judged(run):
    summary = run.summary.assign(verdict_vs_local=None)
    judged = mean_tables(type(run)(run.results, summary))[0].shown
    assert set(judged["Better than both"]) == {"cannot be judged"}


@pytest.mark.parametrize(
    ("d", "word"),
    [(0.1, "negligible"), (-0.1, "negligible"), (0.2, "small"), (-0.6, "medium loss"), (3.0, "large"), (np.nan, "-"),
     (pd.NA, "-")],
)  # fmt: skip
def test_effects_are_named_by_cohens_bands_and_losses_as_such(d, word):
    assert effect_band(d) == word
