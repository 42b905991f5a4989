"""The ``ftl`` command."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from ftl.errors import UserError, disk_full_message, is_disk_full

if TYPE_CHECKING:
    from ftl.experiment.fleet_run import FleetRun

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Federated transfer learning on the telemetry of computing fleets. Example: ftl run my-fleet --out results",
)

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


@app.command()
def run(
    fleet: Annotated[
        Path, typer.Argument(help="Folder with one parquet or csv file per node, with or without fleet.yaml.")
    ],
    out: Annotated[
        Path, typer.Option(help="Where results go. The same command again goes on where an interrupted one stopped.")
    ],
    profile: Profile = "default",
    set_: Assignments = None,
    dump_scores: Annotated[
        bool, typer.Option("--dump-scores", help="Also write scores.parquet: every score of every model.")
    ] = False,
    track: Annotated[
        bool,
        typer.Option(
            "--track", help="Also record every summary cell in MLflow (MLFLOW_TRACKING_URI, else OUT/mlflow.db)."
        ),
    ] = False,
) -> None:
    """Run the whole method on one fleet: local, federated and transferred models, controls and baselines.

    Example: ftl run telemetry/cluster-a --out results/cluster-a -S select.n_participants=[2,4]
    """
    began = time.monotonic()
    from ftl.config import override, read_profile
    from ftl.data.fleet_folder import FleetFolder
    from ftl.data.prepare_report import describe_report

    params = override(read_profile(profile), set_ or [])
    params.pop("datasets")
    _check(params)
    if out.resolve() == fleet.resolve():
        raise UserError(
            f"--out {out}: the node tables are there, and results would pass for nodes; give another folder"
        )
    source = FleetFolder(fleet)

    from ftl.experiment.fleet_run import FleetRun

    task = FleetRun(source, params, out)
    prepared = task.prepare()
    for line in describe_report(prepared.report):
        typer.echo(line)
    task.train()
    task.evaluate(dump_scores)

    _report(task, out)
    if track:
        from ftl.tracking import lineage_of, log_summary, tracking_uri

        lineage = lineage_of(params, {prepared.name: prepared})
        log_summary(task.summary, task.results, params, task.rounds, lineage, tracking_uri(out))
    typer.echo(
        f"Done in {time.monotonic() - began:.0f} s. Read {out / 'report' / 'report.md'}; "
        f"tables: {out / 'summary.csv'}, {out / 'results.parquet'}"
    )


@app.command()
def params(
    profile: Annotated[
        str, typer.Argument(help="default, smoke, paper, or a yaml file that overlays default.")
    ] = "default",
    set_: Assignments = None,
    out: Annotated[Path | None, typer.Option(help="Write there instead of printing, for example params.yaml.")] = None,
) -> None:
    """Print a profile's parameters, all of them, checked.

    Example: ftl params paper -S federate.n_rounds=50 --out params.yaml
    """
    from ftl.config import override, read_profile

    values = override(read_profile(profile), set_ or [])
    _check(values)
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120)
    if out is None:
        typer.echo(text, nl=False)
        return
    half = out.with_name(out.name + ".half")
    half.write_text(text)
    os.replace(half, out)
    typer.echo(f"wrote {out}")


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on the loopback interface.")] = 5000,
    folder: Annotated[
        Path, typer.Option(help="Where mlflow.db lies, unless MLFLOW_TRACKING_URI names a store.")
    ] = Path("."),
) -> None:
    """Start the MLflow UI on this machine's loopback interface.

    Example: ftl ui --port 5000
    """
    from ftl.tracking import serve_ui, tracking_uri

    serve_ui(tracking_uri(folder), port=port)


def _report(task: "FleetRun", out: Path) -> None:
    """Write the report and print its tables and its verdict."""
    from rich.console import Console

    from ftl.evaluation.headline import overview_sentences, verdict_sentences
    from ftl.reporting.report import terminal_tables, write_report

    overview, verdicts = overview_sentences(task.summary), verdict_sentences(task.summary)
    reports = {task.fleet.name: task.fleet.report}
    write_report(out / "report", task.summary, task.results, task.rounds, reports, overview, verdicts, task.params)
    console = Console()
    for table in terminal_tables(task.summary):
        console.print(table)
    for sentence in overview:
        typer.echo(sentence)


def _check(values: dict[str, Any]) -> None:
    from ftl.experiment.checks import check_params

    check_params(values)


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
        print("ftl: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if is_disk_full(error):
            print(f"ftl: {disk_full_message(error)}", file=sys.stderr)
            sys.exit(2)
        raise


if __name__ == "__main__":
    main()
