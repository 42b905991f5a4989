"""``ftl study``: questions that one experiment does not answer, asked of one fleet."""

import typer

from ftl.cli.study_drift import drift
from ftl.cli.study_labels import labels
from ftl.cli.study_methods import methods
from ftl.cli.study_policies import policies

study = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Questions that one experiment does not answer, each with fair controls. Example: ftl study policies my-fleet",
)
for command in (policies, methods, labels, drift):
    study.command()(command)
