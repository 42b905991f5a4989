"""The report as one HTML page that needs nothing else: styles, pictures and a few lines of script are in it."""

import base64
import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ftl.reporting.blocks import Block, Section

NO_BREAK = "\N{NO-BREAK SPACE}"
_NUMERIC = "+-.<0123456789"


def page(title: str, sections: Sequence[Section]) -> str:
    """The page as HTML text, pictures inlined."""
    environment = Environment(
        loader=PackageLoader("ftl.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"kind": _kind, "is_number": is_number_column}
    environment.filters |= {"inline": inline, "base64": _base64, "heading": heading, "breakable": breakable}
    return environment.get_template("report.html.j2").render(title=title, sections=sections)


def inline(text: str) -> Markup:
    """Escaped text in which ``**bold**`` and backquoted words are marked."""
    html = str(escape(text))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", html))


def heading(text: str) -> str:
    """A column's heading, whose bracket is not broken over two lines."""
    return re.sub(r"\[[^]]*\]", lambda bracket: bracket.group().replace(" ", NO_BREAK), text)


def breakable(text: str) -> Markup:
    """A long cell, whose names may be broken over lines after an underscore."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


def is_number_column(cells: Sequence[str]) -> bool:
    """Do all cells begin as numbers do? Such columns are aligned right, and sorted by value."""
    return all(str(cell)[:1] in _NUMERIC for cell in cells)


def _kind(block: Block) -> str:
    return type(block).__name__


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode("ascii")
