"""``ftl coldstart``: what a node's first hours are worth, with and without its fleet."""

import time
from typing import TYPE_CHECKING

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings
from ftl.cli.studies import StudiedFleet, StudyOut, Track, open_study, say_window, track_study

if TYPE_CHECKING:
    from ftl.studies.coldstart.tables import ColdStartTables


def coldstart(
    fleet: StudiedFleet,
    out: StudyOut = None,
    profile: Profile = "default",
    source: SourceName = None,
    with_: SourceSettings = None,
    set_: Assignments = None,
    track: Track = False,
) -> None:
    """Replay the first hours of every node: how soon are its alarms usable, alone and with what the fleet shares?

    Every node is a target of cohorts that never saw it. With hours to weeks of its own history it is judged on its
    test part under every arm: F1, false-positive rate, AUROC, alarms a day, events found, paired over nodes.

    Example: ftl coldstart telemetry/cluster-a --out results/cold -S coldstart.hours=[2,4,24]
    """
    began = time.monotonic()
    opened = open_study("coldstart", fleet, out, profile, source, with_, set_)

    from ftl.config import section
    from ftl.data.fleet import read_fleet
    from ftl.reporting.coldstart_report import write_coldstart_report
    from ftl.studies.coldstart.experiment import coldstart_stage
    from ftl.studies.coldstart.settings import ColdStartSettings
    from ftl.studies.coldstart.tables import tables_of, write_tables
    from ftl.studies.opening import describe_study
    from ftl.studies.telemetry import racks_of

    prepared = read_fleet(opened.fleet)
    settings = section(opened.params, "coldstart", ColdStartSettings)
    say_window(opened.fleet, "coldstart", settings.window_minutes)
    rows = coldstart_stage(opened.params, opened.fleet, opened.out / "stages" / "coldstart", opened.out / "work")
    tables = tables_of(rows, settings, {prepared.name: racks_of(prepared)})
    write_tables(opened.out, tables)
    describe_study(opened.out, prepared, opened.params)
    page = write_coldstart_report(opened.out)
    _say(tables)
    if track:
        track_study(opened)
    typer.echo(f"Done in {time.monotonic() - began:.0f} s. Read {page}; tables: {opened.out / 'coldstart_summary.csv'}")


def _say(tables: "ColdStartTables") -> None:
    from rich.console import Console

    from ftl.studies.coldstart.words import sentences, terminal_tables

    console = Console()
    for table in terminal_tables(tables):
        console.print(table)
    for sentence in sentences(tables):
        typer.echo(sentence)
