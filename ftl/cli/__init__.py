"""The ``ftl`` command."""

import os
import sys

import typer

from ftl.cli.coldstart import coldstart
from ftl.cli.data import data
from ftl.cli.mlflow import mlflow
from ftl.cli.paper import paper
from ftl.cli.params import params
from ftl.cli.report import report
from ftl.cli.rethreshold import rethreshold
from ftl.cli.run import run
from ftl.cli.score import score
from ftl.cli.study import study
from ftl.cli.tune import tune
from ftl.cli.ui import ui
from ftl.errors import UserError, disk_full_message, is_disk_full

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Federated transfer learning on the telemetry of computing fleets. Example: ftl run my-fleet --out results",
)
for command in (run, coldstart, rethreshold, report, score, tune, params, ui):
    app.command()(command)
app.add_typer(data, name="data")
app.add_typer(paper, name="paper")
app.add_typer(mlflow, name="mlflow")
app.add_typer(study, name="study")


def main() -> None:
    """Entry point: a user's mistake ends with a message and code 2, an interruption with 130."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        app(standalone_mode=True)
    except UserError as error:
        print(f"ftl: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != 130:  # 130: what Typer makes of an interrupt
            raise
        read_only = sys.argv[1:3] in (["data", "check"], ["data", "describe"])
        print("ftl: interrupted" + ("" if read_only else "; the same command goes on from here"), file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if is_disk_full(error):
            print(f"ftl: {disk_full_message(error)}", file=sys.stderr)
            sys.exit(2)
        raise
