"""What the commands of studies have in common: their options, their parameters and the fleet that they read."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from ftl.cli.options import check, open_telemetry
from ftl.errors import UserError

StudiedFleet = Annotated[
    Path,
    typer.Argument(
        help="Telemetry in any layout that `ftl run` reads, or a fleet that `ftl data prepare` made (whose values stay "
        "clipped as they are)."
    ),
]
StudyOut = Annotated[
    Path | None,
    typer.Option(help="Where tables and report go; NAME-FLEET here without it. The same command again goes on."),
]
Track = Annotated[
    bool, typer.Option("--track", help="Also record the study in MLflow (MLFLOW_TRACKING_URI, else OUT/mlflow.db).")
]


class Opened(NamedTuple):
    """What a study works with: the prepared fleet's folder, the parameters, and the folder of its results."""

    fleet: Path
    params: dict[str, Any]
    out: Path


def open_study(
    name: str,
    fleet: Path,
    out: Path | None,
    profile: str,
    source: str | None,
    with_: list[str] | None,
    assignments: list[str] | None,
) -> Opened:
    """Read the parameters and open, or prepare, the fleet.

    Args:
        name: Of the study; without `out` its results go to a folder of this name and the fleet's.

    Raises:
        UserError: If a parameter is wrong or the telemetry cannot be used.
    """
    from ftl.config import override, read_profile
    from ftl.data.fleet import is_prepared
    from ftl.data.prepare_report import describe_report

    params = override(read_profile(profile), assignments or [])
    params.pop("datasets")
    check(params)
    out = out or Path(f"{name}-{fleet.resolve().name}")
    if out.resolve() == fleet.resolve():
        raise UserError(f"--out {out}: the telemetry is there, and results would pass for nodes; give another folder")
    prepared = is_prepared(fleet)
    if prepared and (source or with_ or any(one.strip().startswith("prepare.") for one in assignments or [])):
        raise UserError(
            f"{fleet} is a prepared fleet and is used as it stands; --source, --with and -S prepare... belong to "
            "`ftl data prepare`"
        )
    telemetry = fleet if prepared else open_telemetry(fleet, source, with_)

    from ftl.data.fleet import read_fleet
    from ftl.experiment.progress import node_progress
    from ftl.studies.opening import open_for_study

    with node_progress() as progress:
        folder, params = open_for_study(telemetry, params, out, progress)
    if not prepared:
        for line in describe_report(read_fleet(folder).report):
            typer.echo(line)
    return Opened(folder, params, out)


def track_study(opened: Opened) -> None:
    """Record a finished study in MLflow, and say what became of it."""
    from ftl.data.fleet import read_fleet
    from ftl.tracking import log_studies
    from ftl.tracking.environment import tracking_uri
    from ftl.tracking.lineage import lineage_of

    fleet = read_fleet(opened.fleet)
    lineage = lineage_of(opened.params, {fleet.name: fleet})
    tracked = log_studies(opened.out, tracking_uri(opened.out), opened.params, lineage)
    for sentence in tracked.sentences():
        typer.echo(sentence, err=sentence.startswith("Warning"))


def say_window(fleet: Path, section: str, window_minutes: float) -> None:
    """Say what is taken for a window's length, where the fleet does not say it: hours of history depend on it."""
    from ftl.data.fleet import read_fleet
    from ftl.studies.telemetry import FleetTelemetry

    telemetry = FleetTelemetry(read_fleet(fleet), window_minutes)
    if not telemetry.window_is_known:
        typer.echo(
            f"{telemetry.fleet.name} counts steps and does not say how long one is: taken for {window_minutes:g} "
            f"minutes. Say window_minutes in fleet.yaml, or -S {section}.window_minutes=..."
        )
