"""``ftl paper``: the published tables checked, and our results beside them."""

import json
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftl.errors import UserError, is_disk_full

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

paper = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The paper's published tables: checked, and beside your results. Example: ftl paper audit",
)

_MOST_ROWS = 12


@paper.command()
def audit(
    out: Annotated[Path | None, typer.Option(help="Also write the report to a file: .md or .json.")] = None,
) -> None:
    """Check the published tables for arithmetic, against each other and against the text.

    Every finding is computed from the tables as printed, which come with the package. It is a report: the exit code
    is 0 whatever it finds.

    Example: ftl paper audit --out audit.md
    """
    from ftl.paper import audit_tables, tally

    ending = _ending(out, (".md", ".json"))
    findings = audit_tables()
    if out is not None and ending == ".json":
        content = {"summary": tally(findings), "findings": [finding.as_json() for finding in findings]}
        _write(out, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    elif out is not None:
        from ftl.cli.paper_pages import audit_page

        _write(out, audit_page(findings))
    console = _console()
    for finding in findings:
        _say(console, f"[{finding.id}] {finding.verdict.upper()} ({finding.where})")
        _say(console, f"Checked: {finding.checked}", indent=2)
        _say(console, f"Tables: {finding.says}", indent=2)
        if len(finding.rows):
            _print_table(console, finding.rows)
        console.print()
    _say(console, tally(findings))
    _say_written(console, out)


@paper.command()
def compare(
    results: Annotated[
        Path, typer.Argument(help="Results folder: what `ftl run --out` wrote, or artifacts; or a summary.csv.")
    ],
    as_: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="PAPER=YOURS", help="Which dataset stands for the paper's d1 or d2. Repeatable."),
    ] = None,
    arm: Annotated[str, typer.Option(help="The arm that stands for the paper's 'after'.")] = "transfer",
    out: Annotated[Path | None, typer.Option(help="Also write it to a file: .md or .csv, with all columns.")] = None,
) -> None:
    """Hold your cells beside the paper's: same dataset, paradigm, policy and N.

    Says what your data is and how your run reads the paper, and lists cells without partner. It gives no verdict. Every
    pair is PAPER | OURS.

    Example: ftl paper compare results --as d1=cluster-a --out compare.md
    """
    from ftl.paper import compare_means, compare_with_paper, partner_sentences, readings, sentence_on_data

    ending = _ending(out, (".md", ".csv"))
    summary, params, fleets = _read(results)
    if arm not in set(summary["arm"]):
        known = ", ".join(sorted(set(summary.loc[summary["policy"].notna(), "arm"])))
        raise UserError(f"--arm {arm}: the results have no such arm with a cohort; they have {known or 'none'}")
    cells = compare_with_paper(summary, _names(as_), arm)
    means, read = compare_means(cells), readings(params, fleets)
    about = [sentence_on_data(str(name), fleets) for name in dict.fromkeys(summary["dataset"])]
    about += partner_sentences(cells)
    if out is not None and ending == ".csv":
        _write(out, cells.to_csv(index=False))
    elif out is not None:
        from ftl.cli.paper_pages import compare_page

        _write(out, compare_page(about, read, cells, means, arm))
    console = _console()
    for sentence in about:
        _say(console, sentence)
    _print_comparison(console, cells, means)
    _print_readings(console, read, bool(params))
    _say_written(console, out)


def _print_comparison(console: "Console", cells: "pd.DataFrame", means: "pd.DataFrame") -> None:
    from ftl.cli.paper_tables import cell_tables, means_table

    for title, table in cell_tables(cells, short=True):
        console.print()
        _say(console, f"{title}. Paper | ours.")
        _print_table(console, table, most=None)
    if len(means):
        console.print()
        _say(console, "Mean ΔF1 over N (Table 5).")
        _print_table(console, means_table(means), most=None)


def _print_readings(console: "Console", read: Sequence[Any], has_params: bool) -> None:
    from ftl.cli.paper_tables import readings_table

    console.print()
    if not has_params:
        _say(console, "How the run reads the paper: unknown (no params.json beside the summary).")
        return
    _say(console, "How the run reads the paper (docs/reproduce-the-paper.md explains the numbers).")
    _print_table(console, readings_table(read), most=None)


def _read(results: Path) -> "tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]":
    """The summary, and what lies beside it: parameters and fleets, empty where there are none."""
    from ftl.evaluation.summary import read_summary

    file = results / "summary.csv" if results.is_dir() else results
    if not file.is_file():
        raise UserError(
            f"{file}: no such file; give the folder that `ftl run FLEET --out FOLDER` wrote, or a summary.csv"
        )
    try:
        summary = read_summary(file)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file}: is no summary that can be read ({str(error).splitlines()[0]})") from error
    return summary, _read_json(file.with_name("params.json")), _read_json(file.with_name("fleets.json"))


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); run the evaluation again, or move the file away") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: a mapping was expected; run the evaluation again, or move the file away")
    return content


def _names(assignments: list[str] | None) -> dict[str, str] | None:
    """--as PAPER=YOURS, repeated."""
    if not assignments:
        return None
    names = {}
    for assignment in assignments:
        name, equals, ours = assignment.partition("=")
        if not equals or not ours:
            raise UserError(f"--as takes PAPER=YOURS, for example --as d1=cluster-a; got {assignment!r}")
        if name.lower() in names:
            raise UserError(f"--as {assignment}: {name} was named already")
        names[name.lower()] = ours
    return names


def _ending(out: Path | None, known: tuple[str, ...]) -> str:
    if out is None:
        return ""
    if out.suffix not in known:
        raise UserError(f"--out {out}: the name must end in {' or '.join(known)}")
    return out.suffix


def _write(out: Path, text: str) -> None:
    """Whole or not at all."""
    half = out.with_name(out.name + ".half")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(text, encoding="utf-8")
        os.replace(half, out)
    except OSError as error:
        advice = "free some space" if is_disk_full(error) else "give another name"
        raise UserError(f"--out {out}: cannot be written ({error.strerror or error}); {advice}") from error


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, 160))


def _say(console: "Console", text: str, indent: int = 0) -> None:
    margin = " " * indent
    console.print(
        textwrap.fill(text, console.width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False),
        markup=False,
        soft_wrap=True,
    )


def _say_written(console: "Console", out: Path | None) -> None:
    if out is not None:
        console.print(f"Written: {out}", markup=False, soft_wrap=True)


def _print_table(console: "Console", table: "pd.DataFrame", most: int | None = _MOST_ROWS) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    from ftl.cli.paper_tables import text

    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    drawn.collapse_padding = True
    for heading in table.columns:
        drawn.add_column(escape(str(heading)), overflow="fold")
    shown = table if most is None else table.head(most)
    for row in shown.itertuples(index=False, name=None):
        drawn.add_row(*(escape(text(value)) for value in row))
    console.print(Padding(drawn, (0, 0, 0, 4), expand=False))
    if len(shown) < len(table):
        _say(console, f"and {len(table) - len(shown)} more; --out writes all", indent=4)
