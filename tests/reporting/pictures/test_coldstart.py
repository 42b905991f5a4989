from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.significance import bootstrap_interval
from ftl.reporting.coldstart_subject import cold_subjects
from ftl.reporting.pictures import coldstart
from tests.reporting.synthetic_coldstart import CARD, F1, NODES, SHIFT, synthetic_coldstart


@pytest.fixture(scope="module")
def cold():
    (only,) = cold_subjects(synthetic_coldstart(), {"d1": CARD}, {}, "origin unknown")
    return only


@pytest.fixture(scope="module")
def drawn(cold):
    return list(coldstart.pictures(cold))


def figure_of(cold):
    metrics = ("f1", "fpr", "auroc")
    return coldstart.against_history(coldstart.means_over_nodes(cold, metrics), metrics, cold, "title")


def test_a_line_holds_the_means_and_its_band_the_interval_over_nodes(cold):
    means = coldstart.means_over_nodes(cold, ("f1",))
    mine = means[means["arm"] == "transfer_policy"]
    assert mine["mean"].tolist() == pytest.approx(F1["transfer_policy"])
    found = bootstrap_interval(np.array([F1["transfer_policy"][0] + SHIFT[node] for node in NODES]))
    assert (mine["low"].iloc[0], mine["high"].iloc[0]) == pytest.approx((found.low, found.high))
    (axes, *_) = figure_of(cold).axes
    drawn = [line for line in axes.get_lines() if len(line.get_xdata()) == 4]
    assert len(drawn) == len(coldstart.ARMS)
    assert list(drawn[0].get_ydata()) == pytest.approx(F1["transfer_policy"])


def test_hours_stand_on_a_logarithmic_axis_with_the_whole_history_last(cold):
    assert coldstart.places(cold) == [2, 24, 168, 500]
    (axes, *_) = figure_of(cold).axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2 h", "24 h", "7 d", "all"]


def test_a_whole_history_that_is_shorter_on_average_still_stands_right_of_all_others(cold):
    summary = cold.tables.summary.copy()
    summary.loc[summary["full"], "hours"] = 100.0
    assert coldstart.places(replace(cold, tables=replace(cold.tables, summary=summary))) == [2, 24, 168, 252]


def test_the_usable_region_begins_at_the_f1_and_ends_at_the_rate_of_the_rule(cold):
    f1, fpr, auroc = figure_of(cold).axes
    (above,), (below,) = f1.patches, fpr.patches
    assert above.get_y() == pytest.approx(0.36)
    assert below.get_y() + below.get_height() == pytest.approx(0.06)
    assert not auroc.patches


def test_the_pictures_have_words_and_equal_tables_give_equal_bytes(cold, drawn):
    assert tuple(picture.kind for picture in drawn) == coldstart.KINDS
    assert next(coldstart.pictures(cold)).png == drawn[0].png
    assert "transfer_policy after 2 h" in drawn[0].caption
    assert all(picture.title.startswith("d1 (real, 6 nodes), rigorous protocol: ") for picture in drawn)
    assert all(picture.title in picture.alt for picture in drawn)


def test_without_the_rows_there_are_lines_and_no_bands(cold):
    bare = replace(cold, tables=replace(cold.tables, rows=pd.DataFrame(), usable=pd.DataFrame()))
    assert coldstart.means_over_nodes(bare, ("f1",))["low"].isna().all()
    assert "usable where" not in next(coldstart.pictures(bare)).caption


def test_one_length_of_history_is_no_line(cold):
    summary = cold.tables.summary[cold.tables.summary["full"]]
    assert list(coldstart.pictures(replace(cold, tables=replace(cold.tables, summary=summary)))) == []


def test_where_no_target_has_a_test_anomaly_the_panels_stand_empty(cold):
    means = coldstart.means_over_nodes(cold, ("f1", "fpr", "auroc"))
    means.loc[means["metric"] != "fpr", ["mean", "low", "high"]] = np.nan
    usable = cold.tables.usable.assign(f1_needed=np.nan)
    blind = replace(cold, tables=replace(cold.tables, usable=usable))
    f1, _, auroc = coldstart.against_history(means, ("f1", "fpr", "auroc"), blind, "title").axes
    assert f1.get_ylim() == auroc.get_ylim() == (0, 1)
    assert not f1.patches
