"""report.md: what the data is, where federation helped and where it did not, the tables, and how to read them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ftl.data.prepare_report import PART_NAMES, describe_report
from ftl.reporting.figures import draw_figures
from ftl.reporting.tables import arms_tables, caption, markdown, tables_like_the_paper

REPORT_FILE = "report.md"
FIGURES_FOLDER = "figures"

_ORIGINS = {
    "simulated": "**simulated telemetry**: its numbers say how the method behaves on the simulator, not on a machine",
    "real": "**real telemetry**",
}
_FIGURES = {
    "delta_f1": "Gain in F1 of the target nodes against their local model and, hatched, against a local model trained "
    "for as many gradient steps",
    "delta_f1_nodes": "The same gain against the local model, node by node",
    "training_loss": "Training loss of the cohorts over rounds",
}
_DEFINITIONS = """\
- A **target** did not take part in the federation whose model it receives. *Before* is its own local model, *after*
  the same node with the transferred model, both on the same test rows.
- The arms of a target: **zero_shot** takes the global model as it is, **transfer** fine-tunes its decoder with the
  encoder frozen, **full_fine_tune** fine-tunes all of it, **single_source** starts from one random node's model.
- **P, R, TNR, F1** are computed node by node (positive class: anomaly) and averaged over nodes, draws and seeds. Nodes
  without a test anomaly have no P, R or F1; they are left out there, and kept for TNR, FPR and the alarm rate.
- **F1 (AE)** and **F1 (FL)** are the participants' F1 with their own local model and with the global model as it is.
- **ΔF1** of a node is its mean over draws and seeds of F1 after - F1 before (same seed); the table gives the mean over
  target nodes with a 95 % bootstrap interval over nodes (over racks where racks are known). `*`: p (Holm) < 0.05.
  Under random_n a node counts if it was a target in at least one draw: more nodes than one draw has targets.
- **d** is Cohen's d_z: that mean over the standard deviation of ΔF1 over nodes. **p (Holm)** is the t-test of ΔF1
  against 0, corrected for all rows of the protocol that claim a gain.
- **local_long** is the control that a gain must also beat: the node's own model, trained for as many gradient steps as
  federation and fine-tuning take together.
- **centralised** pools the raw rows of all nodes: an upper reference that federation is meant to avoid.
- **FPR** is the share of normal test rows that raise an alarm. "-" means undefined or not computed.
- "of local there" is the local model's value on the same nodes: cohorts leave different nodes as targets, so rows of
  different cohorts are not on the same nodes.
"""


def write_report(
    folder: Path,
    summary: pd.DataFrame,
    results: pd.DataFrame,
    rounds: pd.DataFrame | None,
    fleets_reports: Mapping[str, dict[str, Any]],
    sentences: Sequence[str],
    verdicts: Sequence[str],
    params: Mapping[str, Any],
) -> None:
    """Write report.md and its figures into ``folder``; report.md comes last.

    Args:
        folder: Made where it is missing; files of an earlier report are replaced.
        summary: One row per (dataset, protocol, paradigm, policy, n_participants, arm).
        results: The results table.
        rounds: Columns dataset, paradigm, policy, n_participants, draw, seed, round, train_loss; or None.
        fleets_reports: ``Fleet.report`` by dataset.
        sentences: Where federation helped and where it did not, in a few sentences.
        verdicts: The verdict on every cell, a sentence each.
        params: The experiment's parameters.
    """
    origins = {dataset: str(report["origin"]) for dataset, report in fleets_reports.items()}
    figures = draw_figures(folder / FIGURES_FOLDER, summary, results, rounds, origins)
    parts = [
        "# Federated transfer learning on node telemetry\n",
        "## The data\n",
        _data(summary, results, fleets_reports),
        "## Did federation help?\n",
        _bullets(sentences) if sentences else "No cell could be compared: no node has a defined ΔF1.\n",
        *([_folded("Every cell, one by one", _bullets(verdicts))] if verdicts else []),
        *_pictures(figures, folder, "delta_f1"),
        "## Transfer to target nodes, as in the paper's Tables 2 to 4\n",
        *_tables(summary, results, origins, tables_like_the_paper, "Before and after transfer"),
        *_pictures(figures, folder, "delta_f1_nodes"),
        "## Every arm and baseline\n",
        *_tables(summary, results, origins, arms_tables, "All arms and baselines, averaged over nodes"),
        *_pictures(figures, folder, "training_loss"),
        "## What was done to the telemetry\n",
        *(_treatments(dataset, report) for dataset, report in fleets_reports.items()),
        "## How the numbers are defined\n",
        _DEFINITIONS,
        "## Parameters\n",
        f"```yaml\n{yaml.safe_dump(_plain(params), sort_keys=False, allow_unicode=True)}```\n",
    ]
    (folder / REPORT_FILE).write_text("\n".join(parts), encoding="utf-8")


def terminal_tables(summary: pd.DataFrame, arm: str = "transfer") -> list[Table]:
    """The tables of the paper, narrow enough for 80 columns, one per dataset, protocol and paradigm."""
    drawn = []
    for protocol, part in _by_protocol(summary):
        for (dataset, paradigm), rows in tables_like_the_paper(part, arm).items():
            title = f"{dataset}, {paradigm}, {protocol} protocol: F1 of targets before and after {arm}"
            table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
            table.collapse_padding = True
            columns = {
                "Policy": rows["Policy"],
                "N": rows["N"],
                "before": rows["F1 before"],
                "after": rows["F1 after"],
                "ΔF1 [95 % CI]": rows["ΔF1 [95 % CI]"],
                "d": rows["d"],
                "vs local_long": rows["ΔF1 vs local_long [95 % CI]"],
            }
            for heading in columns:
                # A square bracket would read as markup.
                table.add_column(escape(heading), justify="left" if heading == "Policy" else "right", no_wrap=True)
            for cells in zip(*columns.values(), strict=True):
                table.add_row(*map(escape, cells))
            drawn.append(table)
    return drawn


def _data(summary: pd.DataFrame, results: pd.DataFrame, fleets_reports: Mapping[str, dict[str, Any]]) -> str:
    lines = []
    for dataset in summary["dataset"].drop_duplicates():
        here = results[results["dataset"] == dataset]
        origin = fleets_reports.get(dataset, {}).get("origin")
        protocols = " and ".join(sorted(set(here["protocol"])))
        lines.append(
            f"{dataset}: {_ORIGINS.get(str(origin), 'telemetry of unknown origin')}. Nodes: "
            f"{here['node'].nunique()}; seeds: {here['seed'].nunique()}; {protocols} protocol."
        )
    degenerate = _degenerate(summary)
    if degenerate:
        lines.append(f"Cells whose statistics are partly undefined: {degenerate}.")
    return _bullets(lines)


def _degenerate(summary: pd.DataFrame) -> str:
    """Reasons and their counts over compared cells, e.g. "single node (2)"."""
    if "degenerate" not in summary:
        return ""
    reasons = summary.loc[summary["arm"] != "local", "degenerate"].dropna().astype(str)
    counts = reasons[~reasons.isin(["", "False"])].value_counts()
    return ", ".join(f"{reason} ({count})" for reason, count in counts.items())


def _tables(
    summary: pd.DataFrame,
    results: pd.DataFrame,
    origins: Mapping[str, str],
    make: Callable[[pd.DataFrame], dict[tuple[str, str], pd.DataFrame]],
    what: str,
) -> Iterator[str]:
    found = False
    for protocol, part in _by_protocol(summary):
        for (dataset, paradigm), table in make(part).items():
            found = True
            here = results[(results["dataset"] == dataset) & (results["paradigm"] == paradigm)]
            origin = origins.get(dataset, "origin unknown")
            title = caption(dataset, paradigm, protocol, origin, here["node"].nunique(), what)
            yield f"**{title}**\n\n{markdown(table)}"
    if not found:
        yield "There are no such rows in the summary.\n"


def _by_protocol(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for protocol in summary["protocol"].drop_duplicates():
        yield str(protocol), summary[summary["protocol"] == protocol]


def _pictures(figures: Mapping[tuple[str, str], Mapping[str, Path]], folder: Path, kind: str) -> Iterator[str]:
    for (dataset, protocol), files in figures.items():
        if kind in files:
            text = f"{_FIGURES[kind]}; {dataset}, {protocol} protocol"
            yield f"![{text}]({files[kind].relative_to(folder).as_posix()})\n\n*{text}.*\n"


def _treatments(dataset: str, report: Mapping[str, Any]) -> str:
    """The report in words (nodes left out among them), and below it, folded, every node and every dropped feature."""
    parts = [f"### {dataset}\n", _bullets(describe_report(dict(report)))]
    columns: dict[str, list[Any]] = {"Node": list(report["nodes"])}
    nodes = report["nodes"].values()
    columns |= {f"Rows {part}": [node["rows"][part] for node in nodes] for part in PART_NAMES}
    columns |= {f"Anomalies {part}": [node["anomalies"][part] for node in nodes] for part in ("train", "test")}
    for heading, name in {
        "Rows removed": "removed_rows",
        "of them anomalous": "removed_anomalous_rows",
        "Unknown labels": "unknown_labels",
        "Test values clipped": "clipped_test_values",
    }.items():
        columns[heading] = [node[name] for node in nodes]
    columns["Constant columns"] = [len(node.get("constant", [])) for node in nodes]
    columns["of them set to 0"] = [len(node["muted"]) for node in nodes]
    columns["Columns dropped"] = [len(node["dropped_columns"]) for node in nodes]
    columns["On reading"] = [_counts(node["treatments"]) for node in nodes]
    parts.append(_folded("Node by node", markdown(pd.DataFrame(columns))))
    if report["dropped_features"]:
        dropped = (f"`{name}`: {why}" for name, why in report["dropped_features"].items())
        parts.append(_folded("Features dropped", _bullets(dropped)))
    return "\n".join(parts)


def _counts(treatments: Mapping[str, int]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in treatments.items()) or "-"


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n</details>\n"


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _plain(value: Any) -> Any:
    """Parameters as YAML knows them: tuples and mappings of other types become lists and dicts."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
