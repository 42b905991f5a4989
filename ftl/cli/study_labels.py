"""``ftl study labels``: what labels of other nodes are worth on a fleet."""

import time
from typing import TYPE_CHECKING

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings
from ftl.cli.studies import StudiedFleet, StudyOut, Track, open_study, track_study

if TYPE_CHECKING:
    from ftl.studies.labels.experiment import LabelTables

# Heading: (column, digits)
SHOWN = {
    "Nodes": ("n_nodes", 0),
    "AUROC": ("auroc", 3),
    "AUPRC": ("auprc", 3),
    "F1": ("f1", 3),
    "FPR": ("fpr", 3),
    "Event recall": ("event_recall", 3),
}


def labels(
    fleet: StudiedFleet,
    out: StudyOut = None,
    profile: Profile = "default",
    source: SourceName = None,
    with_: SourceSettings = None,
    set_: Assignments = None,
    track: Track = False,
) -> None:
    """Let nodes lend each other their labels: do heads made of them beat, or help, the unsupervised score?

    Targets are never among those who lend. Where no anomaly precedes the test part, labels are lent from the first test
    rows and every arm is judged on the rest. Writes labels.parquet, labels_summary.csv and labels_differences.csv; see
    docs/labels.md.

    Example: ftl study labels telemetry/cluster-a --out results/cluster-a -S study_labels.n_participants=4
    """
    began = time.monotonic()
    opened = open_study("labels", fleet, out, profile, source, with_, set_)

    from ftl.data.fleet import read_fleet
    from ftl.studies.labels.experiment import SUMMARY_FILE, label_study, write_tables
    from ftl.studies.opening import describe_study

    found = label_study(opened.params, opened.fleet, opened.out / "stages" / "labels", opened.out / "work")
    write_tables(found, opened.out)
    prepared = read_fleet(opened.fleet)
    describe_study(opened.out, prepared, opened.params)
    _print(found, f"{prepared.name} ({prepared.origin}, {len(prepared.node_ids)} nodes)")
    if track:
        track_study(opened)
    typer.echo(
        f"Done in {time.monotonic() - began:.0f} s. Tables: {opened.out / SUMMARY_FILE} and the others beside it"
    )


def _print(found: "LabelTables", where: str) -> None:
    from rich.console import Console
    from rich.table import Table

    against = found.differences[found.differences["against"] == "unsupervised"].set_index(["arm", "metric"])
    table = Table(title=f"{where}: means over nodes with test anomalies", title_justify="left")
    for heading in ("Arm", *SHOWN, "AUROC less unsupervised", "AUPRC less unsupervised"):
        table.add_column(heading, justify="left" if heading == "Arm" else "right")
    for row in found.summary.to_dict("records"):
        cells = [f"{row[column]:.{digits}f}" for column, digits in SHOWN.values()]
        for metric in ("auroc", "auprc"):
            if (row["arm"], metric) in against.index:
                of = against.loc[(row["arm"], metric)]
                cells.append(f"{of['delta']:+.3f} [{of['ci_low']:+.3f}, {of['ci_high']:+.3f}]")
        table.add_row(row["arm"], *cells)
    Console(width=max(Console().width, 132)).print(table)
    for sentence in found.sentences:
        typer.echo(f"- {sentence}.")
