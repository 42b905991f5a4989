"""A described fleet as small tables of text, for a terminal and for a page alike."""

from collections.abc import Callable

import pandas as pd

from ftl.data.inspection import Description
from ftl.data.inspection.tables import DRIFTED, MODERATE
from ftl.data.inspection.words import UNDEFINED, count, duration, moment, percent
from ftl.reporting.text_table import TextTable, number, text_table, whole


def overview(description: Description) -> list[tuple[str, str]]:
    """The fleet in a dozen lines: what, and how much."""
    totals, inspection = description.totals, description.inspection
    unit = inspection.time_unit
    nodes = count(totals["nodes"], "node")
    aside = [f"{totals[key]} {what}" for key, what in (("nodes_unreadable", "unreadable"), ("nodes_empty", "empty"))
             if totals[key]]  # fmt: skip
    nodes += f" ({', '.join(aside)})" if aside else ""
    racks = count(totals["racks"], "rack") if totals["racks"] else "racks unknown"
    declared = totals["window_declared_seconds"]
    length = None if totals["first"] is None else totals["last"] - totals["first"]
    gaps = "none"
    if totals["gaps"]:
        share = totals["missing_windows"] / (totals["missing_windows"] + totals["rows"])
        gaps = f"{totals['gaps']:,}, {count(totals['missing_windows'], 'window')} missing in them ({percent(share)}), "
        gaps += f"longest {duration(totals['longest_gap'], unit)}"
    labelled = f"{totals['normal']:,} normal, {totals['anomalous']:,} anomalous ({percent(totals['anomaly_rate'])}), "
    without = totals["nodes_without_anomalies"]
    return [
        ("Telemetry", f"{inspection.origin}" + (", prepared" if description.report else "")),
        ("Nodes", f"{nodes}, {racks}"),
        ("Rows", f"{totals['rows']:,}"),
        ("Period", "-" if length is None else f"{moment(totals['first'], unit)} to {moment(totals['last'], unit)}"
         + (" UTC" if unit == "seconds" else "") + f" ({duration(length, unit)})"),
        ("Window", f"{duration(totals['window_found'], unit)} found, "
         + (f"{duration(declared, 'seconds')} declared" if declared else "none declared")),
        ("Gaps", gaps),
        ("Columns", f"{totals['columns']:,}, of them {totals['common_columns']:,} with values on every node"
         + (f"; units known of {len(inspection.units):,}" if inspection.units else "")),
        ("Labels", labelled + f"{totals['unknown']:,} unknown"),
        ("Anomalies", f"{count(totals['anomaly_events'], 'event')}; {count(without, 'node')} without any"),
    ]  # fmt: skip


def labels_by_rack(description: Description) -> TextTable:
    """Label rates per rack, the highest first."""
    racks = description.racks.sort_values("anomaly_rate", ascending=False, kind="stable")
    return text_table(
        "Labels by rack", racks, {
            "Rack": ("rack", str), "Nodes": ("nodes", whole), "Rows": ("rows", whole),
            "Anomalous": ("anomalous", whole), "Unknown": ("unknown", whole),
            "Anomalous share of labelled": ("anomaly_rate", percent),
        }, "description.json",
    )  # fmt: skip


def labels_by_node(description: Description) -> TextTable:
    """Label rates per node, the highest first."""
    nodes = description.nodes.sort_values("anomaly_rate", ascending=False, kind="stable")
    return text_table(
        "Labels by node", nodes, {
            "Node": ("node", str), "Rows": ("rows", whole), "Anomalous": ("anomalous", whole),
            "Share of labelled": ("anomaly_rate", percent), "Events": ("anomaly_events", whole),
            "In the test part": ("anomalous_later", whole), "Unknown": ("unknown", whole),
        }, "nodes.csv",
    )  # fmt: skip


def gaps_by_node(description: Description) -> TextTable:
    """Nodes with gaps or incomplete rows, the most missing windows first."""
    unit = description.inspection.time_unit
    nodes = description.nodes
    nodes = nodes[(nodes["gaps"] > 0) | (nodes["incomplete_rows"] > 0) | (nodes["rows"] == 0)]
    nodes = nodes.sort_values(["missing_windows", "incomplete_rows"], ascending=False, kind="stable")
    return text_table(
        "Gaps and incomplete rows by node", nodes, {
            "Node": ("node", str), "Rows": ("rows", whole), "Gaps": ("gaps", whole),
            "Windows missing": ("missing_windows", whole),
            "Longest gap": ("longest_gap", lambda units: duration(units, unit) if units else UNDEFINED),
            "after": ("longest_gap_after", lambda at: UNDEFINED if pd.isna(at) else moment(int(at), unit)),
            "Incomplete rows": ("incomplete_rows", whole), "of them anomalous": ("anomalous_incomplete", whole),
            "Rows without a value": ("silent_rows", whole),
        }, "nodes.csv",
    )  # fmt: skip


def columns_by_node(description: Description) -> TextTable:
    """How many columns each node has; nodes with the fewest first."""
    nodes = description.nodes.assign(with_values=lambda table: table["columns"] - table["empty_columns"])
    nodes = nodes.sort_values("with_values", kind="stable")
    return text_table(
        "Columns by node", nodes, {
            "Node": ("node", str), "Columns": ("columns", whole), "with values": ("with_values", whole),
            "empty": ("empty_columns", whole), "constant": ("constant_columns", whole),
            "Missing values": ("missing_values", percent),
        }, "nodes.csv",
    )  # fmt: skip


def partial_columns(description: Description) -> TextTable:
    """Columns that some nodes lack."""
    n_nodes = sum(node.n_rows > 0 for node in description.inspection.nodes)
    features = description.features
    features = features[features["nodes"] < n_nodes].sort_values("nodes", kind="stable")
    features = features.assign(of=[f"{nodes} of {n_nodes}" for nodes in features["nodes"]])
    return text_table(
        "Columns that some nodes lack", features, {
            "Column": ("feature", str), "Nodes with values": ("of", str), "Absent on": ("absent", whole),
            "Empty on": ("empty", whole), "First node without": ("first_without", str),
        }, "features.csv",
    )  # fmt: skip


def missing_columns(description: Description) -> TextTable:
    """Columns with missing values on the nodes that have them."""
    features = description.features[description.features["missing"] > 0]
    return text_table(
        "Columns with missing values", features.sort_values("missing", ascending=False, kind="stable"), {
            "Column": ("feature", str), "Unit": ("unit", str), "Missing": ("missing", percent),
            "Nodes with values": ("nodes", whole),
        }, "features.csv",
    )  # fmt: skip


def constant_columns(description: Description) -> TextTable:
    """Columns that never change on at least one node."""
    features = description.features[description.features["constant"] > 0]
    features = features.sort_values("constant", ascending=False, kind="stable")
    features = features.assign(on=[f"{a} of {b}" for a, b in zip(features["constant"], features["nodes"], strict=True)])
    return text_table(
        "Constant columns", features, {
            "Column": ("feature", str), "Constant on nodes": ("on", str), "Mean": ("mean", number),
        }, "features.csv",
    )  # fmt: skip


def drifting_columns(description: Description) -> TextTable:
    """Columns by how far their later values have moved; not those that only grow."""
    features = description.features
    features = features[features["drift"].notna() & ~features["counter"]].sort_values(
        "drift", ascending=False, kind="stable"
    )
    words = [drift_in_words(drift, shift) for drift, shift in zip(features["drift"], features["shift"], strict=True)]
    return text_table(
        "Drift between train and test part", features.assign(words=words), {
            "Column": ("feature", str), "Index": ("drift", lambda value: f"{value:.2f}"),
            "Nodes that moved": ("drifted", percent), "In words (median node)": ("words", str),
        }, "features.csv",
    )  # fmt: skip


def differing_columns(description: Description) -> TextTable:
    """Columns by the share of their variance that lies between nodes."""
    features = description.features
    features = features[features["between"].notna()].sort_values("between", ascending=False, kind="stable")
    return text_table(
        "Columns in which nodes differ most", features, {
            "Column": ("feature", str), "Unit": ("unit", str), "Variance between nodes": ("between", percent),
            "Mean": ("mean", number), "Standard deviation": ("deviation", number),
        }, "features.csv",
    )  # fmt: skip


def unlike_nodes(description: Description) -> TextTable:
    """Nodes by their distance from the middle of the fleet."""
    nodes = description.nodes.assign(
        most=[
            f"{name} ({z:+.1f})" if name else UNDEFINED
            for name, z in zip(description.positions.column, description.positions.column_z, strict=True)
        ],
        rack=description.nodes["rack"].fillna(UNDEFINED),
        apart=["yes" if outlying else "" for outlying in description.positions.outlying],
    )
    nodes = nodes[nodes["distance"].notna()].sort_values("distance", ascending=False, kind="stable")
    return text_table(
        "Nodes by distance from the middle of the fleet", nodes, {
            "Node": ("node", str), "Rack": ("rack", str),
            "Distance": ("distance", lambda value: f"{value:.1f}"), "Unlike the others": ("apart", str),
            "Most unlike in (usual spreads)": ("most", str),
        }, "nodes.csv",
    )  # fmt: skip


def alignment_costs(description: Description) -> TextTable:
    """What each rule for unlike nodes keeps."""
    rows = []
    found = description.costs.get("alignment", {})
    if not any(cost.get("lost_columns", 1) or cost.get("imputed") for cost in found.values()):
        return TextTable("", (), ())
    for rule, cost in found.items():
        if "refused" in cost:
            rows.append((rule, "none", UNDEFINED, str(cost["refused"])))
            continue
        imputed = cost.get("imputed", {})
        columns = f"{sum(imputed.values()):,} columns on {count(len(imputed), 'node')}" if imputed else UNDEFINED
        rows.append((rule, f"{cost['features']:,}", f"{cost['lost_columns']:,}", columns))
    headings = ("prepare.alignment", "Features kept", "Columns lost", "Filled in where a node lacks them")
    return TextTable("What each rule for unlike nodes would keep", headings, tuple(rows), left=(0, 3))


def missing_costs(description: Description) -> TextTable:
    """What each policy for missing values removes."""
    found = description.costs.get("missing", {})
    kinds = {
        "Rows removed": ("rows_removed", "rows"),
        "Anomalous rows removed": ("anomalous_rows_removed", "anomalous_rows"),
        "Columns removed": ("columns_removed", ""),
        "Cells filled": ("cells_filled", ""),
    }
    shown = {heading: keys for heading, keys in kinds.items() if any(keys[0] in cost for cost in found.values())}
    if not any(cost.get(key) for cost in found.values() for key, _ in shown.values()):
        return TextTable("", (), ())
    rows = tuple(
        (name, *(_part_of(cost.get(key), cost.get(of)) for key, of in shown.values())) for name, cost in found.items()
    )
    headings = ("prepare.missing" if description.report else "Removing", *shown)
    return TextTable("What each policy for missing values would cost", headings, rows)


def parts(description: Description) -> TextTable:
    """The parts of a prepared fleet."""
    return text_table(
        "The scaled data by parts", pd.DataFrame(description.parts), {
            "Part": ("part", str), "Rows": ("rows", whole), "Anomalous": ("anomalous", whole),
            "Unknown": ("unknown", whole), "Mean value": ("mean", number), "Values below 0": ("below", percent),
            "Values above 1": ("above", percent),
        }, "description.json",
    )  # fmt: skip


def treatments(description: Description) -> TextTable:
    """Repairs made on reading."""
    found = description.inspection.treatments.items()
    rows = tuple((what, f"{number:,}", f"{nodes:,}", first) for what, (number, nodes, first) in found)
    return TextTable("Treatments on reading", ("What was done", "How often", "Nodes", "First node"), rows, left=(0, 3))


def unreadable(description: Description) -> TextTable:
    """Nodes that could not be read."""
    found = [*description.inspection.unreadable.items()]
    more = f"and {len(found) - 50} more in description.json" if len(found) > 50 else ""
    return TextTable("Nodes that cannot be read", ("Node", "Why"), tuple(found[:50]), more, left=(0, 1))


def drift_in_words(drift: float, shift: float) -> str:
    """What a stability index and a shift mean."""
    if drift < MODERATE:
        return "stable"
    size = "moved" if drift < DRIFTED else "moved a lot"
    if pd.isna(shift):
        return f"{size}: constant before, not after"
    if abs(shift) < 0.1:
        return f"{size}: same mean, another shape"
    return f"{size}: {abs(shift):.1f} standard deviations {'higher' if shift > 0 else 'lower'} later"


def _part_of(number: int | None, total: int | None) -> str:
    if number is None:
        return UNDEFINED
    return f"{number:,} ({percent(number / total)})" if total else f"{number:,}"


TABLES: tuple[Callable[[Description], TextTable], ...] = (
    unreadable,
    parts,
    gaps_by_node,
    labels_by_rack,
    labels_by_node,
    partial_columns,
    alignment_costs,
    columns_by_node,
    constant_columns,
    missing_columns,
    missing_costs,
    drifting_columns,
    unlike_nodes,
    differing_columns,
    treatments,
)
