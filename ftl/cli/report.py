"""``ftl report``: the page and tables of a run that was evaluated before."""

from collections.abc import Callable
from functools import partial
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
    makes it. Of a folder that `ftl coldstart` wrote, with no run in it, the page is coldstart.html.

    Example: ftl report results/cluster-a --out pages/cluster-a
    """
    from ftl.reporting.run_tables import RESULTS_FILE, SUMMARY_FILE, read_coldstart, read_run

    target = folder / "report" if out is None else out
    has_run = (folder / RESULTS_FILE).is_file() or (folder / SUMMARY_FILE).is_file()
    if not has_run and read_coldstart(folder) is not None:
        _write(target, partial(_coldstart_page, folder))
        return
    run = read_run(folder)
    from ftl.reporting.report import LATEX, write_report

    _write(target, partial(write_report, run=run), f", {target / LATEX}")


def _coldstart_page(folder: Path, target: Path) -> Path:
    """A cold start without a run."""
    from ftl.reporting.coldstart_report import write_coldstart_report

    return write_coldstart_report(folder, target)


def _write(target: Path, write: Callable[[Path], Path], more: str = "") -> None:
    try:
        page = write(target)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise UserError(
            f"--out {target}: cannot be written ({error.strerror or error}); give another folder"
        ) from error
    typer.echo(f"Read {page}; tables: {target / 'tables'}{more}")
