"""``ftl rethreshold``: other rules of alarms on results that are there, without training."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftl.errors import ConfigError, UserError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SECTION = "detection."
AS_RUN = "as run"
RULES_FILE = "rules.csv"
SEEN_WITH_LABELS = (
    "These are results on the test part, labels included. Choose a rule for what it promises (docs/thresholds.md): "
    "the F1 of a rule that was chosen by this table is no result."
)
# Heading: (column, digits)
_SHOWN = {
    "F1": ("f1", 3),
    "Recall": ("recall", 3),
    "FPR": ("fpr", 4),
    "Alarms per node-day": ("alarms_per_node_day", 2),
    "Event recall": ("event_recall", 3),
}


def rethreshold(
    results: Annotated[
        Path, typer.Argument(help="The folder of `ftl run --out`, or artifacts/ after `dvc repro`; it is only read.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-S",
            metavar="KEY=VALUE",
            help="A parameter of the section detection, for example -S detection.threshold=pot. Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the new results go. Without it RESULTS/rethresholded/NAME-OF-THE-RULE.")
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Only print what a rule would do, `all` for every rule. Repeatable. With --out, also OUT/rules.csv.",
        ),
    ] = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write OUT/report too.")] = True,
) -> None:
    """Judge the scores of finished results by another threshold or smoothing; nothing is trained.

    Example: ftl rethreshold results/cluster-a -S detection.threshold=pot -S detection.pot_risk=1e-4
    """
    changes = _changes(set_ or [])
    if compare:
        _compare(results, compare, changes, out)
        return
    if not changes:
        raise ConfigError(
            "what shall change? For example -S detection.threshold=alarm_budget -S detection.alarms_per_node_day=0.2, "
            "or --compare all"
        )
    _rethreshold(results, changes, out or results / "rethresholded" / _short_name(changes), report)


def _rethreshold(results: Path, changes: Mapping[str, Any], out: Path, report: bool) -> None:
    """Write the results folder, and print alarms before and after."""
    import pandas as pd

    from ftl.experiment.results_folder import RESULTS_FILE, SUMMARY_FILE, read_scored_folder
    from ftl.experiment.rethreshold import rethreshold as judge
    from ftl.experiment.rethreshold import with_other_rules
    from ftl.experiment.rule_comparison import rule_rows, summary_of

    before = rule_rows(summary_of(results), "before")
    with_other_rules(read_scored_folder(results)[1], changes)  # refused before a folder is made
    typer.echo("judging the stored scores ...", err=True)
    tables, _ = judge(results, _made(out), changes)
    _print(pd.concat([before, rule_rows(tables.summary, "after")]), results)
    typer.echo("after: " + ", ".join(f"{SECTION}{key}={value}" for key, value in changes.items()))
    typer.echo(SEEN_WITH_LABELS)
    if report:
        from ftl.reporting.report import write_report
        from ftl.reporting.run_tables import read_run

        typer.echo(f"Read {write_report(out / 'report', read_run(out))}")
    typer.echo(f"Tables: {out / SUMMARY_FILE}, {out / RESULTS_FILE}")


def _compare(results: Path, asked: Iterable[str], changes: Mapping[str, Any], out: Path | None) -> None:
    """Print every rule's alarms side by side."""
    from ftl.detection.thresholds import THRESHOLDS
    from ftl.experiment.progress import node_progress
    from ftl.experiment.rule_comparison import compare_rules

    if "threshold" in changes:
        raise ConfigError(f"--compare names the rules; leave out -S detection.threshold={changes['threshold']}")
    asked = list(THRESHOLDS) if "all" in asked else list(dict.fromkeys(asked))
    for rule in asked:
        if rule not in THRESHOLDS:
            raise ConfigError(f"--compare: unknown rule {rule!r}; known: all, {', '.join(THRESHOLDS)}")
    rules: dict[str, Mapping[str, Any]] = {AS_RUN: {}, **{rule: {**changes, "threshold": rule} for rule in asked}}
    with node_progress() as progress:
        comparison = compare_rules(results, rules, progress)
    _print(comparison.table, results)
    for rule, reason in comparison.refused.items():
        typer.echo(f"left out: {rule}: {reason}", err=True)
    typer.echo(SEEN_WITH_LABELS)
    if out is not None:
        typer.echo(f"Table: {_write_csv(comparison.table, out)}")


def _changes(assignments: Iterable[str]) -> dict[str, Any]:
    """`detection.key=value` assignments as changes to that section."""
    from dataclasses import asdict

    from ftl.config import override
    from ftl.detection.settings import DetectionSettings

    assignments = list(assignments)
    keys = [assignment.partition("=")[0].strip() for assignment in assignments]
    for key, assignment in zip(keys, assignments, strict=True):
        if "=" in assignment and not key.startswith(SECTION):
            raise ConfigError(
                f"-S {assignment}: only the section detection can change without training; run the experiment again "
                "for any other, or write detection.threshold=..., for example"
            )
    detection = override({"detection": asdict(DetectionSettings())}, assignments)["detection"]
    return {key.removeprefix(SECTION): detection[key.removeprefix(SECTION)] for key in keys}


def _short_name(changes: Mapping[str, Any]) -> str:
    """``pot-pot_risk=0.0001``: a folder's name."""
    words = [str(changes["threshold"])] if "threshold" in changes else []
    words += [f"{key}={value}" for key, value in sorted(changes.items()) if key != "threshold"]
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", "-".join(words))


def _write_csv(table: "pd.DataFrame", out: Path) -> Path:
    half = _made(out) / (RULES_FILE + ".half")
    table.to_csv(half, index=False, lineterminator="\n")
    os.replace(half, out / RULES_FILE)
    return out / RULES_FILE


def _made(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made: {error.strerror}") from error
    return out


def _print(table: "pd.DataFrame", results: Path) -> None:
    from rich.console import Console

    console = Console()
    for drawn in _tables(table, _where(results)):
        console.print(drawn)


def _where(results: Path) -> dict[str, str]:
    """What each dataset is: ``d1 (simulated, 20 nodes)``."""
    import json

    from ftl.experiment.results_folder import FLEETS_FILE

    fleets = json.loads((results / FLEETS_FILE).read_text(encoding="utf-8"))
    return {name: f"{name} ({card['origin']}, {len(card['node_ids'])} nodes)" for name, card in fleets.items()}


def _tables(table: "pd.DataFrame", where: Mapping[str, str]) -> Iterator["Table"]:
    """One table for the terminal per dataset and paradigm: a row per arm and rule."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ftl.reporting.formats import number

    for (dataset, protocol, paradigm), rows in table.groupby(["dataset", "protocol", "paradigm"], sort=True):
        cohort = rows[rows["policy"].notna()]
        of = "" if cohort.empty else f"; transfer of {cohort['policy'].iloc[0]} {cohort['n_participants'].iloc[0]}"
        title = f"{where.get(str(dataset), dataset)}, {paradigm}, {protocol}{of}"
        drawn = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        drawn.collapse_padding = True
        for heading in ("Arm", "Rule", *_SHOWN):
            word = heading in ("Arm", "Rule")
            drawn.add_column(heading, justify="left" if word else "right", no_wrap=word)
        for arm, part in rows.groupby("arm", sort=False):
            for position, row in enumerate(part.to_dict("records")):
                cells = [number(row[name], digits) for name, digits in _SHOWN.values()]
                name = str(arm) if position == 0 else ""
                drawn.add_row(name, str(row["rule"]), *cells, end_section=position == len(part) - 1)
        yield drawn
