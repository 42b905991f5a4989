"""Telemetry: sources of node tables, and the prepared fleet that everything else reads."""

from ftl.data.fleet import GAP, PROTOCOLS, TEST, TRAIN, VALIDATION, Fleet, read_fleet, write_fleet
from ftl.data.node_table import NodeTable, TelemetrySource
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.prepare_report import describe_report
from ftl.data.scaling import Scaling
from ftl.data.sources import SOURCES, open_source

__all__ = [
    "GAP",
    "PROTOCOLS",
    "SOURCES",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Fleet",
    "NodeTable",
    "PrepareSettings",
    "Scaling",
    "TelemetrySource",
    "describe_report",
    "open_source",
    "prepare_fleet",
    "read_fleet",
    "write_fleet",
]
