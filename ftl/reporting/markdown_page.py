"""The report as Markdown; pictures stand beside it as files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ftl.reporting.blocks import Block, Bullets, Code, Fold, Notice, Paragraph, ReportTable, Section
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.tables import markdown


def markdown_page(title: str, sections: Sequence[Section], pictures: Mapping[str, str]) -> str:
    """The page as text.

    Args:
        title: Its heading.
        sections: In order.
        pictures: Relative path of each picture's file, by the picture's name.
    """
    parts = [f"# {title}\n"]
    for section in sections:
        parts.append(f"## {section.title}\n")
        parts += [_block(block, pictures) for block in section.blocks]
    return "\n".join(parts)


def _block(block: Block, pictures: Mapping[str, str]) -> str:
    if isinstance(block, Picture):
        return f"![{block.alt}]({pictures[block.name]})\n\n*{block.title}.* {block.caption}\n"
    if isinstance(block, Fold):
        inner = "\n".join(_block(inside, pictures) for inside in block.blocks)
        return f"<details><summary>{block.title}</summary>\n\n{inner}\n</details>\n"
    return _WRITERS[type(block)](block)


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _table(table: ReportTable) -> str:
    note = f"\n{table.note}\n" if table.note else ""
    return f"**{table.caption}**\n\n{markdown(table.shown)}{note}"


def _notice(notice: Notice) -> str:
    return f"> **{notice.title}**\n>\n" + "".join(f"> - {line}\n" for line in notice.lines)


_WRITERS: dict[type, Callable[[Any], str]] = {
    Paragraph: lambda block: f"{block.text}\n",
    Bullets: lambda block: _bullets(block.lines),
    Code: lambda block: f"```{block.language}\n{block.text.rstrip()}\n```\n",
    Notice: _notice,
    ReportTable: _table,
}
