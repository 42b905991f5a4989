"""The source ``m100_raw``: months of the M100 ExaData release, from samples of every metric to windows per node."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ftl.data.m100.choice import choose_metrics, known, node_numbers
from ftl.data.m100.labels import DEFAULT_LABEL, NO_REPORT, labels_of
from ftl.data.m100.layout import Part, find_layout
from ftl.data.m100.materialise import Job, run_jobs
from ftl.data.m100.rows import Grid
from ftl.data.m100.store import read_rows_of
from ftl.data.m100.summary import Summary, some, summarise
from ftl.data.m100.units import unit_of
from ftl.data.m100.windows import STATISTICS
from ftl.data.node_table import NodeTable
from ftl.data.node_workers import Progress
from ftl.errors import ConfigError, TelemetryError

PLUGINS = ("ipmi", "ganglia")  # those whose samples belong to nodes
LABEL_PLUGIN, LABEL_METRIC = "nagios", "state"
N_COMPUTE_NODES = 980  # higher ids are login nodes, switches and masters
NODES_PER_RACK = 20
DEFAULT_CACHE = Path("work") / "m100_raw"
DAY_MINUTES = 24 * 60
MINUTE = 60_000  # milliseconds


class M100RawSource:
    """Months of the raw release as a fleet.

    Windows are left-labelled and aligned to the start of the day in UTC; a node has the windows in which at least one
    of its chosen metrics has a sample. Before the first node is read, every metric file is reduced to windows once
    (:meth:`materialise`), into a cache that later runs, further metrics and further months go on with.

    A sample that occurs twice (node, time and value) counts once; samples of one time with unlike values are all kept.
    Both are counted, as are samples without a value, infinite ones, and rows outside their month, in
    ``NodeTable.treatments``; what concerns files or the whole fleet stands in ``notes``.

    Args:
        path: Folder with ``year_month=*`` folders, with tars ``YY-MM.tar``, or with both.
        months: Such as ``21-03`` or ``20-03..20-06``; None takes all that are there.
        plugins: ``ipmi``, ``ganglia`` or both.
        metrics: Names or patterns such as ``p?_core*_temp``; None takes all of these plugins.
        nodes: Node ids; None takes the compute nodes, 0 to 979.
        statistics: Keys of :data:`STATISTICS`; a feature is named ``<metric>_<statistic>``.
        label: A Nagios service, or a key of :data:`ftl.data.m100.labels.LABEL_RULES`.
        unknown_is_anomalous: Whether Nagios' state 3 is read as anomalous instead of unknown.
        window_minutes: Length of a window; a divisor of a day.
        cache: Folder for the windowed metrics; ``work/m100_raw`` in the working folder where it is not given. Never
            the telemetry's own folder unless that is named here.
        name: The fleet's name; the folder's where it is not given.

    Attributes:
        cache: The folder in it that holds what is made of this telemetry under these settings.

    Raises:
        ConfigError: If a setting is wrong.
        TelemetryError: If the folder, a month or a tar cannot be used.
    """

    origin = "real"
    time_unit = "seconds"

    def __init__(
        self,
        path: str | Path,
        months: Sequence[str] | None = None,
        plugins: Sequence[str] = PLUGINS,
        metrics: Sequence[str] | None = None,
        nodes: Sequence[str | int] | None = None,
        statistics: Sequence[str] = ("avg", "std"),
        label: str = DEFAULT_LABEL,
        unknown_is_anomalous: bool = False,
        window_minutes: int = 15,
        cache: str | Path | None = None,
        name: str | None = None,
    ) -> None:
        self.path = Path(path).resolve()
        self.name = name or self.path.name
        self.statistics = known("statistics", statistics, STATISTICS)
        self.plugins = known("plugins", [plugin.removesuffix("_pub") for plugin in plugins], PLUGINS)
        self.label = label
        self.unknown_is_anomalous = unknown_is_anomalous
        if window_minutes not in range(1, DAY_MINUTES + 1) or DAY_MINUTES % window_minutes:
            raise ConfigError(f"window_minutes: must be whole and divide a day (1440); got {window_minutes!r}")
        self._window = int(window_minutes) * MINUTE
        self._nodes = tuple(range(N_COMPUTE_NODES)) if nodes is None else node_numbers(nodes)
        self._asked = nodes is not None
        self._layout = find_layout(self.path, months)
        self.months = tuple(self._layout.months)
        self.metrics, self._refused = choose_metrics(self._layout, self.plugins, metrics, self.path)
        self.cache = (Path(cache) if cache is not None else DEFAULT_CACHE).resolve() / self._key()
        self._summary: Summary | None = None

    def materialise(self, progress: Progress | None = None) -> None:
        """Reduce every chosen metric and month to windows, unless that is done; reading does it where it is missing.

        Safe to call from several processes: one works, the others wait. Interrupted, it goes on where it stood.
        ``FTL_WORKERS`` processes work side by side where that is set; each needs up to about 0.7 GB.

        Args:
            progress: Told of every finished metric and month: (done, total, what).

        Raises:
            TelemetryError: If a file cannot be used or the disk is full.
        """
        jobs = self._jobs()
        made = summarise(jobs, run_jobs(jobs, self.cache, progress), self._nodes, self._asked)
        self._summary = replace(made, notes=(*self._layout.notes, *self._choice_notes(), *made.notes))

    def node_ids(self) -> list[str]:
        """Ids of the nodes with at least one sample, ascending."""
        return list(map(str, self._made.nodes))

    def rack_of(self, node_id: str) -> str | None:
        """``rack-<n>``, 20 compute nodes to a rack; None for login nodes."""
        number = int(node_id) if node_id.isdecimal() else N_COMPUTE_NODES
        return f"rack-{number // NODES_PER_RACK}" if number < N_COMPUTE_NODES else None

    def window_seconds(self) -> float:
        """Length of a window."""
        return self._window / 1000

    def fingerprint(self) -> str:
        """Hash of all windowed values, states and settings: of what is read, however it lies on disk."""
        return f"{self._made.fingerprint}{'-3' if self.unknown_is_anomalous else ''}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or is missing, for the whole fleet."""
        return self._made.notes

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each feature whose unit is known; counts of samples have none."""
        features = {f"{metric}_{each}": unit_of(metric) for metric in self._made.metrics for each in self.statistics}
        return {name: unit for name, unit in features.items() if unit and not name.endswith("_count")}

    def read_node(self, node_id: str) -> NodeTable:
        """One node's windows in time order, each with at least one value; metrics without a sample are NaN.

        Raises:
            TelemetryError: If the fleet has no such node, or the cache was damaged.
        """
        made = self._made
        if not node_id.isdecimal() or int(node_id) not in made.nodes:
            raise TelemetryError(f"{self.name}: no node {node_id!r} with telemetry; there are {len(made.nodes)}")
        row = self._nodes.index(int(node_id))
        blocks = [self._read_month(month, row) for month in self.months]
        return NodeTable(
            node_id=node_id,
            time=np.concatenate([time for time, _, _ in blocks]),
            values=np.concatenate([values for _, values, _ in blocks]),
            features=tuple(f"{metric}_{each}" for metric in made.metrics for each in self.statistics),
            label=np.concatenate([label for _, _, label in blocks]),
            split=None,
            treatments=made.treatments.get(row, {}),
        )

    def grid(self, month: str) -> Grid:
        """The bins of a month."""
        first = np.datetime64(f"20{month}", "M")
        start, end = (int((first + n).astype("datetime64[ms]").astype(np.int64)) for n in (0, 1))
        return Grid(self._nodes, start, self._window, (end - start) // self._window)

    @property
    def _made(self) -> Summary:
        if self._summary is None:
            self.materialise()
        assert self._summary is not None
        return self._summary

    def _choice_notes(self) -> list[str]:
        notes = [f"metrics left out, they could be labels: {', '.join(self._refused)}"] if self._refused else []
        for month, plugins in self._layout.months.items():
            for plugin, metrics in self.metrics.items():
                absent = [metric for metric in metrics if metric not in plugins.get(plugin, {})]
                if absent:
                    notes.append(
                        f"{month}: {len(absent)} of {len(metrics)} metrics of {plugin} absent, "
                        f"missing values there: {some(absent)}"
                    )
            if not self._reports(month):
                notes.append(f"{month}: no Nagios reports (plugin {LABEL_PLUGIN}), so all its labels are unknown")
        return notes

    def _reports(self, month: str) -> tuple[Part, ...]:
        return self._layout.months[month].get(LABEL_PLUGIN, {}).get(LABEL_METRIC, ())

    def _jobs(self) -> list[Job]:
        jobs = []
        for month, plugins in self._layout.months.items():
            grid = self.grid(month)
            for plugin, metrics in self.metrics.items():
                for metric in metrics:
                    if parts := plugins.get(plugin, {}).get(metric):
                        stem = self.cache / f"{month}.{plugin}.{metric}"
                        jobs.append(Job(month, plugin, metric, parts, grid, self.statistics, None, stem))
            if parts := self._reports(month):
                stem = self.cache / f"{month}.{LABEL_PLUGIN}.{re.sub('[^a-zA-Z0-9]+', '-', self.label)}"
                jobs.append(Job(month, LABEL_PLUGIN, LABEL_METRIC, parts, grid, (), self.label, stem))
        return jobs

    def _key(self) -> str:
        """Name of the cache folder: what decides the content of every entry in it."""
        content = json.dumps([str(self.path), self._nodes, self._window, self.statistics])
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()

    def _read_month(self, month: str, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times, values and labels of a node's windows in a month."""
        grid, width = self.grid(month), len(self.statistics)
        values = np.full((grid.n_windows, len(self._made.metrics) * width), np.nan, np.float32)
        states = np.full(grid.n_windows, NO_REPORT, np.int8)
        for placed in self._made.placed.get(month, ()):
            if 0 <= row - placed.first_node < placed.shape[0]:
                content = read_rows_of(placed.stem, row - placed.first_node)
                windows = slice(placed.first_window, placed.first_window + placed.shape[1])
                if placed.metric < 0:
                    states[windows] = content
                else:
                    values[windows, placed.metric * width : (placed.metric + 1) * width] = content
        kept = np.flatnonzero(~np.isnan(values).all(axis=1))
        time = (grid.start + kept * grid.window) // 1000
        return time, values[kept], labels_of(states[kept], self.unknown_is_anomalous)
