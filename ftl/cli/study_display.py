"""A finished comparison as a table in the terminal, and its verdict in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ftl.studies.comparison.runs import Compared

SHOWN = ("auroc", "auprc", "f1", "fpr")
WIDTH = 120


def print_comparison(compared: "Compared", column: str, costs: Sequence[str], reference: str) -> None:
    """Print means of every policy or method, by how much its AUROC differs from the reference's, and the sentences."""
    from rich.console import Console
    from rich.table import Table

    from ftl.studies.comparison.verdicts import records, situation

    means, differences = records(compared.summary), records(compared.differences)
    of = {(situation(row["arm"], row["hours"]), row[column]): row for row in differences if row["metric"] == "auroc"}
    for place in dict.fromkeys(situation(row["arm"], row["hours"]) for row in means):
        spread = {row["sd_of_draws"] for (where, _), row in of.items() if where == place and "sd_of_draws" in row}
        title = "; ".join([place, *(f"SD between random draws {value:.3f} AUROC" for value in spread)])
        table = Table(title=title, title_justify="left")
        for heading in (column, *(name.upper() for name in SHOWN), f"AUROC less {reference}", "p (Holm)", *costs):
            table.add_column(heading, justify="left" if heading == column else "right")
        for row in means:
            if situation(row["arm"], row["hours"]) == place:
                cells = [f"{row[name]:.3f}" for name in SHOWN]
                cells += _difference(of.get((place, row[column])))
                table.add_row(row[column], *cells, *(f"{row[name]:,.1f}".removesuffix(".0") for name in costs))
        Console(width=WIDTH).print(table)
    for sentence in compared.sentences:
        typer.echo(sentence)


def _difference(row: dict[str, Any] | None) -> list[str]:
    from ftl.studies.comparison.verdicts import delta_in_words

    if row is None:
        return ["", ""]
    p = row["p_holm"]
    return [delta_in_words(row), f"{p:.3f}" if p == p else ""]
