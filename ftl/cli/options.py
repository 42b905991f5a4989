"""Options that several commands share."""

from typing import Annotated, Any

import typer

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


def check(values: dict[str, Any]) -> None:
    from ftl.experiment.checks import check_params

    check_params(values)
