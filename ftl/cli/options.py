"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from ftl.errors import ConfigError

if TYPE_CHECKING:
    from ftl.data.node_table import TelemetrySource

Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-S",
        metavar="KEY=VALUE",
        help="Change one parameter, for example -S select.n_participants=[2,4]. Repeatable.",
    ),
]
Profile = Annotated[
    str, typer.Option("--profile", "-p", help="default, smoke, paper, or a yaml file that overlays default.")
]
SourceName = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="How to read FOLDER: node_tables, m100_raw, m100_aggregated or m100_d1. "
        "Without it, what fleet.yaml says, else what the folder looks like.",
    ),
]
SourceSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        "-w",
        metavar="KEY=VALUE",
        help="A setting of the source, for example --with months=[21-03]. Repeatable.",
    ),
]


def check(values: dict[str, Any]) -> None:
    """Refuse parameters that no command could use.

    Raises:
        ConfigError: Naming the key.
    """
    from ftl.experiment.checks import check_params
    from ftl.studies.checks import check_studies
    from ftl.tuning.space import check_tune

    check_params(values)
    check_studies(values)
    check_tune(values)


def open_telemetry(folder: Path, source: str | None, assignments: list[str] | None) -> "TelemetrySource":
    """The telemetry in a folder, with the settings given on the command line; says where a source keeps what it makes.

    Raises:
        UserError: If a setting is wrong or the telemetry cannot be used.
    """
    from ftl.data.layouts import open_folder

    settings: dict[str, Any] = {}
    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--with takes KEY=VALUE; got {assignment!r}, for example --with months=[21-03]")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--with {key}: the value is not valid YAML: {value!r}") from error
    telemetry = open_folder(folder, source, settings)
    if cache := getattr(telemetry, "cache", None):
        typer.echo(f"ftl: its windows are kept in {cache} (--with cache=FOLDER: elsewhere)", err=True)
    return telemetry
