"""The paper's tables and figures, and the report of a run, as functions of the summary and the results table."""

from ftl.reporting.figures import draw_figures
from ftl.reporting.report import terminal_tables, write_report
from ftl.reporting.tables import arms_tables, markdown, tables_like_the_paper

__all__ = ["arms_tables", "draw_figures", "markdown", "tables_like_the_paper", "terminal_tables", "write_report"]
