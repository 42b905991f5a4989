"""Where telemetry comes from: the sources that a dataset section of params.yaml, or a fleet.yaml, may name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftl.data.fleet_folder import FleetFolder
from ftl.data.node_table import TelemetrySource
from ftl.errors import ConfigError


def node_tables(name: str, path: str | Path) -> TelemetrySource:
    """A folder with one parquet or csv file per node."""
    return FleetFolder(_folder(name, path), name=name)


def simulated(
    name: str,
    kind: str,
    n_nodes: int,
    n_windows: int,
    seed: int,
    nodes_per_rack: int = 20,
    n_train_windows: int | None = None,
    path: str | Path | None = None,
) -> TelemetrySource:
    """A simulated fleet, d1-like or d2-like; `path` is DVC's, which prepares again when the simulator changes."""
    from ftl.data.simulation.source import SimulatedSource  # a real fleet needs none of it

    return SimulatedSource(
        name=name,
        kind=kind,
        n_nodes=n_nodes,
        n_windows=n_windows,
        seed=seed,
        nodes_per_rack=nodes_per_rack,
        n_train_windows=n_train_windows,
    )


def m100_raw(
    name: str,
    path: str | Path,
    months: Sequence[str] | None = None,
    plugins: Sequence[str] = ("ipmi", "ganglia"),
    metrics: Sequence[str] | None = None,
    nodes: Sequence[str] | None = None,
    statistics: Sequence[str] = ("avg", "std"),
    label: str = "batchs::client::state",
    unknown_is_anomalous: bool = False,
    window_minutes: int = 15,
    cache: str | Path | None = None,
) -> TelemetrySource:
    """Months of the M100 ExaData release, unpacked or as tars: samples of every metric, and Nagios states."""
    from ftl.data.m100.raw import M100RawSource

    return M100RawSource(
        _folder(name, path),
        months=_words(name, "months", months),
        plugins=_words(name, "plugins", plugins) or (),
        metrics=_words(name, "metrics", metrics),
        nodes=_words(name, "nodes", nodes),
        statistics=_words(name, "statistics", statistics) or (),
        label=label,
        unknown_is_anomalous=unknown_is_anomalous,
        window_minutes=window_minutes,
        cache=cache,
        name=name,
    )


def m100_aggregated(
    name: str,
    path: str | Path,
    nodes: Sequence[str] | None = None,
    racks: Sequence[str] | None = None,
    statistics: Sequence[str] | None = None,
    unknown_is_anomalous: bool = False,
) -> TelemetrySource:
    """The time-aggregated release of M100 ExaData: rack tars, or the files of their nodes."""
    from ftl.data.m100.aggregated import M100AggregatedSource

    return M100AggregatedSource(
        _folder(name, path),
        nodes=_words(name, "nodes", nodes),
        racks=_words(name, "racks", racks),
        statistics=_words(name, "statistics", statistics),
        unknown_is_anomalous=unknown_is_anomalous,
        name=name,
    )


def m100_d1(
    name: str, path: str | Path, label_column: str = "New_label", ignore: Sequence[str] = ()
) -> TelemetrySource:
    """The older dump of Marconi100: gzip-compressed parquet, one file per node."""
    from ftl.data.m100.d1 import M100D1Source

    return M100D1Source(
        _folder(name, path), label_column=label_column, ignore=_words(name, "ignore", ignore) or (), name=name
    )


SOURCES: dict[str, Callable[..., TelemetrySource]] = {
    "node_tables": node_tables,
    "m100_raw": m100_raw,
    "m100_aggregated": m100_aggregated,
    "m100_d1": m100_d1,
    "simulated": simulated,
}


def check_source(name: str, spec: Mapping[str, Any]) -> None:
    """Refuse a section of params.yaml that names no source, or not just the settings of its source; opens nothing.

    Raises:
        ConfigError: Naming the key.
    """
    where = f"datasets.{name}"
    kind = spec.get("source")
    if kind not in SOURCES:
        raise ConfigError(f"{where}.source: unknown {kind!r}; known: {', '.join(SOURCES)}")
    settings = {key: value for key, value in inspect.signature(SOURCES[kind]).parameters.items() if key != "name"}
    for key in spec:
        if key not in ("source", *settings):
            raise ConfigError(f"{where}.{key}: unknown key of source {kind}; known: {', '.join(settings)}")
    needed = [key for key, value in settings.items() if value.default is inspect.Parameter.empty]
    missing = [key for key in needed if key not in spec]
    if missing:
        raise ConfigError(f"{where}.{missing[0]}: missing; source {kind} needs {', '.join(needed)}")


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


def _folder(name: str, path: str | Path) -> Path:
    if not isinstance(path, str | Path):
        raise ConfigError(f"datasets.{name}.path: must be the path of a folder; got {path!r}")
    return Path(path)


def _words(name: str, key: str, values: Sequence[Any] | None) -> tuple[str, ...] | None:
    """A list of names; one word stands for a list of one, and a number for its digits (node 17, rack 5)."""
    if values is None:
        return None
    listed = [values] if isinstance(values, str | int) else values
    if not isinstance(listed, list | tuple) or not all(isinstance(value, str | int) for value in listed):
        raise ConfigError(f"datasets.{name}.{key}: must be a list of names; got {values!r}")
    return tuple(map(str, listed))
