"""Curves and timelines of chosen nodes."""

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.ranking import auroc
from ftl.reporting.pictures import curves, timelines
from ftl.reporting.pictures.chosen import chosen_nodes, series_of
from ftl.reporting.pictures.subject import Subject
from ftl.reporting.pictures.timelines import _broken


def rows_of(score, label, threshold=0.5) -> pd.DataFrame:
    return pd.DataFrame({"time": range(len(score)), "score": score, "threshold": threshold, "label": label})


def test_curves_pass_the_point_of_the_threshold() -> None:
    curve = curves.curve_of(rows_of([0.9, 0.8, 0.7, 0.2, 0.1], [1, 0, 1, 0, 1]), "local")
    assert curve.at == (pytest.approx(1 / 2), pytest.approx(2 / 3), pytest.approx(2 / 3))
    np.testing.assert_allclose(curve.fpr, [0, 0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(curve.recall, [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.precision, [1, 1, 1 / 2, 2 / 3, 1 / 2, 3 / 5])
    assert curve.prevalence == pytest.approx(0.6)


def test_the_area_under_a_thinned_curve_is_the_auroc() -> None:
    rng = np.random.default_rng(1)
    label = rng.random(20_000) < 0.05
    score = rng.normal(0, 1, 20_000) + label
    curve = curves.curve_of(rows_of(score, label.astype(int)), "local")
    assert len(curve.fpr) < 1000
    assert np.trapezoid(curve.recall, curve.fpr) == pytest.approx(auroc(score, label), abs=1e-3)


def test_rows_of_unknown_label_are_left_out_and_one_kind_of_rows_has_no_curve() -> None:
    label = pd.array([1, 0, None], dtype="Int8")
    assert curves.curve_of(rows_of([0.9, 0.1, 0.95], label), "local").prevalence == 0.5
    assert curves.curve_of(rows_of([0.9, 0.1], [0, 0]), "local") is None
    assert curves.curve_of(rows_of([0.9, 0.1], [1, 1]), "local") is None


def test_nothing_flagged_has_no_precision() -> None:
    at = curves.curve_of(rows_of([0.4, 0.1], [1, 0]), "local").at
    assert at[:2] == (0.0, 0.0)
    assert np.isnan(at[2])


def test_the_lower_row_shows_the_prevalence_and_arms_differ_in_line_and_marker(subject: Subject) -> None:
    table = subject.timelines
    found = {"a": [curves.curve_of(part, arm) for arm, part in series_of(table, "a")]}
    grid = curves.roc_pr(found, "d1").axes
    pr = grid[2]
    assert pr.get_xlabel() == "recall"
    assert pr.lines[0].get_ydata()[0] == pytest.approx(5 / 60)
    styles = [line.get_linestyle() for line in pr.lines[1:] if line.get_marker() in ("None", "")]
    assert styles == ["-", "--"]


def test_local_stands_above_transfer_and_titles_count_events_and_false_alarms(subject: Subject) -> None:
    table = subject.timelines
    series = [(node, arm, rows) for node in chosen_nodes(table) for arm, rows in series_of(table, node)]
    figure = timelines.score_timelines(series, True, "d1")
    assert [axes.get_title("left") for axes in figure.axes] == [
        f"{node}, {told}"
        for node in ("a", "b")
        for told in (
            "local: 0 of 1 event found, 1 of 1 flagged row false",
            "transfer: 1 of 1 event found, 1 of 6 flagged rows false",
        )
    ]
    assert figure.axes[-1].get_xlabel() == "time (UTC)"


def test_events_are_shaded_over_their_rows_and_alarms_marked_by_kind(subject: Subject) -> None:
    rows = subject.timelines.query("node == 'a' and arm == 'transfer'").assign(time=range(60))
    axes = timelines.score_timelines([("a", "transfer", rows)], False, "d1").axes[0]
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == (9.5, 5.0)
    marks = {line.get_marker(): [*line.get_xdata()] for line in axes.lines if line.get_marker() in "|x"}
    assert marks == {"|": [10, 11, 12, 13, 14], "x": [30]}
    assert axes.get_xlabel() == "time step"


def test_a_threshold_that_is_not_positive_leaves_the_score_as_it_is(subject: Subject) -> None:
    rows = rows_of(np.linspace(-1, 1, 9), [0] * 9, threshold=-0.5)
    figure = timelines.score_timelines([("a", "local", rows)], False, "d1")
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), np.linspace(-1, 1, 9))
    assert figure.get_supylabel() == "anomaly score (own unit)"
    endless = rows.assign(threshold=np.inf)
    assert timelines.score_timelines([("a", "local", endless)], False, "d1").axes[0].get_ylim()[1] < 10


def test_a_threshold_that_changes_is_drawn_as_a_line() -> None:
    threshold = np.r_[np.full(20, 0.5), np.linspace(0.5, 0.9, 20)]
    rows = rows_of(np.full(40, 0.6), [0] * 40, threshold=threshold)
    figure = timelines.score_timelines([("a", "local", rows)], False, "d1")
    axes = figure.axes[0]
    (line,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(line.get_ydata(), threshold)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.6)
    assert figure.get_supylabel() == "anomaly score (own unit)"
    marks = [line for line in axes.lines if line.get_marker() == "x"]
    np.testing.assert_array_equal(marks[0].get_xdata(), np.flatnonzero(threshold < 0.6))


def test_scores_over_orders_of_magnitude_have_a_logarithmic_scale_and_zeros_do_no_harm() -> None:
    score = np.full(50, 0.01)
    score[7] = 40.0
    for lowest, scale in ((0.01, "log"), (0.0, "linear")):
        score[3] = lowest
        axes = timelines.score_timelines([("a", "local", rows_of(score, [0] * 50))], False, "d1").axes[0]
        assert axes.get_yscale() == scale


def test_a_long_line_keeps_its_peaks() -> None:
    score = np.full(40_000, 0.1)
    score[31_234] = 0.45
    axes = timelines.score_timelines([("a", "local", rows_of(score, [0] * 40_000))], False, "d1").axes[0]
    assert len(axes.lines[0].get_ydata()) < 2000
    assert axes.lines[0].get_ydata().max() == pytest.approx(0.9)


def test_the_first_seed_is_shown_in_order_of_time(subject: Subject) -> None:
    table = pd.concat([subject.timelines.assign(seed=5, score=9.0), subject.timelines.iloc[::-1]])
    (_, local), _ = series_of(table, "a")
    assert local["time"].is_monotonic_increasing
    assert set(local["seed"]) == {0}
    assert len(local) == 60


def test_no_line_is_drawn_where_rows_are_missing() -> None:
    time = np.r_[0.0:10.0, 40.0:50.0]
    at, value = _broken(time, np.ones(20), time)
    assert at[np.isnan(value)].tolist() == [24.5]
    assert np.isnan(_broken(time[:10], np.ones(10), time[:10])[1]).sum() == 0
