"""The simulated fleet as a telemetry source: the only door to the simulator."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property

import numpy as np

from ftl.data.node_table import UNKNOWN, NodeTable
from ftl.data.simulation.faults import Fault, condition_under, draw_faults, monitored_label, node_anomaly_rate
from ftl.data.simulation.features import KINDS
from ftl.data.simulation.load import WINDOW_SECONDS, WINDOWS_PER_DAY, FleetSeries, draw_fleet_series, draw_load
from ftl.data.simulation.node import NODES_PER_RACK, draw_traits, run_node
from ftl.data.simulation.sensors import draw_sensors, lose_telemetry, read_sensors
from ftl.errors import ConfigError, TelemetryError
from ftl.randomness import generator

VERSION = 1  # part of the fingerprint; to be raised with every change of what is generated


class SimulatedSource:
    """A fleet of simulated nodes, 15-minute windows, generated node by node when read.

    What a node reports depends on (kind, seed, its number) and on series that the whole fleet shares; those depend on
    (kind, seed, n_windows). A larger fleet therefore begins with the nodes of a smaller one.

    Not modelled, so that nobody reads more into a result than it holds:

    * Nothing is fitted to recordings. Sizes are round numbers near published ones; the shares of the kinds of faults
      are assumed, as nobody has published them. No quantity was chosen for the results of any detector.
    * Jobs occupy one node at a time: no parallel job spans nodes, and no node waits for another one.
    * Faults of a node are independent of its load, heat and age, and of each other; none has a precursor, and none hits
      several nodes (no maintenance of the whole fleet, no rack-wide outage). A node that is down does not vanish: at
      most ganglia and the GPUs are silent for a while. Rows lost to outages are unrelated to labels.
    * Samples within a window are not drawn; avg, std, min and max come from one mean and one standard deviation.
    * Sensors keep their offsets; silicon does not age; users change their habits but not their kind.

    Args:
        kind: Which fleet, a key of KINDS.
        n_nodes: Number of nodes, at least 1.
        n_windows: Length of the period in windows of 15 minutes, at least one day (96). Nodes have a few rows less.
        seed: Any integer from 0 on.
        name: Name of the dataset in messages; the kind where it is not given.

    Raises:
        ConfigError: If an argument is out of range.
    """

    origin = "simulated"
    time_unit = "seconds"

    def __init__(self, kind: str, n_nodes: int, n_windows: int, seed: int, name: str | None = None) -> None:
        where = f"datasets.{name or '<name>'}"
        if kind not in tuple(KINDS):  # also refuses what cannot be a key
            raise ConfigError(f"{where}.kind: unknown {kind!r}; known: {', '.join(KINDS)}")
        sizes: tuple[tuple[str, object, int], ...] = (
            ("n_nodes", n_nodes, 1), ("n_windows", n_windows, WINDOWS_PER_DAY), ("seed", seed, 0),
        )  # fmt: skip
        for key, value, least in sizes:
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{where}.{key} must be an integer of at least {least}; got {value!r}")
        self.name = name or kind
        self.kind = kind
        self.n_nodes = n_nodes
        self.n_windows = n_windows
        self.seed = seed

    def node_ids(self) -> list[str]:
        """Ids of all nodes, rack by rack and upwards within a rack."""
        return [f"node-{index:03d}" for index in range(self.n_nodes)]

    def rack_of(self, node_id: str) -> str:
        """The rack of a node; five simulated nodes stand for the twenty of a real rack."""
        return f"rack-{self._index(node_id) // NODES_PER_RACK:02d}"

    def window_seconds(self) -> float:
        """Length of one window, 900 s."""
        return float(WINDOW_SECONDS)

    def fingerprint(self) -> str:
        """Hash of the settings and of the simulator's version; equal fingerprints mean equal telemetry."""
        settings = [VERSION, self.kind, self.n_nodes, self.n_windows, self.seed, KINDS[self.kind].features]
        return hashlib.blake2b(json.dumps(settings).encode(), digest_size=16).hexdigest()

    @cached_property
    def fleet_series(self) -> FleetSeries:
        """What all nodes share, generated once."""
        rng = generator(self.seed, "simulated", self.kind, "fleet", self.n_windows)
        return draw_fleet_series(KINDS[self.kind], self.n_windows, rng)

    def faults_of(self, node_id: str) -> tuple[Fault, ...]:
        """What really happens to a node, in time order: the truth behind the labels. Windows are counted from 0."""
        kind, index = KINDS[self.kind], self._index(node_id)
        rate = node_anomaly_rate(self.seed, self.kind, kind, index)
        return draw_faults(self._generator(index, "faults"), self.n_windows, rate, kind.fault_hours)

    def labels_of(self, node_id: str) -> np.ndarray:
        """The label of every window of the period, (n_windows,) int8, also of those whose telemetry is lost."""
        rng = self._generator(self._index(node_id), "label")
        label = monitored_label(self.faults_of(node_id), self.n_windows, rng)
        label[self.fleet_series.monitor_down] = UNKNOWN
        return label

    def read_node(self, node_id: str) -> NodeTable:
        """Generate one node: about n_windows rows, labels 0, 1, and -1 where the monitoring was down.

        Raises:
            TelemetryError: If the fleet has no such node.
        """
        kind, index, fleet = KINDS[self.kind], self._index(node_id), self.fleet_series
        rack_rng = generator(self.seed, "simulated", self.kind, "rack", index // NODES_PER_RACK)
        traits = draw_traits(self._generator(index, "traits"), rack_rng, index)
        load = draw_load(self._generator(index, "load"), traits.job_mix, traits.idle_share, fleet.demand)
        faults = self.faults_of(node_id)
        condition = condition_under(faults, self.n_windows, self._generator(index, "reboots"))
        channels, swings = run_node(traits, load, condition, fleet, self._generator(index, "state"))
        sensors = draw_sensors(self._generator(index, "sensors"), traits)
        values = read_sensors(kind, sensors, channels, swings, faults, self._generator(index, "readings"))
        arrives = lose_telemetry(kind, values, condition, fleet.collector_down, self._generator(index, "losses"))
        return NodeTable(
            node_id=node_id,
            time=fleet.time[arrives],
            values=np.ascontiguousarray(values[arrives]),
            features=kind.features,
            label=self.labels_of(node_id)[arrives],
            split=None,
            treatments={},
        )

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
