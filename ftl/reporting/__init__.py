"""The paper's tables and figures, and the report of a run, as functions of what the run left in its folder."""

from ftl.reporting.report import terminal_tables, write_report
from ftl.reporting.run_tables import RunTables, read_run
from ftl.reporting.tables import arms_tables, markdown, tables_like_the_paper

__all__ = [
    "RunTables",
    "arms_tables",
    "markdown",
    "read_run",
    "tables_like_the_paper",
    "terminal_tables",
    "write_report",
]
