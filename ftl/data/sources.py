"""Where telemetry comes from: the sources that a dataset section of params.yaml may name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ftl.data.fleet_folder import FleetFolder
from ftl.data.node_table import TelemetrySource
from ftl.errors import ConfigError


def node_tables(name: str, path: str | Path) -> TelemetrySource:
    """A folder with one parquet or csv file per node."""
    if not isinstance(path, str | Path):
        raise ConfigError(f"datasets.{name}.path: must be the path of a folder; got {path!r}")
    return FleetFolder(path, name=name)


def simulated(name: str, kind: str, n_nodes: int, n_windows: int, seed: int) -> TelemetrySource:
    """A simulated fleet, d1-like or d2-like."""
    from ftl.data.simulation.source import SimulatedSource  # a real fleet needs none of it

    return SimulatedSource(name=name, kind=kind, n_nodes=n_nodes, n_windows=n_windows, seed=seed)


SOURCES: dict[str, Callable[..., TelemetrySource]] = {"node_tables": node_tables, "simulated": simulated}


def check_source(name: str, spec: Mapping[str, Any]) -> None:
    """Refuse a section of params.yaml that names no source, or not just the settings of its source; opens nothing.

    Raises:
        ConfigError: Naming the key.
    """
    where = f"datasets.{name}"
    kind = spec.get("source")
    if kind not in SOURCES:
        raise ConfigError(f"{where}.source: unknown {kind!r}; known: {', '.join(SOURCES)}")
    known = [key for key in inspect.signature(SOURCES[kind]).parameters if key != "name"]
    for key in spec:
        if key not in ("source", *known):
            raise ConfigError(f"{where}.{key}: unknown key of source {kind}; known: {', '.join(known)}")
    missing = [key for key in known if key not in spec]
    if missing:
        raise ConfigError(f"{where}.{missing[0]}: missing; source {kind} needs {', '.join(known)}")


def open_source(name: str, spec: Mapping[str, Any]) -> TelemetrySource:
    """Open the source of one dataset.

    Args:
        name: The dataset's name.
        spec: Its section of params.yaml: ``source``, a key of SOURCES, and the values that this source takes.

    Raises:
        ConfigError: If the source is unknown, or a value is missing or unknown.
        TelemetryError: If the source itself cannot be used.
    """
    check_source(name, spec)
    settings = dict(spec)
    return SOURCES[settings.pop("source")](name=name, **settings)
