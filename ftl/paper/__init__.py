"""The paper's published tables: as data, checked against themselves, and beside our own results."""

from ftl.paper.audit import audit_tables, tally
from ftl.paper.compare import compare_means, compare_with_paper, partner_sentences
from ftl.paper.findings import Finding
from ftl.paper.reading import Reading, readings, sentence_on_data

__all__ = [
    "Finding",
    "Reading",
    "audit_tables",
    "compare_means",
    "compare_with_paper",
    "partner_sentences",
    "readings",
    "sentence_on_data",
    "tally",
]
