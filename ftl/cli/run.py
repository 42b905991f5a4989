"""``ftl run``: the whole method on one fleet."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings, check, open_telemetry
from ftl.errors import TelemetryError, UserError

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
            "--track", help="Also record cells, seeds and report in MLflow (MLFLOW_TRACKING_URI, else OUT/mlflow.db)."
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

    if track:
        from ftl.tracking.environment import tracking_uri

        store = tracking_uri(out)  # before the work: a wrong address is told at once
    task = FleetRun(telemetry, params, out)
    with node_progress() as progress:
        prepared = task.prepare(progress)
    for line in describe_report(prepared.report):
        typer.echo(line)
    task.train()
    task.evaluate(dump_scores)

    from ftl.tracking.lineage import lineage_of

    lineage = lineage_of(task.params, {prepared.name: prepared})
    _report(task, out)
    _export(task, lineage.tags(prepared.name))
    if track:
        from ftl.tracking import log_results_folder
        from ftl.tracking.registry import register_or_say

        tracked = log_results_folder(out, store, task.params, lineage)
        registered = register_or_say(out / "detectors", store, reachable=tracked.sent.warning is None)
        for sentence in (*tracked.sentences(), *registered):
            typer.echo(sentence, err=sentence.startswith("Warning"))
    typer.echo(
        f"Done in {time.monotonic() - began:.0f} s. Read {out / 'report' / 'report.html'}; "
        f"tables: {out / 'summary.csv'}, {out / 'results.parquet'}"
    )


def _report(task: "FleetRun", out: Path) -> None:
    """Write the report and print its tables, its verdict and what federation bought."""
    from rich.console import Console

    from ftl.evaluation.headline import overview_sentences
    from ftl.reporting import read_run, terminal_tables, write_report
    from ftl.reporting.federation_bought import all_bought_sentences

    tables = read_run(out)
    write_report(out / "report", tables)
    console = Console()
    for table in terminal_tables(task.summary):
        console.print(table)
    for sentence in (*overview_sentences(task.summary), *all_bought_sentences(tables)):
        typer.echo(sentence)


def _export(task: "FleetRun", lineage: dict[str, str]) -> None:
    """Write the detectors and say which arm each of them is."""
    from ftl.detection.card import CARD_FILE, read_card

    try:
        folders = task.export(lineage)
    except TelemetryError as error:  # a prepared fleet of an earlier version: its results stand all the same
        typer.echo(f"ftl: no detector is exported: {error}", err=True)
        return
    for paradigm, folder in folders.items():
        typer.echo(f"Detector {folder}: {paradigm}, {read_card(folder / CARD_FILE).arm}; `ftl score` takes it")
