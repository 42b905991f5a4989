"""Which runs are compared first, and what the addresses hold."""

import json
from urllib.parse import parse_qs, unquote

from ftl.tracking.coldstart_records import SERIES
from ftl.tracking.comparison import (
    charts_page,
    coldstart_view,
    compare_page,
    compared,
    prepare_coldstart,
    prepare_comparison,
    view_state,
)
from ftl.tracking.results_records import CELL_METRICS


def run(number, arm):
    return {"info": {"run_id": f"r{number}"}, "data": {"tags": [{"key": "arm", "value": arm}]}}


def test_transfer_comes_first_then_its_controls_and_nothing_else():
    runs = [run(k, arm) for k, arm in enumerate(["zero_shot", "pca", "transfer", "local_long", "transfer"])]
    assert compared(runs) == ["r2", "r4", "r3", "r0"]


def test_no_more_are_compared_than_a_page_bears():
    assert len(compared([run(k, "transfer") for k in range(300)])) == 100


def test_without_those_arms_all_are_compared():
    assert compared([run(0, "pca"), run(1, "ecod")]) == ["r0", "r1"]


def test_the_comparison_names_runs_and_experiment():
    address = compare_page("http://127.0.0.1:5000", "3", ["a", "b"])
    start, _, query = address.partition("?")
    assert start == "http://127.0.0.1:5000/#/compare-runs"
    assert json.loads(unquote(parse_qs(query)["runs"][0])) == ["a", "b"]
    assert json.loads(parse_qs(query)["experiments"][0]) == ["3"]
    assert "viewStateShareKey=ftl" in charts_page("http://127.0.0.1:5000", "3")


def test_the_view_shows_metrics_that_cells_have_of_one_results_folder():
    state = view_state("abc")
    assert "tags.results = 'abc'" in state["searchFilter"]
    names = [chart.get("metricKey") or chart["xaxis"]["key"] for chart in state["compareRunCharts"]]
    assert set(names) <= {*CELL_METRICS, "round_train_loss", "delta_f1_by_seed"}
    shown = [column.split("`")[1] for column in state["selectedColumns"] if column.startswith("metrics")]
    assert set(shown) <= set(CELL_METRICS)


def test_the_view_of_a_cold_start_shows_every_arm_over_the_length_of_history():
    state = coldstart_view("abc")
    assert state["searchFilter"] == "tags.results = 'abc'"
    assert "groupBy" not in state
    charts = state["compareRunCharts"]
    assert {chart["metricKey"] for chart in charts} <= {*SERIES, "delta_f1", "delta_auroc"}
    assert {(chart["type"], chart["xAxisKey"], chart["xAxisScaleType"]) for chart in charts} == {
        ("LINE", "step", "log")
    }


def test_a_server_that_does_not_answer_has_no_comparison():
    assert prepare_comparison("http://127.0.0.1:9") is None
    assert prepare_coldstart("http://127.0.0.1:9") is None
