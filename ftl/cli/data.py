"""``ftl data``: telemetry fetched or simulated, checked, described and prepared."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ftl.cli.fetch import fetch
from ftl.cli.inspect import check, describe
from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings, open_telemetry
from ftl.cli.simulate import simulate
from ftl.errors import UserError

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Get telemetry, look at it, and make a fleet of it. Example: ftl data check my-fleet",
)


@data.command()
def prepare(
    folder: Annotated[
        Path, typer.Argument(help="Telemetry in any layout that ftl reads; `ftl data check` says which it sees.")
    ],
    out: Annotated[Path, typer.Option(help="Where the prepared fleet goes; an older fleet there is replaced.")],
    source: SourceName = None,
    with_: SourceSettings = None,
    profile: Profile = "default",
    set_: Assignments = None,
) -> None:
    """Make a prepared fleet of telemetry: read, aligned, cleaned, split and scaled. `ftl run` takes it as it is.

    The same command again goes on where an interrupted one stopped.

    Example: ftl data prepare m100 --out fleets/march --with months=[21-03] --with metrics=[total_power,ambient]
    """
    from ftl.config import override, protocol_of, read_profile, section
    from ftl.data.fleet import is_prepared
    from ftl.data.prepare import PrepareSettings, prepare_fleet
    from ftl.data.prepare_report import describe_report
    from ftl.experiment.progress import node_progress

    if is_prepared(folder):
        raise UserError(f"{folder} is a prepared fleet already; use it with `ftl run` or `ftl data describe`")
    _check_out(out)
    params: dict[str, Any] = override(read_profile(profile), set_ or [])
    settings, protocol = section(params, "prepare", PrepareSettings), protocol_of(params)
    telemetry = open_telemetry(folder, source, with_)
    with node_progress() as progress:
        fleet = prepare_fleet(telemetry, settings, protocol, out, progress)
    for line in describe_report(fleet.report):
        typer.echo(line)
    typer.echo(f"The fleet is in {out}. Next: ftl data describe {out}, or ftl run {out} --out results")


def _check_out(out: Path) -> None:
    """Before anything is read."""
    from ftl.data.unfinished import check_place

    try:
        check_place(out)
    except UserError as error:
        raise type(error)(f"--out {error}") from error


for command in (fetch, simulate, check, describe):
    data.command()(command)
