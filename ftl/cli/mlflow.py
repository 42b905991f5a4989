"""``ftl mlflow``: stores of several jobs made one, and runs sent that no store took."""

from pathlib import Path
from typing import Annotated

import typer

mlflow = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="MLflow stores. Example: ftl mlflow sync results"
)


@mlflow.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(help="The mlflow.db of each job; none of them is changed.")],
    into: Annotated[Path, typer.Option(help="The store they are copied into; made where it is missing.")],
) -> None:
    """Copy the runs of several sqlite stores into one: parameters, metrics, tags, inputs and artifacts.

    A run that is in two of them, or in the target already, is kept once; deleted runs are left out.

    Example: ftl mlflow merge job-1/mlflow.db job-2/mlflow.db --into all/mlflow.db
    """
    from ftl.tracking.merge import merge_sentences, merge_stores

    for sentence in merge_sentences(merge_stores(sources, into), into):
        typer.echo(sentence)


@mlflow.command()
def sync(
    folder: Annotated[Path, typer.Argument(help="A folder of results whose runs no store took.")] = Path("artifacts"),
    to: Annotated[
        str | None,
        typer.Option(help="The store [default: MLFLOW_TRACKING_URI, else the one that the runs were meant for]."),
    ] = None,
) -> None:
    """Send runs that were kept in mlflow-spool/ when their store was locked or could not be reached.

    What was sent is removed there; a run that the store has already is replaced, not doubled.

    Example: ftl mlflow sync results/cluster-a
    """
    from ftl.tracking.environment import checked_uri, store_of_environment
    from ftl.tracking.spool import sync

    n = sync(folder, store_of_environment() if to is None else checked_uri(to, "--to")).n_sent
    typer.echo(f"{n} {'run' if n == 1 else 'runs'} sent" if n else "Nothing waits to be sent")


@mlflow.command()
def register(
    folder: Annotated[Path, typer.Argument(help="A model folder, or results that hold some.")] = Path("artifacts"),
    to: Annotated[
        str | None, typer.Option(help="The store [default: MLFLOW_TRACKING_URI, else mlflow.db in this folder].")
    ] = None,
) -> None:
    """Put detectors into the model registry, as `champion` of their dataset and paradigm.

    A detector that is there already gets no second version.

    Example: ftl mlflow register results/cluster-a/detectors
    """
    from ftl.tracking.environment import checked_uri, tracking_uri
    from ftl.tracking.registry import register_detectors, registered_sentences

    store = tracking_uri(Path.cwd()) if to is None else checked_uri(to, "--to")
    for sentence in registered_sentences(register_detectors(folder, store)):
        typer.echo(sentence)
