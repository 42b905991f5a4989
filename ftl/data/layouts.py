"""Which of the known layouts a folder of telemetry has, so that a command can be pointed at any of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from ftl.data.fleet_description import DESCRIPTION_FILE, NODE_TABLES, read_description
from ftl.data.node_table import TelemetrySource
from ftl.data.sources import open_source
from ftl.errors import ConfigError, TelemetryError

MONTH_TAR = re.compile(r"\d\d-\d\d\.tar")
RACK_TAR = re.compile(r"\d{1,2}\.tar")
NODE_FILE = re.compile(r"\d{1,4}\.parquet")


def open_folder(
    path: str | Path, source: str | None = None, settings: Mapping[str, Any] | None = None, name: str | None = None
) -> TelemetrySource:
    """Open a folder of telemetry in whatever known layout it has.

    Args:
        path: The folder, or one file of a release (a tar).
        source: A key of SOURCES; where it is not given, what fleet.yaml says, else what the folder looks like.
        settings: Settings of that source; they go before those of fleet.yaml.
        name: The fleet's name; the folder's where neither this nor fleet.yaml gives one.

    Raises:
        ConfigError: If the source or a setting is unknown, or fleet.yaml is wrong.
        TelemetryError: If the folder cannot be used.
    """
    path = Path(path)
    described = read_description(path / DESCRIPTION_FILE)
    said = described.source if described.settings or described.source != NODE_TABLES else None
    kind = source or said or layout_of(path)
    spec: dict[str, Any] = {"source": kind, **described.settings, **(settings or {})}
    if kind != "simulated":
        spec["path"] = path
    name = name or described.name or path.resolve().name
    try:
        return open_source(name, spec)
    except ConfigError as error:
        # What stands under datasets.<name> in params.yaml is a setting of the source here.
        raise ConfigError(str(error).replace(f"datasets.{name}.", "")) from error


def layout_of(path: Path) -> str:
    """The key of SOURCES that this folder looks like; ``node_tables`` where it looks like no public release.

    Raises:
        TelemetryError: If there is nothing at this path.
    """
    if not path.exists():
        raise TelemetryError(f"{path}: no such folder; give the folder that holds the telemetry")
    entries = [path] if path.is_file() else sorted(path.iterdir())
    names = [entry.name for entry in entries]
    if any(name.startswith("year_month=") or MONTH_TAR.fullmatch(name) for name in names):
        return "m100_raw"
    if any(RACK_TAR.fullmatch(name) for name in names):
        return "m100_aggregated"
    tables = [entry for entry in entries if entry.is_file()]
    if any("gzip" in table.name for table in tables):
        return "m100_d1"
    if any(entry.is_dir() and any(NODE_FILE.fullmatch(each.name) for each in entry.iterdir()) for entry in entries):
        return "m100_aggregated"
    node_file = next((table for table in tables if NODE_FILE.fullmatch(table.name) and _has_rows(table)), None)
    parquet = [table for table in tables if table.suffix == ".parquet" and _has_rows(table)]
    of_all_nodes = parquet[0] if len(parquet) == 1 and "node" in pa.parquet.read_schema(parquet[0]).names else None
    told_by = node_file or of_all_nodes
    return "m100_aggregated" if told_by is not None and _is_aggregated(told_by) else "node_tables"


def _has_rows(table: Path) -> bool:
    """False for what cannot be read as well: the reader says what is wrong with it."""
    try:
        return pa.parquet.read_metadata(table).num_rows > 0
    except (pa.ArrowException, OSError):
        return False


def _is_aggregated(table: Path) -> bool:
    columns = pa.parquet.read_schema(table).names
    return "value" in columns and any(name.endswith("_avg") for name in columns)
