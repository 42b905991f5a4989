"""What a report is made of, whatever it is written as: sections of paragraphs, lists, tables, pictures and folds.

Texts may hold ``**bold**`` and backquoted words; everything else in them is shown as it stands.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import pandas as pd

if TYPE_CHECKING:
    from ftl.reporting.pictures.picture import Picture


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    text: str
    language: str = ""


@dataclass(frozen=True)
class Notice:
    """A box that is not to be overlooked."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ReportTable:
    """A table as it is shown, and the numbers behind it.

    Attributes:
        name: Of its csv file; tables of one name go into one file.
        caption: What it is, of which dataset (simulated or real, how many nodes), under which protocol.
        shown: Cells of text, rounded for reading.
        numbers: The same unrounded, with columns dataset and protocol.
        note: How to read it.
        number: Of the paper's table that it corresponds to; such tables are written as LaTeX too.
    """

    name: str
    caption: str
    shown: pd.DataFrame
    numbers: pd.DataFrame
    note: str = ""
    number: int | None = None


@dataclass(frozen=True)
class Fold:
    """Blocks behind a heading that opens them."""

    title: str
    blocks: tuple["Block", ...]


Block = Union[Paragraph, Bullets, Code, Notice, ReportTable, "Picture", Fold]


@dataclass(frozen=True)
class Section:
    anchor: str
    title: str
    blocks: tuple[Block, ...]


def paragraphs(*texts: str) -> list[Block]:
    return [Paragraph(text) for text in texts if text]


def absent(what: str, file: str, command: str) -> Paragraph:
    """A section has nothing to show: which file is missing, and what makes it."""
    return Paragraph(f"Not in this results folder: {what} (`{file}`). It is made by `{command}`.")


def tables_in(blocks: Sequence[Block]) -> Iterator[ReportTable]:
    """All tables, those behind folds too."""
    for block in blocks:
        if isinstance(block, ReportTable):
            yield block
        elif isinstance(block, Fold):
            yield from tables_in(block.blocks)
