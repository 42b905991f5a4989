"""``ftl study drift``: what re-basing, smoothing and trailing thresholds do on a fleet, with and without."""

import time
from typing import TYPE_CHECKING

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings
from ftl.cli.studies import StudiedFleet, StudyOut, Track, open_study, say_window, track_study

if TYPE_CHECKING:
    import pandas as pd

SWITCHED = ("pca", "local", "federated_pca", "zero_shot")
# Heading: (column, digits)
SHOWN = {
    "AUROC": ("auroc", 3),
    "AUPRC": ("auprc", 3),
    "F1": ("f1", 3),
    "FPR": ("fpr", 3),
    "False alarms / node-day": ("false_alarms_per_node_day", 2),
    "Event recall": ("event_recall", 3),
}


def drift(
    fleet: StudiedFleet,
    out: StudyOut = None,
    profile: Profile = "default",
    source: SourceName = None,
    with_: SourceSettings = None,
    set_: Assignments = None,
    track: Track = False,
) -> None:
    """Switch re-basing, smoothing and trailing thresholds on and off, in every combination.

    Four detectors with the whole history: PCA and autoencoder of every node alone, and of cohorts that never saw it.
    Writes drift.parquet, drift_summary.csv, drift_differences.csv, drift_curve.csv (event recall against false alarms)
    and drift_gate.csv (whether the label-free drift test fired where re-basing helped); see docs/drift.md.

    Example: ftl study drift telemetry/cluster-a --out results/drift -S detection.trailing_days=2
    """
    began = time.monotonic()
    opened = open_study("drift", fleet, out, profile, source, with_, set_)

    from ftl.data.fleet import read_fleet
    from ftl.studies.drift.experiment import SUMMARY, drift_stage, write_drift
    from ftl.studies.opening import describe_study
    from ftl.studies.telemetry import racks_of

    prepared = read_fleet(opened.fleet)
    say_window(opened.fleet, "study_drift", float(opened.params["study_drift"]["window_minutes"]))
    rows = drift_stage(opened.params, opened.fleet, opened.out / "stages" / "drift", opened.out / "work")
    tables = write_drift(rows, {prepared.name: racks_of(prepared)}, opened.out)
    describe_study(opened.out, prepared, opened.params)
    _say(
        rows, tables.summary, tables.differences, f"{prepared.name} ({prepared.origin}, {len(prepared.node_ids)} nodes)"
    )
    if track:
        track_study(opened)
    typer.echo(f"Done in {time.monotonic() - began:.0f} s. Tables: {opened.out / SUMMARY} and the others beside it")


def _say(rows: "pd.DataFrame", summary: "pd.DataFrame", differences: "pd.DataFrame", where: str) -> None:
    """Each mechanism by itself and all together, per detector; then the verdict."""
    from rich.console import Console
    from rich.table import Table

    from ftl.studies.drift.combination import LADDER
    from ftl.studies.drift.tables import at
    from ftl.studies.drift.verdict import verdict_sentences

    console = Console(width=max(Console().width, 110))
    for detector in SWITCHED:
        table = Table(title=f"{where}, {detector}, whole history", title_justify="left")
        for heading in ("Switched on", *SHOWN):
            table.add_column(heading, justify="left" if heading == "Switched on" else "right")
        for name, combination in LADDER.items():
            for row in at(summary[summary["detector"] == detector], combination).to_dict("records"):
                table.add_row(name, *(f"{row[column]:.{digits}f}" for column, digits in SHOWN.values()))
        console.print(table)
    for sentence in verdict_sentences(rows, differences):
        typer.echo(f"- {sentence}")
