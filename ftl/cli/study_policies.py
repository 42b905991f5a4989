"""``ftl study policies``: does it matter who takes part?"""

import time

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings
from ftl.cli.studies import StudiedFleet, StudyOut, Track, open_study, say_window, track_study


def policies(
    fleet: StudiedFleet,
    out: StudyOut = None,
    profile: Profile = "default",
    source: SourceName = None,
    with_: SourceSettings = None,
    set_: Assignments = None,
    track: Track = False,
) -> None:
    """Compare every selection policy with random cohorts: same candidates, same targets, same budgets.

    Writes policies.parquet, policies_summary.csv and policies_differences.csv; see docs/selection.md.

    Example: ftl study policies telemetry/cluster-a --out results/cluster-a -S study_policies.n_participants=4
    """
    began = time.monotonic()
    opened = open_study("policies", fleet, out, profile, source, with_, set_)

    from ftl.cli.study_display import print_comparison
    from ftl.studies.comparison.runs import study_policies

    say_window(opened.fleet, "study_policies", float(opened.params["study_policies"]["window_minutes"]))
    compared = study_policies(opened.params, opened.fleet, opened.out)
    print_comparison(compared, "policy", ["n_chosen"], "random_n")
    ranked_by = compared.summary.drop_duplicates("policy").set_index("policy")["ranked_by"].to_dict()
    typer.echo("Nodes are ranked by: " + ", ".join(f"{policy}: {by}" for policy, by in ranked_by.items()) + ".")
    if track:
        track_study(opened)
    typer.echo(f"Done in {time.monotonic() - began:.0f} s: {', '.join(map(str, compared.files))}")
