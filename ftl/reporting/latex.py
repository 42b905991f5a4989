"""Tables 2 to 7 as LaTeX, to be \\input into a paper; needs the packages booktabs and graphicx alone."""

from collections.abc import Iterable

import pandas as pd

from ftl.reporting.blocks import ReportTable
from ftl.reporting.page import is_number_column

_HEAD = r"""% Tables 2 to 7, written by ftl report. In the preamble: \usepackage{booktabs,graphicx}
% Wide tables are scaled to the width of the text.
"""
_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", "*": r"$^{*}$",
    "Δ": r"$\Delta$", "±": r"$\pm$", "−": r"$-$", "×": r"$\times$", "≤": r"$\le$", "≥": r"$\ge$", "µ": r"$\mu$",
    "[": "{[}", "]": "{]}",
}  # fmt: skip


def latex_tables(tables: Iterable[ReportTable]) -> str:
    """One float per table that corresponds to one of the paper's, in order of its number."""
    numbered = sorted((table for table in tables if table.number is not None), key=lambda table: table.number or 0)
    return _HEAD + "".join(_float(table, k) for k, table in enumerate(numbered, start=1))


def latex_text(text: str) -> str:
    """Text whose special signs LaTeX shows as they are; a sign that plain LaTeX cannot show becomes "?"."""
    return "".join(_SIGNS.get(sign, sign if sign.isascii() or sign.isalpha() else "?") for sign in text)


def _float(table: ReportTable, number: int) -> str:
    shown = table.shown
    aligned = "".join("r" if is_number_column(shown[name].tolist()) else "l" for name in shown)
    rows = "".join(f"{_row(cells)}\n" for cells in _cells(shown))
    caption = latex_text(" ".join(part for part in (table.caption, table.note) if part))
    return rf"""
\begin{{table}}
\centering
\caption{{{caption}}}
\label{{tab:{table.name.replace("_", "-")}-{number}}}
\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{%
\begin{{tabular}}{{@{{}}{aligned}@{{}}}}
\toprule
{_row(list(shown.columns))}
\midrule
{rows}\bottomrule
\end{{tabular}}}}
\end{{table}}
"""


def _cells(shown: pd.DataFrame) -> Iterable[list[str]]:
    return ([str(cell) for cell in row] for row in shown.itertuples(index=False, name=None))


def _row(cells: list[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"
