"""A prepared fleet as studies read it: each node's rows in units that all nodes share, before any scaler.

A prepared fleet holds rows in each node's own scale, fitted on its whole training part. A study that asks what a node
can do with two hours of history must not use that scale, so it is taken back here: rows are in the fleet's units, an
affine map of the (transformed) raw values that is the same for all nodes. Only what preparing clipped is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ftl.data.drift import drift_share
from ftl.data.fleet import TEST, TRAIN, VALIDATION, Fleet
from ftl.data.rebasing import rebased
from ftl.errors import TelemetryError
from ftl.sharing import FleetScale


@dataclass(frozen=True)
class NodeTelemetry:
    """One node's rows in the fleet's units.

    Attributes:
        node: The node's position in the fleet.
        history: Rows before the test part that are not labelled anomalous, in time order, shape (T, F) float32.
        history_time: Their times, shape (T,).
        test: Rows that are scored, in time order, shape (T', F) float32; their times and labels (-1 unknown) beside.
        muted: Features of which the node tells nothing, bool, shape (F,): it lacks them, or the whole fleet holds them
            constant. They are 0 in every row.
    """

    node: int
    history: np.ndarray
    history_time: np.ndarray
    test: np.ndarray
    test_time: np.ndarray
    test_label: np.ndarray
    muted: np.ndarray

    def scaled(self, rows: np.ndarray, scale: FleetScale) -> np.ndarray:
        """Rows of this node as a model reads them, (T, F) -> (T, F) float32."""
        x = scale(rows)
        x[:, self.muted] = 0.0
        return x

    def first(self, duration: float | None) -> int:
        """How many rows of the history lie within `duration` units of time from its beginning; all of them for None."""
        if duration is None:
            return len(self.history)
        return int(np.searchsorted(self.history_time, self.history_time[0] + duration, side="left"))


def without_level(node: NodeTelemetry, window: float) -> NodeTelemetry:
    """The node with every row less the median of its trailing window (in units of time); no row sees a later one."""
    rows = rebased(
        np.concatenate([node.history, node.test]), np.concatenate([node.history_time, node.test_time]), window
    )
    n = len(node.history)
    return replace(node, history=rows[:n], test=rows[n:])


def drifting_share(nodes: Sequence[NodeTelemetry], limit: float) -> float:
    """Share of the nodes whose history drifts, each by its own label-free test (:func:`ftl.data.drift.drift_share`)."""
    return float(np.mean([drift_share(node.history) > limit for node in nodes]))


@dataclass(frozen=True)
class FleetTelemetry:
    """The nodes of a prepared fleet in the fleet's units.

    Attributes:
        fleet: Rows are read from its files, a node at a time.
        window_minutes: Length of a window of fleets that do not say it.
    """

    fleet: Fleet
    window_minutes: float = 5.0

    @property
    def n_nodes(self) -> int:
        return len(self.fleet.node_ids)

    @property
    def n_features(self) -> int:
        return len(self.fleet.features)

    @property
    def window_is_known(self) -> bool:
        return self.fleet.time_unit == "seconds" or self.fleet.window_seconds is not None

    @cached_property
    def seconds_per_unit(self) -> float:
        """Seconds of one unit of the fleet's time."""
        if self.fleet.time_unit == "seconds":
            return 1.0
        return self.fleet.window_seconds or 60.0 * self.window_minutes

    @cached_property
    def window(self) -> float:
        """Length of a window in units of time: the median step of the nodes' rows."""
        steps = [np.diff(self.fleet.time[self._rows(node)]) for node in range(self.n_nodes)]
        return float(np.median([np.median(step) for step in steps if len(step)] or [1.0]))

    def units_of(self, hours: float) -> float:
        """Hours in units of the fleet's time."""
        return hours * 3600.0 / self.seconds_per_unit

    def windows_of(self, minutes: float) -> float:
        """Minutes in windows."""
        return minutes * 60.0 / (self.window * self.seconds_per_unit)

    def node(self, node: int) -> NodeTelemetry:
        """Read one node."""
        fleet, test = self.fleet, self.fleet.rows(node, TEST)
        history = self._rows(node)
        return NodeTelemetry(
            node,
            self._in_units(node, history),
            np.asarray(fleet.time[history]),
            self._in_units(node, test),
            np.asarray(fleet.time[test]),
            np.asarray(fleet.label[test]),
            np.asarray(fleet.muted[node]),
        )

    def nodes(self, nodes: Sequence[int]) -> list[NodeTelemetry]:
        return [self.node(node) for node in nodes]

    def _rows(self, node: int) -> np.ndarray:
        rows = self.fleet.rows(node, TRAIN, VALIDATION)
        return rows[self.fleet.label[rows] != 1]

    @cached_property
    def _units(self) -> tuple[np.ndarray, np.ndarray]:
        """Zero and unit of each feature: medians over nodes of their scalers' own, so that float32 loses nothing."""
        offset, scale = np.asarray(self.fleet.offset, np.float64), np.asarray(self.fleet.scale, np.float64)
        held = ~np.asarray(self.fleet.muted)
        zero, unit = np.zeros(offset.shape[1]), np.ones(offset.shape[1])
        for feature in np.flatnonzero(held.any(axis=0)):
            zero[feature] = np.median(offset[held[:, feature], feature])
            unit[feature] = np.median(scale[held[:, feature], feature])
        return zero, unit

    def _in_units(self, node: int, rows: np.ndarray) -> np.ndarray:
        zero, unit = self._units
        factor = self.fleet.scale[node].astype(np.float64) / unit
        shift = (self.fleet.offset[node].astype(np.float64) - zero) / unit
        values = np.asarray(self.fleet.x[rows], np.float32) * factor.astype(np.float32) + shift.astype(np.float32)
        values[:, self.fleet.muted[node]] = 0.0
        return np.asarray(values, np.float32)


def require_time_order(fleet: Fleet) -> None:
    """Refuse a fleet whose test rows are not all later than the rows that are learned from.

    Raises:
        TelemetryError: Naming the first node where they are not, as after a random split.
    """
    for node, node_id in enumerate(fleet.node_ids):
        known, test = (fleet.time[fleet.rows(node, *parts)] for parts in ((TRAIN, VALIDATION), (TEST,)))
        if len(known) and len(test) and known.max() >= test.min():
            raise TelemetryError(
                f"{fleet.name}: node {node_id}: test rows begin before training rows end, and a study replays a node's "
                "history up to its test part; prepare the fleet with protocol: rigorous, and with prepare.split: "
                "chronological if the split is the telemetry's own"
            )


def require_anomalies(fleet: Fleet) -> None:
    """Refuse a fleet on whose test rows no alarm can be right.

    Raises:
        TelemetryError: If no test row of any node is labelled anomalous.
    """
    labels = np.concatenate([fleet.label[fleet.rows(node, TEST)] for node in range(len(fleet.node_ids))])
    if not (labels == 1).any():
        raise TelemetryError(
            f"{fleet.name}: none of the {len(labels):,} test rows is labelled anomalous ({(labels == -1).sum():,} are "
            "of unknown label), so that no alarm can be judged right or wrong. Name the label column under 'label' in "
            "fleet.yaml, or bring telemetry whose last fifth has known anomalies"
        )


def racks_of(fleet: Fleet) -> dict[str, str | None]:
    """The rack of each node, None where it is unknown."""
    return dict(zip(fleet.node_ids, fleet.racks, strict=True))
