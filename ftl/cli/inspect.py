"""``ftl data check`` and ``ftl data describe``: what a fleet holds, before anything is computed from it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftl.cli.options import SourceName, SourceSettings, open_telemetry
from ftl.errors import UserError, is_disk_full

if TYPE_CHECKING:
    from rich.console import Console

    from ftl.data.inspection import Description
    from ftl.data.node_table import TelemetrySource

_ANY_WIDTH = 100_000

FleetPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FLEET]",
        help="Folder with one table per node, a download of Marconi100's telemetry, or a prepared fleet.",
    ),
]
Dataset = Annotated[
    str | None, typer.Option("--dataset", help="Instead of FLEET: a dataset of params.yaml, simulated ones too.")
]
ParamsFile = Annotated[Path, typer.Option("--params", help="The file that --dataset looks into.")]


def check(
    fleet: FleetPath = None,
    dataset: Dataset = None,
    params: ParamsFile = Path("params.yaml"),
    source: SourceName = None,
    with_: SourceSettings = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail too, with exit code 1.")] = False,
) -> None:
    """Say whether a fleet can be used, and what is wrong with it.

    Reads every node once. Exit code 0: it can be used; 1: it can, but there are warnings, and --strict was given;
    2: it cannot be used, or it was not found.

    Example: ftl data check telemetry/cluster-a --strict
    """
    description = _inspect(fleet, dataset, params, source, with_)
    with _printing() as console:
        _print_findings(description, console)
    raise typer.Exit(_exit_code(description, strict))


def describe(
    fleet: FleetPath = None,
    dataset: Dataset = None,
    params: ParamsFile = Path("params.yaml"),
    source: SourceName = None,
    with_: SourceSettings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where description.html, description.json, nodes.csv and features.csv go; "
            "without it, the folder description-NAME in the current one."
        ),
    ] = None,
) -> None:
    """Describe a fleet: on the terminal, and as one HTML page with pictures.

    Reads every node once. Rows, gaps, columns, missing values, labels, drift between train and test part, and how
    unlike nodes are. Exit code 0: the fleet can be used; 2: it cannot, or it was not found; the page is written in
    either case if a node could be read.

    Example: ftl data describe telemetry/cluster-a --out results/cluster-a-described
    """
    from ftl.reporting.fleet_page import write_description

    _refuse_to_write_into(fleet, out)
    _refuse_unwritable(out or Path())
    description = _inspect(fleet, dataset, params, source, with_)
    folder = out or Path(f"description-{_slug(description.inspection.name)}")
    _refuse_to_write_into(fleet, folder)
    try:
        written = write_description(description, folder)
    except OSError as error:
        advice = "free some space and run the same command again" if is_disk_full(error) else "give another folder"
        raise UserError(f"--out {folder}: cannot be written ({error.strerror or error}); {advice}") from error
    with _printing() as console:
        _print_summary(description, console)
        _print_findings(description, console)
        console.print(f"Read {written}; full tables beside it", markup=False, soft_wrap=True)
    raise typer.Exit(_exit_code(description, strict=False))


def _inspect(
    fleet: Path | None, dataset: str | None, params: Path, source_name: str | None, settings: list[str] | None
) -> "Description":
    """Open what the command names, and read it node by node."""
    from ftl.data.inspection import Description, PartTally, PreparedSource, inspect_fleet

    source = _open(fleet, dataset, params, source_name, settings)
    sizes = _cohort_sizes(None if dataset is None else params)
    tally = PartTally(source) if isinstance(source, PreparedSource) else None
    from ftl.experiment.progress import node_progress

    with node_progress() as progress:
        inspection = inspect_fleet(source, progress, tally, is_prepared=tally is not None)
    if isinstance(source, PreparedSource) and tally is not None:
        return Description(inspection, source.fleet.report, tally.parts(), sizes)
    return Description(inspection, n_participants=sizes)


def _open(
    fleet: Path | None, dataset: str | None, params: Path, source_name: str | None, settings: list[str] | None
) -> "TelemetrySource":
    from ftl.data.fleet import CARD_FILE
    from ftl.data.inspection import PreparedSource

    if (fleet is None) == (dataset is None):
        raise UserError("give either the folder of a fleet or --dataset with a name of params.yaml, and not both")
    is_prepared = fleet is not None and (fleet / CARD_FILE).is_file()
    if (source_name or settings) and (dataset is not None or is_prepared):
        raise UserError("--source and --with say how to read a folder of raw telemetry; leave them out here")
    if dataset is not None:
        from ftl.config import dataset_spec, read_pipeline_params
        from ftl.data.sources import open_source

        return open_source(dataset, dataset_spec(read_pipeline_params(params), dataset))
    assert fleet is not None
    return PreparedSource(fleet) if is_prepared else open_telemetry(fleet, source_name, settings)


def _cohort_sizes(params: Path | None) -> tuple[int, ...]:
    """The numbers of participants that a run would take: those of params.yaml, else of the default profile."""
    from ftl.config import read_pipeline_params, read_profile

    content: dict[str, Any] = read_profile("default") if params is None else read_pipeline_params(params)
    sizes = content.get("select", {}).get("n_participants")
    return tuple(sizes) if isinstance(sizes, list) else ()


@contextmanager
def _printing() -> Iterator["Console"]:
    """A console; away from a terminal its lines are as long as they are, without blanks at their ends."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        yield console
        return
    console = Console(highlight=False, width=_ANY_WIDTH)
    with console.capture() as captured:
        yield console
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def _print_summary(description: "Description", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from ftl.reporting import fleet_tables as tables
    from ftl.reporting.text_table import for_terminal

    grid = Table.grid(padding=(0, 2))
    for what, how_much in tables.overview(description):
        grid.add_row(Text(what, style="bold"), Text(how_much))
    console.print(Text(description.inspection.name, style="bold"))
    console.print(grid)
    shown = [tables.labels_by_rack, tables.labels_by_node, tables.gaps_by_node, tables.partial_columns]
    shown += [tables.missing_columns, tables.drifting_columns, tables.unlike_nodes]
    shown += [tables.parts, tables.missing_costs, tables.treatments]
    for make in shown:
        table = make(description)
        if table.rows:
            console.print()
            console.print(for_terminal(table, most=6))
    console.print()


def _print_findings(description: "Description", console: "Console") -> None:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from ftl.data.prepare_report import describe_report

    if description.report:
        for sentence in describe_report(dict(description.report)):
            console.print(sentence, markup=False, soft_wrap=True)
    styles = {"error": "bold reverse", "warning": "bold", "note": "dim"}
    findings = Table.grid(padding=(0, 1))
    findings.add_column(no_wrap=True)
    findings.add_column(overflow="fold")
    for finding in description.findings:
        more = ((finding.where, ""), (finding.advice, "dim"))
        said = [Padding(Text(text, style), (0, 0, 0, 2), expand=False) for text, style in more if text]
        findings.add_row(Text(finding.level, style=styles[finding.level]), Group(Text(finding.what), *said))
    console.print(findings)
    console.print(Text(f"{description.inspection.name}: {description.verdict}", style="bold"))


def _exit_code(description: "Description", strict: bool) -> int:
    if description.verdict == "unusable":
        return 2
    return int(strict and description.verdict != "usable")


def _refuse_to_write_into(fleet: Path | None, out: Path | None) -> None:
    """Tables of a description in the fleet's own folder would be read as nodes next time."""
    if fleet is None or out is None:
        return
    if fleet.resolve() in (out.resolve(), *out.resolve().parents):
        raise UserError(f"--out {out}: lies in the fleet's own folder, where nodes.csv would pass for a node; "
                        "give another folder")  # fmt: skip


def _refuse_unwritable(folder: Path) -> None:
    """Before the fleet is read, which can take long."""
    try:
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return
        why = "may not be written into" if there.is_dir() else "is no folder"
    except OSError as error:
        there, why = folder, str(error.strerror)
    raise UserError(f"--out {folder}: cannot be written ({there}: {why}); give another folder")


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
