"""The simulated fleet as a telemetry source: the only door to the simulator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from ftl.data.node_table import SPLIT_TEST, SPLIT_TRAIN, UNKNOWN, NodeTable
from ftl.data.simulation.faults import (
    SPECIAL_STRETCH,
    Fault,
    condition_under,
    draw_faults,
    fault_share,
    monitored_label,
)
from ftl.data.simulation.features import KINDS, METRICS
from ftl.data.simulation.fleet import (
    WINDOW_SECONDS,
    WINDOWS_PER_DAY,
    FleetSeries,
    RackSeries,
    Shutdown,
    draw_fleet_series,
    draw_rack_series,
    slow_days,
)
from ftl.data.simulation.load import draw_load
from ftl.data.simulation.losses import draw_losses
from ftl.data.simulation.node import run_node
from ftl.data.simulation.sensors import draw_sensors, read_sensors
from ftl.data.simulation.traits import SLOTS, draw_traits, is_special, slot_of
from ftl.errors import ConfigError, TelemetryError
from ftl.randomness import derive_seed, generator

VERSION = 2  # part of the fingerprint; to be raised with every change of what is generated


class SimulatedSource:
    """A fleet of simulated nodes, 15-minute windows, generated node by node when read.

    What a node reports depends on (kind, seed, its number, nodes_per_rack) and on series that the fleet and its rack
    share; those depend on (kind, seed, n_windows). A larger fleet therefore begins with the nodes of a smaller one.

    Levels, spreads, persistence, outages and anomaly rates are compared with those of Marconi100 by
    ftl.data.simulation.reference. No quantity was chosen for the results of any detector.

    Not modelled, so that nobody reads more into a result than it holds:

    * The shares of the kinds of faults are inferred from lost telemetry and reboots, as nobody has published them.
    * Jobs occupy one node at a time: no parallel job spans nodes, and no node waits for another one.
    * Faults are independent of load, heat and age, and of each other, but for maintenance, outages of racks, and that
      some nodes and racks fail more often. The one precursor is that jobs may fail before the fault is seen.
    * Rates do not change over the years: no early months of the machine, in which labels were missing altogether.
    * Samples within a window are not drawn; avg, std, min and max come from one mean and one standard deviation.
    * Sensors keep their offsets; silicon does not age; users change their habits but not their kind.
    * Operating systems are heard in all months; on the machine ganglia was absent for one day in five.

    Args:
        kind: Which fleet, a key of KINDS.
        n_nodes: Number of nodes, at least 1.
        n_windows: Length of the period in windows of 15 minutes, at least one day (96). Windows that the collector
            missed have no row.
        seed: Any integer from 0 on.
        nodes_per_rack: 1 to 20; fewer than 20 are spread evenly over the height of the rack, so that a small fleet
            spans several racks.
        n_train_windows: Publish a split: the first so many windows of the period train, the others test. None: no
            split.
        name: Name of the dataset in messages; the kind where it is not given.

    Raises:
        ConfigError: If an argument is out of range.
    """

    origin = "simulated"
    time_unit = "seconds"

    def __init__(
        self, kind: str, n_nodes: int, n_windows: int, seed: int, name: str | None = None,
        nodes_per_rack: int = SLOTS, n_train_windows: int | None = None,
    ) -> None:  # fmt: skip
        where = f"datasets.{name or '<name>'}"
        if kind not in tuple(KINDS):  # also refuses what cannot be a key
            raise ConfigError(f"{where}.kind: unknown {kind!r}; known: {', '.join(KINDS)}")
        sizes: tuple[tuple[str, object, int], ...] = (
            ("n_nodes", n_nodes, 1), ("n_windows", n_windows, WINDOWS_PER_DAY), ("seed", seed, 0),
            ("nodes_per_rack", nodes_per_rack, 1),
        )  # fmt: skip
        for key, value, least in sizes:
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{where}.{key} must be an integer of at least {least}; got {value!r}")
        if nodes_per_rack > SLOTS:
            raise ConfigError(f"{where}.nodes_per_rack: a rack has {SLOTS} slots; got {nodes_per_rack}")
        if n_train_windows is not None and n_train_windows not in range(1, n_windows):
            raise ConfigError(f"{where}.n_train_windows must be in [1, {n_windows - 1}]; got {n_train_windows!r}")
        self.name = name or kind
        self.kind = kind
        self.n_nodes = n_nodes
        self.n_windows = n_windows
        self.seed = seed
        self.nodes_per_rack = nodes_per_rack
        self.n_train_windows = n_train_windows
        self._last_rack: tuple[int, RackSeries] | None = None  # nodes are mostly read rack by rack

    def node_ids(self) -> list[str]:
        """Ids of all nodes, rack by rack and upwards within a rack."""
        return [f"node-{index:03d}" for index in range(self.n_nodes)]

    def rack_of(self, node_id: str) -> str:
        """The rack of a node."""
        return f"rack-{self._index(node_id) // self.nodes_per_rack:02d}"

    def slot_of(self, node_id: str) -> int:
        """The height of a node in its rack, 0 (bottom) to 19."""
        return slot_of(self._index(node_id), self.nodes_per_rack)

    def window_seconds(self) -> float:
        """Length of one window, 900 s."""
        return float(WINDOW_SECONDS)

    def fingerprint(self) -> str:
        """Hash of the settings and of the simulator's version; equal fingerprints mean equal telemetry."""
        settings = [VERSION, self.kind, self.n_nodes, self.n_windows, self.seed, self.nodes_per_rack,
                    self.n_train_windows, KINDS[self.kind].features]  # fmt: skip
        return hashlib.blake2b(json.dumps(settings).encode(), digest_size=16).hexdigest()

    @cached_property
    def fleet_series(self) -> FleetSeries:
        """What all nodes share, generated once."""
        rng = generator(self.seed, "simulated", self.kind, "fleet", self.n_windows)
        return draw_fleet_series(KINDS[self.kind], self.n_windows, rng)

    def shutdowns_of(self, node_id: str) -> tuple[Shutdown, ...]:
        """Maintenance of the fleet and outages of the node's rack."""
        return self.fleet_series.maintenance + self._rack(self._index(node_id)).outages

    def faults_of(self, node_id: str) -> tuple[Fault, ...]:
        """What happens to this node alone, in time order. Windows are counted from 0."""
        index, special = self._index(node_id), self._is_special(self._index(node_id))
        tendency = self._rack(index).fault_factor
        share = fault_share(self.seed, self.kind, KINDS[self.kind], index, tendency, special)
        stretch = SPECIAL_STRETCH if special else 1.0
        return draw_faults(self._generator(index, "faults"), self.n_windows, share, stretch)

    def labels_of(self, node_id: str) -> np.ndarray:
        """The label of every window of the period, (n_windows,) int8, also of those whose telemetry is lost."""
        rng = self._generator(self._index(node_id), "label")
        label = monitored_label(self.faults_of(node_id), self.shutdowns_of(node_id), self.n_windows, rng)
        label[self.fleet_series.monitor_down] = UNKNOWN
        return label

    def read_node(self, node_id: str) -> NodeTable:
        """Generate one node: about n_windows rows, labels 0, 1, and -1 where the monitoring was down.

        Raises:
            TelemetryError: If the fleet has no such node.
        """
        return self._read(node_id, KINDS[self.kind].statistics)

    def read_metrics(self, node_id: str, metrics: Sequence[str]) -> NodeTable:
        """Generate only the window means of some metrics of a node, in a tenth of the time of the whole table.

        Rows, labels and values are those of read_node: column `<metric>_avg` is the same to the last bit.

        Args:
            node_id: One of node_ids().
            metrics: Names of metrics (ftl.data.simulation.features.METRICS), also of those that this kind of fleet
                leaves out.

        Raises:
            TelemetryError: If the fleet has no such node, or its nodes no such metric.
        """
        known = {metric.name for metric in METRICS}
        for metric in metrics:
            if metric not in known:
                raise TelemetryError(f"{self.name}: no metric {metric!r}; known: {', '.join(sorted(known))}")
        return self._read(node_id, dict.fromkeys(metrics, ("avg",)))

    def _read(self, node_id: str, statistics: Mapping[str, tuple[str, ...]]) -> NodeTable:
        index, fleet = self._index(node_id), self.fleet_series
        rack = self._rack(index)
        traits = draw_traits(
            self._generator(index, "traits"), slot_of(index, self.nodes_per_rack), self._is_special(index)
        )
        habits = slow_days(self._generator(index, "habits"), self.n_windows, {20.0: 0.08})
        demand = fleet.demand + rack.demand + habits
        load = draw_load(self._generator(index, "load"), traits.users, demand, fleet.maintenance)
        faults = self.faults_of(node_id)
        condition = condition_under(faults, self.shutdowns_of(node_id), self.n_windows)
        channels, swings = run_node(traits, load, condition, fleet, rack, self._generator(index, "state"))
        sensors = draw_sensors(self._generator(index, "sensors"), traits)
        readings_seed = derive_seed(self.seed, "simulated", self.kind, "node", index, "readings")
        values = read_sensors(statistics, sensors, channels, swings, faults, readings_seed)
        losses = draw_losses(condition, fleet, self._generator(index, "losses"))
        column = 0
        for metric, chosen in statistics.items():
            values[losses.of(metric), column : column + len(chosen)] = np.nan
            column += len(chosen)
        return NodeTable(
            node_id=node_id,
            time=fleet.time[losses.arrives],
            values=values[losses.arrives],
            features=tuple(f"{metric}_{statistic}" for metric, chosen in statistics.items() for statistic in chosen),
            label=self.labels_of(node_id)[losses.arrives],
            split=self._split(losses.arrives),
            treatments={},
        )

    def _split(self, arrives: np.ndarray) -> np.ndarray | None:
        if self.n_train_windows is None:
            return None
        return np.where(np.flatnonzero(arrives) < self.n_train_windows, SPLIT_TRAIN, SPLIT_TEST).astype(np.int8)

    def _rack(self, index: int) -> RackSeries:
        number = index // self.nodes_per_rack
        if self._last_rack is None or self._last_rack[0] != number:
            rng = generator(self.seed, "simulated", self.kind, "rack", number, self.n_windows)
            self._last_rack = number, draw_rack_series(rng, self.fleet_series)
        return self._last_rack[1]

    def _is_special(self, index: int) -> bool:
        return is_special(self.seed, self.kind, index, self.nodes_per_rack)

    def _generator(self, index: int, purpose: str) -> np.random.Generator:
        """Depends neither on other nodes nor on the size of the fleet."""
        return generator(self.seed, "simulated", self.kind, "node", index, purpose)

    def _index(self, node_id: str) -> int:
        number = node_id.removeprefix("node-")
        index = int(number) if number.isdecimal() else self.n_nodes
        if index >= self.n_nodes or node_id != f"node-{index:03d}":
            last = f"node-{self.n_nodes - 1:03d}"
            raise TelemetryError(f"{self.name}: no node {node_id!r}; the fleet has node-000 to {last}")
        return index
