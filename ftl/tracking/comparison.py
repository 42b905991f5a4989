"""What a user wants to see first in MLflow's pages: runs side by side, where transfer helps, and the cold start.

All are addresses. Charts are a shared view as MLflow's own button makes it: its state stands in a tag of the
experiment, and the address names the tag.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from ftl.tracking.coldstart_records import EXPERIMENT as COLDSTART_EXPERIMENT
from ftl.tracking.results_records import EXPERIMENTS

COMPARED_ARMS = ("transfer", "local_long", "zero_shot")
"""The arm that is claimed, the control it must beat besides local, and the global model before fine-tuning."""
MAX_COMPARED = 100
VIEW = "ftl"
_TAG = f"mlflow.sharedViewState.{VIEW}"
_SECTION = "ftl-transfer"
COLDSTART_CHARTS = ("f1", "fpr", "auroc", "alarms_per_node_day", "delta_f1", "delta_auroc")
_COLDSTART_COLUMNS = (
    *(f"tags.`{name}`" for name in ("dataset", "arm", "usable", "step_unit")),
    *(f"metrics.`{name}`" for name in ("hours_until_usable", "f1_full", "fpr_full")),
)
_COLUMNS = (
    *(f"tags.`{name}`" for name in ("dataset", "paradigm", "policy", "n_participants")),
    *(f"metrics.`{name}`" for name in ("delta_f1", "ci_low", "ci_high", "cohens_d", "p_holm", "share_harmed")),
)


@dataclass(frozen=True)
class Prepared:
    """Addresses on a running server: the chosen cells compared, and the charts of transfer."""

    comparison: str
    charts: str


def prepare_comparison(server: str) -> Prepared | None:
    """Choose the cells recorded last, all of one results folder, and set up the view of their charts.

    Args:
        server: Address of a running MLflow server, without a slash at its end.

    Returns:
        None where there are no cells, or the server does not say.
    """
    try:
        experiment, results = _newest(server, EXPERIMENTS["cell"])
        runs = compared(_search(server, experiment, f"tags.results = '{results}'", 1000))
        _share(server, experiment, view_state(results))
    except (URLError, OSError, LookupError, ValueError):
        return None
    return Prepared(compare_page(server, experiment, runs), charts_page(server, experiment))


def prepare_coldstart(server: str) -> str | None:
    """Set up the view of the cold start recorded last, and return its address; None as above."""
    try:
        experiment, results = _newest(server, COLDSTART_EXPERIMENT)
        _share(server, experiment, coldstart_view(results))
    except (URLError, OSError, LookupError, ValueError):
        return None
    return charts_page(server, experiment)


def compared(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of up to MAX_COMPARED runs: all arms of COMPARED_ARMS in that order, or all runs where there are none."""
    by_arm = [[run for run in runs if _tags(run).get("arm") == arm] for arm in COMPARED_ARMS]
    chosen = [run for of_arm in by_arm for run in of_arm] or list(runs)
    return [str(run["info"]["run_id"]) for run in chosen[:MAX_COMPARED]]


def compare_page(server: str, experiment: str, run_ids: Sequence[str]) -> str:
    """MLflow's page that compares these runs."""
    runs, experiments = (quote(json.dumps(list(ids), separators=(",", ":"))) for ids in (run_ids, [experiment]))
    return f"{server}/#/compare-runs?runs={runs}&experiments={experiments}&workflowType=machine_learning"


def charts_page(server: str, experiment: str) -> str:
    """MLflow's charts of the experiment in our view."""
    view = f"viewStateShareKey={VIEW}&compareRunsMode=CHART&workflowType=machine_learning"
    return f"{server}/#/experiments/{experiment}/runs?{view}"


def view_state(results: str) -> dict[str, Any]:
    """The state of the view: cells of transfer of one results folder, grouped by dataset and paradigm."""
    groups = [{"mode": "tag", "groupByData": name} for name in ("dataset", "paradigm")]
    only = f"tags.arm = 'transfer' and tags.results = '{results}'"
    view = _view(only, _COLUMNS, "Where transfer helps", _charts())
    return view | {"groupBy": {"aggregateFunction": "average", "groupByKeys": groups}}


def coldstart_view(results: str) -> dict[str, Any]:
    """The state of the view: every arm of one cold start, its metrics over the length of history (a log scale)."""
    charts = [_line(name, x_scale="log") for name in COLDSTART_CHARTS]
    return _view(f"tags.results = '{results}'", _COLDSTART_COLUMNS, "By length of history", charts)


def _view(only: str, columns: Sequence[str], title: str, charts: list[dict[str, Any]]) -> dict[str, Any]:
    section = {"uuid": _SECTION, "name": title, "display": True}
    section |= {"isReordered": True, "deleted": False, "isGenerated": False}
    return {
        "searchFilter": only,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(columns),
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "compareRunSections": [section],
        "compareRunCharts": charts,
    }


def _charts() -> list[dict[str, Any]]:
    return [
        _chart("BAR", "delta_f1", metricKey="delta_f1"),
        _chart("BAR", "delta_f1_vs_local_long", metricKey="delta_f1_vs_local_long"),
        _chart("BAR", "share_harmed", metricKey="share_harmed"),
        _line("round_train_loss"),
        _line("delta_f1_by_seed"),
        _chart("SCATTER", "f1", xaxis=_axis("f1_before"), yaxis=_axis("f1_after")),
    ]


def _chart(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    plain = {"type": kind, "uuid": f"ftl-{name}", "metricSectionId": _SECTION}
    return {**plain, "runsCountToCompare": 10, "deleted": False, "isGenerated": False, **settings}


def _line(metric: str, x_scale: str = "linear") -> dict[str, Any]:
    scales = {"scaleType": "linear", "xAxisScaleType": x_scale, "xAxisKey": "step", "yAxisKey": "metric"}
    plain = {"selectedXAxisMetricKey": "", "range": {}, "yAxisExpressions": [], "lineSmoothness": 0}
    settings = {**scales, **plain, "useGlobalLineSmoothing": True, "useGlobalXaxisKey": True}
    return _chart("LINE", metric, metricKey=metric, selectedMetricKeys=[metric], **settings)


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _newest(server: str, experiment: str) -> tuple[str, str]:
    """(id of the experiment, results that its latest run belongs to); raises LookupError where there is none."""
    found = _ask(server, f"experiments/get-by-name?experiment_name={quote(experiment)}")
    number = str(found["experiment"]["experiment_id"])
    return number, _tags(_search(server, number, "", 1)[0])["results"]


def _share(server: str, experiment: str, view: Mapping[str, Any]) -> None:
    """Put a view where an address can name it."""
    tag = {"experiment_id": experiment, "key": _TAG, "value": json.dumps(view)}
    _ask(server, "experiments/set-experiment-tag", tag)


def _search(server: str, experiment: str, only: str, n: int) -> list[dict[str, Any]]:
    question = {
        "experiment_ids": [experiment],
        "filter": only,
        "max_results": n,
        "order_by": ["attributes.start_time DESC"],
    }
    return list(_ask(server, "runs/search", question).get("runs", []))


def _tags(run: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}


def _ask(server: str, path: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    body = None if content is None else json.dumps(content).encode()
    request = Request(f"{server}/api/2.0/mlflow/{path}", data=body, headers={"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)
