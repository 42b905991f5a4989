"""``ftl run``: the whole method on one fleet."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings, check, open_telemetry
from ftl.errors import UserError

if TYPE_CHECKING:
    from ftl.experiment.fleet_run import FleetRun


def run(
    fleet: Annotated[
        Path,
        typer.Argument(
            help="Folder with one parquet or csv file per node, with or without fleet.yaml; a download of Marconi100's "
            "telemetry; or a fleet that `ftl data prepare` made."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Where results go. The same command again goes on where an interrupted one stopped.")
    ],
    profile: Profile = "default",
    source: SourceName = None,
    with_: SourceSettings = None,
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
    from ftl.data.fleet import is_prepared
    from ftl.data.prepare_report import describe_report

    params = override(read_profile(profile), set_ or [])
    params.pop("datasets")
    check(params)
    if out.resolve() == fleet.resolve():
        raise UserError(
            f"--out {out}: the node tables are there, and results would pass for nodes; give another folder"
        )
    prepared_already = is_prepared(fleet)
    if prepared_already and (source or with_):
        raise UserError(f"{fleet} is a prepared fleet; --source and --with belong to `ftl data prepare`")
    if prepared_already and any(assignment.strip().startswith("prepare.") for assignment in set_ or []):
        raise UserError(
            f"{fleet} is a prepared fleet and is used as it stands; -S prepare... belongs to `ftl data prepare`"
        )
    telemetry = fleet if prepared_already else open_telemetry(fleet, source, with_)

    from ftl.experiment.fleet_run import FleetRun
    from ftl.experiment.progress import node_progress

    task = FleetRun(telemetry, params, out)
    with node_progress() as progress:
        prepared = task.prepare(progress)
    for line in describe_report(prepared.report):
        typer.echo(line)
    task.train()
    task.evaluate(dump_scores)

    _report(task, out)
    if track:
        from ftl.tracking import lineage_of, log_summary, tracking_uri

        lineage = lineage_of(task.params, {prepared.name: prepared})
        log_summary(task.summary, task.results, task.params, task.rounds, lineage, tracking_uri(out))
    typer.echo(
        f"Done in {time.monotonic() - began:.0f} s. Read {out / 'report' / 'report.md'}; "
        f"tables: {out / 'summary.csv'}, {out / 'results.parquet'}"
    )


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
