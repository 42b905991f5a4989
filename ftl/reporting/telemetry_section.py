"""What was done to the telemetry: in words, and folded below it every node and every dropped feature."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ftl.data.prepare_report import PART_NAMES, describe_report
from ftl.reporting.blocks import Block, Bullets, Fold, Paragraph, ReportTable
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import caption

_COUNTS = {
    "Rows removed": "removed_rows",
    "of them anomalous": "removed_anomalous_rows",
    "Unknown labels": "unknown_labels",
    "Test values clipped": "clipped_test_values",
}


def telemetry_blocks(run: RunTables) -> list[Block]:
    """One part per dataset with a known report."""
    blocks: list[Block] = []
    for dataset, protocol in run.scopes:
        report = run.fleets.get(dataset, {}).get("report")
        if not report:
            continue
        blocks.append(Paragraph(f"**{run.where(dataset, protocol)}**"))
        blocks.append(Bullets(tuple(describe_report(dict(report)))))
        table = nodes_table(report)
        title = caption(run, "What was done to each node", dataset, protocol)
        numbers = table.assign(dataset=dataset, protocol=protocol)
        blocks.append(Fold("Node by node", (ReportTable("telemetry", title, table.astype(str), numbers),)))
        if report["dropped_features"]:
            dropped = tuple(f"`{name}`: {why}" for name, why in report["dropped_features"].items())
            blocks.append(Fold("Features dropped", (Bullets(dropped),)))
    return blocks


def nodes_table(report: Mapping[str, Any]) -> pd.DataFrame:
    """Rows, anomalies and treatments of each node of a fleet's report."""
    nodes = list(report["nodes"].values())
    columns: dict[str, list[Any]] = {"Node": list(report["nodes"])}
    columns |= {f"Rows {part}": [node["rows"][part] for node in nodes] for part in PART_NAMES}
    columns |= {f"Anomalies {part}": [node["anomalies"][part] for node in nodes] for part in ("train", "test")}
    columns |= {heading: [node[name] for node in nodes] for heading, name in _COUNTS.items()}
    columns["Constant columns"] = [len(node.get("constant", [])) for node in nodes]
    columns["of them set to 0"] = [len(node["muted"]) for node in nodes]
    columns["Columns dropped"] = [len(node["dropped_columns"]) for node in nodes]
    columns["On reading"] = [_counts(node["treatments"]) for node in nodes]
    return pd.DataFrame(columns)


def _counts(treatments: Mapping[str, int]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in treatments.items()) or "-"
