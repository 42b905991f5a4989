"""``ftl data fetch``: public telemetry from Zenodo, or from a mirror of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ftl.data.fetch import Choice, PublishedDataset, Server

CREDIT = (
    "The data are CC BY 4.0: credit A. Borghesi et al., M100 ExaData, Scientific Data 10, 288 (2023), "
    "doi 10.1038/s41597-023-02174-3, and the DOI of each record (SOURCE.json)."
)


def fetch(
    dataset: Annotated[
        str,
        typer.Argument(help="m100 (raw, one tar a month) or m100-aggregated (15 minutes, labelled, one tar a rack)."),
    ],
    months: Annotated[
        list[str] | None,
        typer.Option("--months", help="Of m100: 21-03, or 21-03,21-04, or 20-03..20-06. Repeatable."),
    ] = None,
    racks: Annotated[
        list[str] | None, typer.Option("--racks", help="Of m100-aggregated: 0,5 or 10..14. Repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; SOURCE.json in it says where they came from.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show what exists, with sizes; download nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be downloaded to OUT.")] = False,
    zenodo: Annotated[
        str, typer.Option(envvar="FTL_ZENODO", help="Where Zenodo's API, or a mirror of it, answers.")
    ] = "https://zenodo.org",
    latest: Annotated[
        bool, typer.Option("--latest", help="The newest version of each record, not the one that is known to work.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compute the checksums of finished files once more.")
    ] = False,
) -> None:
    """Download Marconi100 telemetry, whole and checked; the same command again goes on where it stopped.

    Example: ftl data fetch m100 --months 21-03 --out telemetry/m100
    """
    from ftl.cli.fetch_display import display, show_plan
    from ftl.data.fetch import Server, check_space, fetch_files, plan, resolve
    from ftl.errors import ConfigError

    published, choices = _choices(dataset, months or [], racks or [])
    if list_:
        _list(published, choices, Server(zenodo, tell=_tell), latest)
        return
    if len(choices) == len(published.parts()) and not (months or racks):
        raise ConfigError(f"{dataset}: say which by {published.option}; --list shows what there is")
    if out is None:
        raise ConfigError("--out is missing: the folder that the files go to")
    files = resolve(Server(zenodo, tell=_tell), choices, latest)
    if dry_run:
        planned = plan(files, out)
        typer.echo(show_plan(planned, out))
        check_space(planned, out)
        return
    with display() as watcher:
        fetched = fetch_files(Server(zenodo, tell=watcher.say), files, out, watcher, verify)
    typer.echo(f"{out}: downloaded {len(fetched)} files, {len(files) - len(fetched)} were there. {CREDIT}")


def _choices(dataset: str, months: list[str], racks: list[str]) -> "tuple[PublishedDataset, list[Choice]]":
    """The dataset, and those of its months or racks that were named; all of them where none was."""
    from ftl.data.fetch import DATASETS, choose
    from ftl.errors import ConfigError

    if dataset not in DATASETS:
        raise ConfigError(f"unknown dataset {dataset!r}; known: {', '.join(DATASETS)}")
    published = DATASETS[dataset]
    words = {"--months": months, "--racks": racks}
    for option, given in words.items():
        if given and option != published.option:
            raise ConfigError(f"{option}: {dataset} comes by {published.part}; use {published.option}")
    return published, choose(published, published.read_parts(words[published.option]))


def _list(published: "PublishedDataset", choices: "list[Choice]", server: "Server", latest: bool) -> None:
    """The files as the server lists them, or, without a server, the records as they are known here."""
    from ftl.cli.fetch_display import show_files, show_records
    from ftl.data.fetch import FetchError, resolve

    typer.echo(published.title)
    try:
        typer.echo(show_files(published, choices, resolve(server, choices, latest)))
    except FetchError as error:
        typer.echo(f"ftl: {error}", err=True)
        typer.echo("ftl: sizes of single files are not known; these are the records", err=True)
        typer.echo(show_records(published, choices))
    typer.echo(CREDIT)


def _tell(text: str) -> None:
    typer.echo(text, err=True)
