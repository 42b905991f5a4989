"""Our cells beside the paper's."""

from collections.abc import Callable

import pandas as pd
import pytest

from ftl.errors import UserError
from ftl.paper.compare import compare_means, compare_with_paper, partner_sentences

Cells = Callable[..., pd.DataFrame]


def cell(cells: pd.DataFrame, dataset: str, paradigm: str, policy: str, n: int) -> "pd.Series[object]":
    key = {"dataset": dataset, "paradigm": paradigm, "policy": policy, "n_participants": n}
    found = cells[(cells[list(key)] == list(key.values())).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_cell_stands_beside_its_partner(summary_of: Cells) -> None:
    found = cell(compare_with_paper(summary_of()), "D1", "supervised", "top_n", 10)
    assert (found["ours"], found["partner"], found["protocol"]) == ("d1", "both", "paper")
    assert (found["paper_delta_f1"], found["ours_delta_f1"]) == (0.38, 0.1)
    assert found["difference_delta_f1"] == pytest.approx(-0.28)
    assert (found["paper_cohens_d"], found["ours_cohens_d"]) == (1.33, 0.5)
    assert (found["paper_significant"], found["ours_significant"], found["ours_significant_t"]) == (True, False, True)


def test_every_cell_of_either_side_is_listed_once(summary_of: Cells) -> None:
    cells = compare_with_paper(summary_of(sizes=(3, 10, 40)))
    assert cells["partner"].value_counts().to_dict() == {"paper only": 60, "both": 12, "ours only": 6}
    assert not cells.duplicated(["dataset", "paradigm", "policy", "n_participants"]).any()


def test_effect_sizes_are_printed_for_ten_participants_only(summary_of: Cells) -> None:
    cells = compare_with_paper(summary_of())
    with_d = cells[cells["paper_cohens_d"].notna()]
    assert len(with_d) == 12
    assert set(with_d["n_participants"]) == {10}


def test_another_arm_can_stand_for_after(summary_of: Cells) -> None:
    summary = summary_of()
    summary.loc[summary["arm"] == "zero_shot", "f1_after"] = 0.2
    assert cell(compare_with_paper(summary, arm="zero_shot"), "D1", "supervised", "top_n", 3)["ours_f1_after"] == 0.2


def test_a_dataset_of_another_name_has_no_partner_until_it_is_named(summary_of: Cells) -> None:
    summary = summary_of("cluster-a")
    alone = compare_with_paper(summary)
    assert "both" not in set(alone["partner"])
    assert partner_sentences(alone)[-1].endswith("--as d1=NAME or --as d2=NAME.")
    named = compare_with_paper(summary, {"d2": "cluster-a"})
    assert cell(named, "D2", "unsupervised", "random_n", 3)["ours"] == "cluster-a"


@pytest.mark.parametrize(
    ("names", "part"),
    [
        ({"d3": "d1"}, "the paper has the datasets d1 and d2"),
        ({"d1": "nowhere"}, "no dataset 'nowhere'; they have d1"),
        ({"d1": "d1", "d2": "d1"}, "stands for d1 already"),
    ],
)
def test_a_name_that_fits_nothing_is_refused(summary_of: Cells, names: dict[str, str], part: str) -> None:
    with pytest.raises(UserError, match=part):
        compare_with_paper(summary_of(), names)


def test_protocols_are_kept_apart(summary_of: Cells) -> None:
    both = pd.concat([summary_of(), summary_of(protocol="rigorous", delta_f1=0.5)], ignore_index=True)
    cells = compare_with_paper(both)
    found = cells[cells["partner"] == "both"].groupby("protocol")["ours_delta_f1"].max()
    assert found.to_dict() == {"paper": 0.1, "rigorous": 0.5}


def test_means_are_over_the_same_n(summary_of: Cells) -> None:
    means = compare_means(compare_with_paper(summary_of()))
    row = means[(means["paradigm"] == "supervised") & (means["policy"] == "top_n")].iloc[0]
    assert (row["dataset"], row["n_cells"], row["printed"]) == ("D1", 2, 0.32)
    assert row["paper_mean"] == pytest.approx((0.31 + 0.38) / 2)
    assert row["ours_mean"] == pytest.approx((0.03 + 0.10) / 2)


def test_cells_without_partner_are_said(summary_of: Cells) -> None:
    sentences = partner_sentences(compare_with_paper(summary_of(sizes=(3, 40))))
    assert sentences[0].startswith("6 cells have a partner")
    assert "6 cells of ours without one there: N=40 in 6 blocks." in sentences


def test_a_summary_without_a_column_is_compared_in_the_others(summary_of: Cells) -> None:
    older = summary_of().drop(columns=["tnr_after", "delta_f1_vs_local_long"])
    found = cell(compare_with_paper(older), "D1", "supervised", "top_n", 10)
    assert pd.isna(found["ours_tnr_after"])
    assert found["ours_delta_f1"] == 0.1


def test_an_undefined_gain_counts_in_no_mean(summary_of: Cells) -> None:
    summary = summary_of()
    summary.loc[(summary["n_participants"] == 3).fillna(False), "delta_f1"] = float("nan")
    means = compare_means(compare_with_paper(summary))
    row = means[(means["paradigm"] == "supervised") & (means["policy"] == "top_n")].iloc[0]
    assert (row["n_cells"], row["paper_mean"], row["ours_mean"]) == (1, 0.38, 0.1)
