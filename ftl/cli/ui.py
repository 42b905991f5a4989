"""``ftl ui``: the runs in a browser."""

from pathlib import Path
from typing import Annotated

import typer


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
