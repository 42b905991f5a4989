"""What ``ftl paper`` writes as Markdown."""

from collections.abc import Sequence

import pandas as pd

from ftl.cli.paper_tables import cell_tables, means_table, readings_table, text
from ftl.paper import Finding, Reading, tally
from ftl.reporting.tables import markdown


def audit_page(findings: Sequence[Finding]) -> str:
    """All findings, each with all of its rows."""
    parts = [
        "# The paper's tables, checked\n",
        f"{tally(list(findings))} Every number is computed from the tables as printed.\n",
    ]
    for finding in findings:
        parts.append(f"## {finding.id}: {finding.verdict}\n\n{finding.where}. {finding.checked}\n\n{finding.says}\n")
        if len(finding.rows):
            parts.append(markdown(finding.rows.map(text)))
    return "\n".join(parts)


def findings_table(findings: Sequence[Finding]) -> str:
    """All findings, a line each."""
    return markdown(
        pd.DataFrame(
            {
                "Finding": [finding.id for finding in findings],
                "Checked": [finding.checked for finding in findings],
                "Verdict": [finding.verdict for finding in findings],
                "What the tables say": [finding.says for finding in findings],
            }
        )
    )


def compare_page(
    about: Sequence[str], read: Sequence[Reading], cells: pd.DataFrame, means: pd.DataFrame, arm: str
) -> str:
    """Our cells beside the paper's, with all columns of its Tables 2 to 4."""
    parts = ["# Our cells beside the paper's\n", "\n".join(f"- {sentence}" for sentence in about) + "\n"]
    parts.append(
        f"Every pair is paper | ours; ours is the arm {arm}. `p < .05` is one t-test per cell on both sides, `after "
        "Holm` our correction over the whole table. d is printed for N = 10 only. No cell is judged here.\n"
    )
    for title, table in cell_tables(cells, short=False):
        parts += [f"## {title}\n", markdown(table)]
    if len(means):
        parts += ["## Mean ΔF1 over N (Table 5)\n", markdown(means_table(means))]
    parts += ["## How the run reads the paper\n", markdown(readings_table(read))]
    return "\n".join(parts)
