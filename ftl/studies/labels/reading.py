"""What the models of a fold say of a node's rows: unsupervised scores, and features for heads."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ftl.detection.scores import VARIANCE_FLOOR
from ftl.detection.smoothing import GAP_WINDOWS, smooth
from ftl.sharing import FleetScale
from ftl.studies.alarms import Alarming
from ftl.studies.cohort import unmuted
from ftl.studies.labels.head import LinearHead, residual_features
from ftl.studies.stacks import Models
from ftl.studies.telemetry import NodeTelemetry

RESIDUAL, LATENT = "residual", "latent"
"""Kinds of features: of the node's own model's residuals, and codes of the global encoder (the paper's design)."""


@dataclass(frozen=True)
class Reading:
    """Of some rows of one node, in time order.

    Attributes:
        time: Shape (T,).
        unsupervised, zero_shot: Smoothed `nres` of the node's own and of the global model, (T,).
        features: By kind, (T, D) float32.
    """

    time: np.ndarray
    unsupervised: np.ndarray
    zero_shot: np.ndarray
    features: Mapping[str, np.ndarray]


class NodeReader:
    """Reads rows of one node with its own model and with the global one.

    Args:
        position: Of the node's own model in the stack.
        received: The global model, a stack of one.
        scale: The cohort's, in which both models read.
    """

    def __init__(
        self,
        node: NodeTelemetry,
        position: int,
        own: Models,
        received: Models,
        scale: FleetScale,
        alarming: Alarming,
    ) -> None:
        self.node, self.position, self.own, self.received = node, position, own, received
        self.scale, self.alarming = scale, alarming
        x = node.scaled(node.history, scale)
        self.variance, self.received_variance = (alarming.own_variance(part) for part in self._residuals(x))
        self.known = self.read(node.history, node.history_time)

    def read(self, rows: np.ndarray, time: np.ndarray) -> Reading:
        """Rows in the fleet's units, (T, F), and their times."""
        x = self.node.scaled(rows, self.scale)
        own, received = self._residuals(x)
        code = self.received.network.encode_rows(0, torch.from_numpy(x)).numpy()
        return Reading(
            time,
            self.alarming.score(own, self.variance, time),
            self.alarming.score(received, self.received_variance, time),
            {RESIDUAL: residual_features(own, self.variance + VARIANCE_FLOOR), LATENT: code},
        )

    def head_score(self, head: LinearHead, kind: str, reading: Reading) -> np.ndarray:
        """A head's log-odds of a reading, smoothed as the other scores are, (T,)."""
        raw = head(reading.features[kind])
        alarming = self.alarming
        return smooth(raw, reading.time, alarming.half_life, GAP_WINDOWS, alarming.window) if len(raw) else raw

    def _residuals(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, received = self.own.residual(self.position, x), self.received.residual(0, x)
        return unmuted(self.node, own), unmuted(self.node, received)
