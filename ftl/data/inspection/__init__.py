"""Looking at a fleet before it is used: one pass over its nodes, then tables, findings and a verdict."""

from ftl.data.inspection.description import Description
from ftl.data.inspection.finding import ERROR, NOTE, WARNING, Finding
from ftl.data.inspection.prepared import PartTally, PreparedSource
from ftl.data.inspection.reading import inspect_fleet
from ftl.data.inspection.survey import Inspection, NodeSummary

__all__ = [
    "ERROR",
    "NOTE",
    "WARNING",
    "Description",
    "Finding",
    "Inspection",
    "NodeSummary",
    "PartTally",
    "PreparedSource",
    "inspect_fleet",
]
