"""A results folder as runs of MLflow.

Three levels, each an experiment of its own so that its list shows one kind of run, and each run tagged with its
``level``:

- ``ftl`` (level cell): one run per row of summary.csv, the mean over nodes and seeds with its interval;
- ``ftl seeds`` (level seed): one run per cell and seed, with that seed's means over nodes;
- ``ftl reports`` (level report): one run per dataset, with the report, its figures, the tables and headline numbers.

Runs are flat, because MLflow's pages fold nested runs away and leave them out of their charts, and are grouped by their
tags: dataset, protocol, paradigm, policy, n_participants, arm, seed, origin, lineage (what a dataset's results were
made from), results (the same of all datasets of a folder), git_commit, params_hash, dvc_md5.

Metrics have few fixed names, because the pages slow down with their number; what differs by node stands in the artifact
``node_table.csv`` and what else a summary row says in ``summary_row.json``:

- on cells: CELL_METRICS (columns of summary.csv under their names) and COST_METRICS (means over nodes, draws and seeds
  of the columns of results.parquet); the series ``delta_f1_by_seed`` (step: number of the seed in ascending order) and
  ``round_<column>`` for the columns of rounds.csv, such as ``round_train_loss`` (means over draws and seeds);
- on seeds: SEED_METRICS, by the same functions as the summary;
- on reports: ``<name>_<paradigm>`` for HEADLINE_METRICS.

NaN is left out, and an infinite value is named in the tag ``infinite`` instead, as no MLflow store keeps it.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.comparison import target_runs
from ftl.evaluation.headline import headline, overview_sentences
from ftl.evaluation.summary import summarise
from ftl.tracking.cells import CELL, Cell, cells_of, keys, rows_by_cell
from ftl.tracking.record import Point, RunRecord
from ftl.tracking.record_parts import csv_lines, csv_of, dataset_input, params_of, report_files, timed
from ftl.tracking.results_folder import PARAMS, TABLES, ResultsFolder

EXPERIMENTS = {"cell": "ftl", "seed": "ftl seeds", "report": "ftl reports"}

CELL_METRICS = (
    *("delta_f1", "ci_low", "ci_high", "cohens_d", "p_t", "p_wilcoxon", "p_holm", "significant"),
    *("delta_f1_vs_local_long", "ci_low_vs_local_long", "ci_high_vs_local_long", "delta_auroc"),
    *("cohens_d_av", "hedges_g", "f1_local_participants", "f1_federated_participants"),
    *("precision_before", "recall_before", "tnr_before", "f1_before"),
    *("precision_after", "recall_after", "tnr_after", "f1_after", "f1_worst_decile", "fpr_after"),
    *("auroc_before", "auroc_after", "auprc_after", "alarms_per_node_day_after"),
    *("share_harmed", "n_nodes", "n_targets"),
)
SEED_METRICS = (
    *("delta_f1", "cohens_d", "delta_f1_vs_local_long", "delta_auroc", "f1_before", "f1_after"),
    *("precision_after", "recall_after", "fpr_after", "auroc_after", "auprc_after", "share_harmed", "n_nodes"),
)
COST_METRICS = ("training_seconds", "bytes_sent", "bytes_received")
HEADLINE_METRICS = ("delta_f1", "delta_f1_vs_local_long", "auroc_best_arm", "auroc_best_baseline")

_NOT_SERIES = {"seed", "draw", "n_participants", "round"}


def results_records(content: ResultsFolder, now: int | None = None) -> list[RunRecord]:
    """All runs of a results folder: cells in the order of the summary, then seeds, then reports.

    Args:
        content: The folder, read.
        now: Milliseconds since 1970, the start of the first run; the list shall stand in the order of the summary.
    """
    of_seed = _summaries_by_seed(content)
    records = [
        *_cell_records(content, of_seed),
        *_seed_records(content, of_seed),
        *_report_records(content),
    ]
    return timed(records, int(time.time() * 1000) if now is None else now)


def _cell_records(content: ResultsFolder, of_seed: Mapping[int, pd.DataFrame]) -> Iterator[RunRecord]:
    digits, node_tables = _digits(content.summary), _node_tables(content.results)
    series, costs, params = _round_series(content.rounds), _costs(content.results), _params(content)
    gains = _gains_by_seed(of_seed)
    for row, cell in zip(content.summary.to_dict("records"), cells_of(content.summary), strict=True):
        numbers, texts = _numbers_and_texts(row, CELL_METRICS)
        points = [Point(name, value) for name, value in {**numbers, **costs.get(cell, {})}.items()]
        points += [Point("delta_f1_by_seed", value, step) for step, value in gains.get(cell, [])]
        points += series.get(cell[:-1], []) or series.get(cell._replace(protocol="")[:-1], [])
        artifacts = {"node_table.csv": node_tables[cell], "summary_row.json": _json_of(row)}
        settings = params[cell.dataset] | cell.texts()
        yield _record(content, "cell", cell, cell.run_name(digits), texts, settings, points, artifacts)


def _seed_records(content: ResultsFolder, of_seed: Mapping[int, pd.DataFrame]) -> Iterator[RunRecord]:
    digits, params = _digits(content.summary), _params(content)
    for seed, summary in of_seed.items():
        for row, cell in zip(summary.to_dict("records"), cells_of(summary), strict=True):
            numbers, texts = _numbers_and_texts(row, SEED_METRICS)
            points = [Point(name, value) for name, value in numbers.items()]
            tags = {"seed": str(seed)} | ({"infinite": texts["infinite"]} if "infinite" in texts else {})
            settings = params[cell.dataset] | cell.texts() | {"seed": str(seed)}
            yield _record(content, "seed", cell, cell.run_name(digits, seed), tags, settings, points, {})


def _report_records(content: ResultsFolder) -> Iterator[RunRecord]:
    params = _params(content)
    for protocol, datasets in headline(content.summary).items():
        for dataset, paradigms in datasets.items():
            rows = content.summary[(content.summary["dataset"] == dataset) & (content.summary["protocol"] == protocol)]
            points = [
                Point(f"{name}_{paradigm}", float(numbers[name]))
                for paradigm, numbers in paradigms.items()
                for name in HEADLINE_METRICS
                if numbers.get(name) is not None
            ]
            tags = {"dataset": dataset, "protocol": protocol, "cell": f"{dataset}/{protocol}"}
            tags["mlflow.note.content"] = "\n\n".join(overview_sentences(rows))
            name = f"{dataset} report" + ("" if protocol == "rigorous" else f" ({protocol} protocol)")
            artifacts = _report_artifacts(content, dataset)
            yield _record(content, "report", dataset, name, tags, params[dataset], points, artifacts)


def _record(
    content: ResultsFolder,
    level: str,
    cell: Cell | str,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    points: list[Point],
    artifacts: Mapping[str, str | Path],
) -> RunRecord:
    dataset = cell.dataset if isinstance(cell, Cell) else cell
    own = cell.tags() if isinstance(cell, Cell) else {}
    return RunRecord(
        experiment=EXPERIMENTS[level],
        name=name,
        tags={**tags, **own, **content.lineage.tags(dataset), "level": level},
        params=params,
        points=tuple(points),
        inputs=(dataset_input(content.lineage, dataset),),
        artifacts=artifacts,
        start=0,
        end=0,
    )


def _params(content: ResultsFolder) -> dict[str, dict[str, str]]:
    """dataset -> its parameters, flat."""
    return {str(name): params_of(content.params, str(name)) for name in content.summary["dataset"].unique()}


def _summaries_by_seed(content: ResultsFolder) -> dict[int, pd.DataFrame]:
    seeds = sorted(int(seed) for seed in content.results["seed"].unique())
    return {seed: summarise(content.results[content.results["seed"] == seed], content.racks) for seed in seeds}


def _gains_by_seed(of_seed: Mapping[int, pd.DataFrame]) -> dict[Cell, list[tuple[int, float]]]:
    gains: dict[Cell, list[tuple[int, float]]] = {}
    for step, summary in enumerate(of_seed.values()):
        for cell, value in zip(cells_of(summary), summary["delta_f1"], strict=True):
            if math.isfinite(value):
                gains.setdefault(cell, []).append((step, float(value)))
    return gains


def _costs(results: pd.DataFrame) -> dict[Cell, dict[str, float]]:
    """What an arm costs a node: means over its targets, draws and seeds, of what was measured."""
    names = [name for name in COST_METRICS if name in results]
    mean = target_runs(results).groupby(CELL, dropna=False)[names].mean().reset_index()
    values = mean[names].astype("float64").to_numpy()
    return {
        cell: {name: float(value) for name, value in zip(names, row, strict=True) if math.isfinite(value)}
        for cell, row in zip(cells_of(mean), values, strict=True)
    }


def _round_series(rounds: pd.DataFrame | None) -> dict[tuple[Any, ...], list[Point]]:
    """Points by the key of a cell without its arm; protocol is "" where the table has none."""
    if rounds is None or rounds.empty:
        return {}
    if "protocol" not in rounds:
        rounds = rounds.assign(protocol="")
    key = CELL[:-1]
    names = [n for n in rounds.columns if n not in _NOT_SERIES and pd.api.types.is_numeric_dtype(rounds[n])]
    mean = rounds.groupby([*key, "round"], observed=True)[names].mean().reset_index()
    series: dict[tuple[Any, ...], list[Point]] = {}
    for name in names:
        for cohort, round_, value in zip(keys(mean, key), mean["round"], mean[name], strict=True):
            if math.isfinite(value):
                series.setdefault(cohort, []).append(Point(f"round_{name}", float(value), int(round_)))
    return series


def _numbers_and_texts(row: Mapping[Any, Any], metrics: tuple[str, ...]) -> tuple[dict[str, float], dict[str, str]]:
    numbers: dict[str, float] = {}
    infinite = []
    for name in metrics:
        value = row.get(name)
        if isinstance(value, Real | np.bool_):
            number = float(value)
            if math.isinf(number):
                infinite.append(name)
            elif not math.isnan(number):
                numbers[name] = number
    texts = {str(name): value for name, value in row.items() if isinstance(value, str) and name not in CELL}
    return numbers, texts | ({"infinite": ", ".join(infinite)} if infinite else {})


def _node_tables(results: pd.DataFrame) -> dict[Cell, str]:
    """Cell -> its rows of the results table as csv."""
    header, lines = csv_lines(results)
    return {cell: csv_of(header, [lines[row] for row in rows]) for cell, rows in rows_by_cell(results).items()}


def _json_of(row: Mapping[Any, Any]) -> str:
    plain = {}
    for name, value in row.items():
        missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
        plain[str(name)] = None if missing else value.item() if isinstance(value, np.generic) else value
    return json.dumps(plain, indent=1, default=str) + "\n"


def _digits(summary: pd.DataFrame) -> int:
    counts = [cell.n_participants for cell in cells_of(summary) if cell.n_participants is not None]
    return max([2, *(len(str(n)) for n in counts)])


def _report_artifacts(content: ResultsFolder, dataset: str) -> dict[str, str | Path]:
    """The report with its figures (those named after another dataset left out), the tables and the parameters."""
    datasets = [str(name) for name in content.summary["dataset"].unique()]
    found: dict[str, str | Path] = {**report_files(content.folder / "report", dataset, datasets)}
    found["summary.csv"] = _rows_of(content.summary, dataset)
    if content.rounds is not None:
        found["rounds.csv"] = _rows_of(content.rounds, dataset)
    for name in TABLES:
        if (content.folder / name).is_file():
            found[name] = _rows_of(pd.read_csv(content.folder / name, dtype=str, keep_default_na=False), dataset)
    if content.params:
        found[PARAMS] = json.dumps(content.params, indent=1, default=str) + "\n"
    if dataset in content.fleets:
        found["fleet.json"] = json.dumps(content.fleets[dataset], indent=1, default=str) + "\n"
    return found


def _rows_of(table: pd.DataFrame, dataset: str) -> str:
    own = table[table["dataset"] == dataset] if "dataset" in table else table
    return own.to_csv(index=False, lineterminator="\n")
