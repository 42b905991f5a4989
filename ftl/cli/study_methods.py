"""``ftl study methods``: does it matter by which federated method a cohort trains?"""

import time

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings
from ftl.cli.studies import StudiedFleet, StudyOut, Track, open_study, say_window, track_study


def methods(
    fleet: StudiedFleet,
    out: StudyOut = None,
    profile: Profile = "default",
    source: SourceName = None,
    with_: SourceSettings = None,
    set_: Assignments = None,
    track: Track = False,
) -> None:
    """Compare federated methods with FedAvg: same cohorts, same rounds and steps, same targets.

    Writes methods.parquet, methods_summary.csv and methods_differences.csv; see docs/federated-methods.md.

    Example: ftl study methods telemetry/cluster-a --out results/cluster-a -S study_methods.methods=[fedprox,fedper]
    """
    began = time.monotonic()
    opened = open_study("methods", fleet, out, profile, source, with_, set_)

    from ftl.cli.study_display import print_comparison
    from ftl.studies.comparison.runs import study_methods

    say_window(opened.fleet, "study_methods", float(opened.params["study_methods"]["window_minutes"]))
    compared = study_methods(opened.params, opened.fleet, opened.out)
    print_comparison(compared, "method", ["bytes_sent", "seconds"], "fedavg")
    if track:
        track_study(opened)
    typer.echo(f"Done in {time.monotonic() - began:.0f} s: {', '.join(map(str, compared.files))}")
