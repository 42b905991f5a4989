"""Tables of text that a terminal and a page show alike: the first rows, and how many there are beyond them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ftl.data.inspection.words import UNDEFINED

MOST_ROWS = 15


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text; columns `left` hold words, `more` says what is not shown."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: str = ""
    left: tuple[int, ...] = (0,)


def text_table(
    title: str, table: pd.DataFrame, columns: Mapping[str, tuple[str, Callable[[Any], str]]], file: str
) -> TextTable:
    if "Unit" in columns and not table["unit"].any():
        columns = {heading: column for heading, column in columns.items() if heading != "Unit"}
    shown = table.head(MOST_ROWS)
    cells = [[write(value) for value in shown[name]] for name, write in columns.values()] if len(shown) else []
    more = f"and {len(table) - MOST_ROWS:,} more in {file}" if len(table) > MOST_ROWS else ""
    left = tuple(number for number, (_, write) in enumerate(columns.values()) if number == 0 or write is str)
    return TextTable(title, tuple(columns), tuple(zip(*cells, strict=True)), more, left)


def for_terminal(table: TextTable, most: int = 8) -> Table:
    """A table for rich, at most `most` rows of it."""
    drawn = Table(title=escape(table.title), title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    drawn.collapse_padding = True
    for number, heading in enumerate(table.headings):
        drawn.add_column(escape(heading), justify="left" if number in table.left else "right", overflow="fold")
    for row in table.rows[:most]:
        drawn.add_row(*map(escape, row))
    return drawn


def whole(number: Any) -> str:
    return f"{int(number):,}"


def number(value: Any) -> str:
    return UNDEFINED if pd.isna(value) else f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
