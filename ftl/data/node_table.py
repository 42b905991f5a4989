"""One node's raw telemetry, and what a source of telemetry has to offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

NORMAL, ANOMALOUS, UNKNOWN = 0, 1, -1
SPLIT_TRAIN, SPLIT_TEST = 0, 1


@dataclass(frozen=True)
class NodeTable:
    """One node's raw telemetry in time order."""

    node_id: str
    time: np.ndarray  # (T,) int64: epoch seconds UTC, or an integer step number
    values: np.ndarray  # (T, F) float32, NaN = missing
    features: tuple[str, ...]
    label: np.ndarray  # (T,) int8: 0 normal, 1 anomalous, -1 unknown
    split: np.ndarray | None  # (T,) int8: 0 train, 1 test; None where the source has no split
    treatments: dict[str, int]  # counted repairs made on reading, e.g. {"duplicate time steps dropped": 3}


class TelemetrySource(Protocol):
    """A fleet of nodes whose tables can be read one at a time, so that memory stays bounded."""

    name: str
    origin: str  # "simulated" or "real"
    time_unit: str  # "seconds" (timestamps) or "steps"

    def node_ids(self) -> list[str]:
        """Return the ids of all nodes, in the order in which they are kept."""

    def rack_of(self, node_id: str) -> str | None:
        """Return the rack of a node, None where it is not known."""

    def window_seconds(self) -> float | None:
        """Return the length of one telemetry window in seconds, None where it is not known."""

    def read_node(self, node_id: str) -> NodeTable:
        """Read one node. Raises TelemetryError where its table cannot be used."""

    def fingerprint(self) -> str:
        """Return a hash of the content (real telemetry) or of the settings (simulated telemetry)."""
