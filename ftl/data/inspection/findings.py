"""What an inspection found, as sentences: what stops a run, what will cost something, and what is good to know."""

from __future__ import annotations

from collections.abc import Sequence

from ftl.data.inspection.column_findings import COLUMN_RULES
from ftl.data.inspection.finding import ERROR, LEVELS, WARNING, Evidence, Finding, Rule
from ftl.data.inspection.label_findings import LABEL_RULES
from ftl.data.inspection.node_findings import NODE_RULES
from ftl.data.inspection.outlook_findings import OUTLOOK_RULES

RULES: tuple[Rule, ...] = (*NODE_RULES, *OUTLOOK_RULES, *LABEL_RULES, *COLUMN_RULES)


def find(evidence: Evidence) -> list[Finding]:
    """Apply all rules; errors first, then warnings, then notes."""
    found = [finding for rule in RULES for finding in rule(evidence)]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def verdict(findings: Sequence[Finding]) -> str:
    """``unusable``, ``usable with warnings`` or ``usable``."""
    levels = {finding.level for finding in findings}
    return "unusable" if ERROR in levels else "usable with warnings" if WARNING in levels else "usable"
