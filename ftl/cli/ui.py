"""``ftl ui``: runs and studies in a browser."""

from pathlib import Path
from typing import Annotated

import typer


def ui(
    port: Annotated[int, typer.Option(help="Port of the MLflow UI on the loopback interface.")] = 5000,
    folder: Annotated[
        Path,
        typer.Option(help="Where mlflow.db lies, unless MLFLOW_TRACKING_URI names a store; studies are sought there."),
    ] = Path("."),
    storage: Annotated[
        str | None, typer.Option(help="Optuna storage: a journal file or a database address [default: sought].")
    ] = None,
    studies_port: Annotated[int, typer.Option(help="Port of the Optuna dashboard.")] = 8080,
    open_: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open a browser on the comparison [default: where there is a display]."),
    ] = None,
) -> None:
    """Start the MLflow UI and, where there are studies, the Optuna dashboard, on this machine's loopback interface.

    Prints both addresses and that of a prepared comparison of the cells recorded last.

    Example: ftl ui --port 5000
    """
    from ftl.tracking.environment import tracking_uri
    from ftl.tracking.ui import find_studies, has_display, serve_ui

    said: list[str] = []
    if storage is None:
        storage, said = find_studies(folder)
    for sentence in said:
        typer.echo(sentence)
    serve_ui(
        tracking_uri(folder),
        port=port,
        studies=storage,
        studies_port=studies_port,
        open_browser=has_display() if open_ is None else open_,
    )
