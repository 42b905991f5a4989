"""``ftl report``: the page and tables of a run that was evaluated before."""

from pathlib import Path
from typing import Annotated

import typer

from ftl.errors import UserError, is_disk_full


def report(
    folder: Annotated[
        Path, typer.Argument(help="What `ftl run FLEET --out FOLDER` wrote, or artifacts after `dvc repro`.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where the report goes; without it, the folder report in FOLDER.")
    ] = None,
) -> None:
    """Write the report of a run: report.html, and the same as Markdown, LaTeX and CSV.

    Reads the tables in FOLDER, trains nothing. A table that FOLDER lacks is named in the report, with the command that
    makes it.

    Example: ftl report results/cluster-a --out pages/cluster-a
    """
    from ftl.reporting.run_tables import read_run

    run = read_run(folder)
    from ftl.reporting.report import write_report

    target = folder / "report" if out is None else out
    try:
        page = write_report(target, run)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise UserError(
            f"--out {target}: cannot be written ({error.strerror or error}); give another folder"
        ) from error
    typer.echo(f"Read {page}; tables: {target / 'tables'}, {target / 'tables.tex'}")
