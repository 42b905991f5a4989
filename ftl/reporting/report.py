"""The report of a run: one HTML page, the same as Markdown, its tables as CSV and as LaTeX."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ftl.reporting.blocks import ReportTable, Section, tables_in
from ftl.reporting.latex import latex_tables
from ftl.reporting.markdown_page import markdown_page
from ftl.reporting.page import page
from ftl.reporting.pictures import KINDS, Picture, draw_pictures, write_pictures
from ftl.reporting.run_tables import RunTables
from ftl.reporting.sections import sections_of
from ftl.reporting.tables import tables_like_the_paper

PAGE, MARKDOWN, LATEX = "report.html", "report.md", "tables.tex"
FIGURES_FOLDER, TABLES_FOLDER = "figures", "tables"
TABLES = (  # names that a ReportTable may have
    *("headline", "transfer", "means", "effects", "harmed", "worst_nodes", "policies", "fine_tuning", "arms"),
    "labels",
    *("thresholds", "node_costs", "stage_costs", "break_even", "telemetry"),
    *("tuning", "tuning_parameters", "tuning_pareto"),
    *("coldstart", "coldstart_usable", "coldstart_differences", "coldstart_decisions"),
    *("drift", "drift_effects", "drift_gate", "drift_curve"),
)
TITLE = "Federated transfer learning on node telemetry"


def write_report(folder: Path, run: RunTables) -> Path:
    """Write figures/, tables/*.csv, tables.tex, report.md and, last, report.html.

    Args:
        folder: Made where it is missing; files of an earlier report are replaced, other files are left alone.
        run: What the run left behind.

    Returns:
        The path of the page.

    Raises:
        OSError: If a file cannot be written; no half of it is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw_pictures(run)
    sections = sections_of(run, pictures)
    _write(folder / LATEX, latex_tables([table for section in sections for table in tables_in(section.blocks)]))
    return write_pages(folder, TITLE, sections, pictures, (PAGE, MARKDOWN), KINDS, TABLES)


def write_pages(
    folder: Path,
    title: str,
    sections: Sequence[Section],
    pictures: Sequence[Picture],
    names: tuple[str, str],
    kinds: Sequence[str],
    tables: Sequence[str],
) -> Path:
    """Write figures/, tables/*.csv, a page in Markdown and, last, the page in HTML.

    Args:
        folder: Made where it is missing.
        names: Of the HTML and of the Markdown file.
        kinds, tables: Of pictures and tables that an earlier such report may have left, which are removed.

    Returns:
        The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder, kinds, tables)
    files = write_pictures(pictures, folder / FIGURES_FOLDER)
    _write_csv([table for section in sections for table in tables_in(section.blocks)], folder / TABLES_FOLDER)
    at = {name: path.relative_to(folder).as_posix() for name, path in files.items()}
    _write(folder / names[1], markdown_page(title, sections, at))
    _write(folder / names[0], page(title, sections))
    return folder / names[0]


def terminal_tables(summary: pd.DataFrame, arm: str = "transfer") -> list[Table]:
    """The tables of the paper, narrow enough for 80 columns, one per dataset, protocol and paradigm."""
    drawn = []
    for protocol, part in _by_protocol(summary):
        for (dataset, paradigm), rows in tables_like_the_paper(part, arm).items():
            title = f"{dataset}, {paradigm}, {protocol} protocol: F1 of targets before and after {arm}"
            table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
            table.collapse_padding = True
            columns = {
                "Policy": rows["Policy"],
                "N": rows["N"],
                "before": rows["F1 before"],
                "after": rows["F1 after"],
                "ΔF1 [95 % CI]": rows["ΔF1 [95 % CI]"],
                "d": rows["d"],
                "vs local_long": rows["ΔF1 vs local_long [95 % CI]"],
            }
            for heading in columns:
                # A square bracket would read as markup.
                table.add_column(escape(heading), justify="left" if heading == "Policy" else "right", no_wrap=True)
            for cells in zip(*columns.values(), strict=True):
                table.add_row(*map(escape, cells))
            drawn.append(table)
    return drawn


def _by_protocol(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for protocol in summary["protocol"].drop_duplicates():
        yield str(protocol), summary[summary["protocol"] == protocol]


def _remove_earlier(folder: Path, kinds: Sequence[str], tables: Sequence[str]) -> None:
    """Take away pictures and tables of an earlier report, which this one may not have; nobody else's files."""
    for kind in kinds:
        for path in (folder / FIGURES_FOLDER).glob(f"{kind}_*.png"):
            path.unlink()
    for name in tables:
        (folder / TABLES_FOLDER / f"{name}.csv").unlink(missing_ok=True)


def _write_csv(tables: Sequence[ReportTable], folder: Path) -> None:
    """One file per name of a table, unrounded."""
    folder.mkdir(exist_ok=True)
    for name in dict.fromkeys(table.name for table in tables):
        parts = [table.numbers for table in tables if table.name == name]
        _write(folder / f"{name}.csv", pd.concat(parts, ignore_index=True).to_csv(index=False, lineterminator="\n"))


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    half = path.with_name(f".{path.name}.half")
    try:
        half.write_text(text, encoding="utf-8")
        os.replace(half, path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
