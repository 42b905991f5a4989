"""Models to scores: every model judges the test rows of a node, calibrated on that node's own training rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ftl.data.fleet import Fleet
from ftl.detection.scores import ANOMALY_SCORES
from ftl.detection.settings import DetectionSettings
from ftl.detection.smoothing import smooth_train_test
from ftl.detection.thresholds import fixed, threshold_for
from ftl.errors import UserError
from ftl.learning.paradigms import Paradigm
from ftl.models.network import ModelSettings, StackedNetwork, build_network
from ftl.models.state import StackedState, n_models


@dataclass(frozen=True)
class NodeScores:
    """A model's scores on a node and the threshold set on the node's own rows before the test part."""

    scores: np.ndarray
    threshold: float


class Judge:
    """Scores models of one paradigm on nodes of one fleet.

    Args:
        calibration: Rows of each node, before its test part and not labelled anomalous, on which its residual variance
            and threshold are set; in time order.
    """

    def __init__(
        self,
        fleet: Fleet,
        paradigm: Paradigm,
        calibration: Sequence[np.ndarray],
        model: ModelSettings,
        detection: DetectionSettings,
    ) -> None:
        self.fleet, self.paradigm, self.calibration, self.detection = fleet, paradigm, calibration, detection
        self.model = model
        self._calibration_cache: dict[int, np.ndarray] = {}
        self.threshold = threshold_for(fleet.protocol, paradigm.name, detection)

    def judge(self, states: StackedState, nodes: Sequence[int], rows: Sequence[np.ndarray]) -> Iterator[NodeScores]:
        """Scores of model k on ``rows[k]`` of node ``nodes[k]``; a stack of one model judges every node."""
        network = self._network(states)
        shared = n_models(states) == 1
        for position, (node, scored) in enumerate(zip(nodes, rows, strict=True)):
            yield self._judge_node(network, 0 if shared else position, node, scored)

    def losses(self, states: StackedState, nodes: Sequence[int], rows: Sequence[np.ndarray]) -> list[float]:
        """Mean loss of model k on those of ``rows[k]`` that are not labelled anomalous; NaN where there are none.

        The mean squared error of a reconstruction, or the mean squared probability of a classifier.
        """
        network = self._network(states)
        losses = []
        for model, (node, chosen) in enumerate(zip(nodes, rows, strict=True)):
            normal = chosen[self.fleet.label[chosen] != 1]
            x = np.asarray(self.fleet.x[normal])
            classifies = self.paradigm.network == "classifier"
            error = self._output(network, model, node, x) if classifies else self._residual(network, model, node, x)
            losses.append(float(np.square(error, dtype=np.float64).mean()) if len(normal) else np.nan)
        return losses

    def _judge_node(self, network: StackedNetwork, model: int, node: int, rows: np.ndarray) -> NodeScores:
        x, x_before = np.asarray(self.fleet.x[rows]), self._calibration_x(node)
        if self.paradigm.network == "classifier":
            scores = self._output(network, model, node, x)[:, 0].astype(np.float64)
            before = self._output(network, model, node, x_before)[:, 0].astype(np.float64)
        else:
            residual = self._residual(network, model, node, x_before)
            score = ANOMALY_SCORES[self.detection.score](residual, self.detection.variance_floor)
            scores, before = score(self._residual(network, model, node, x)), score(residual)
        if self.detection.smoothing_half_life > 0:
            time, calibration = self.fleet.time, self.calibration[node]
            before, scores = smooth_train_test(
                before, scores, time[calibration], time[rows], self.detection.smoothing_half_life
            )
        return NodeScores(scores, self.threshold(before, self.detection))

    def _network(self, states: StackedState) -> StackedNetwork:
        network = build_network(self.paradigm.network, n_models(states), self.fleet.x.shape[1], self.model)
        network.load_state_dict(states)
        return network

    def _calibration_x(self, node: int) -> np.ndarray:
        """A node's calibration rows: nothing of them where the threshold does not look at them."""
        if node not in self._calibration_cache:
            rows = self.calibration[node]
            needed = self.threshold is not fixed or self.detection.smoothing_half_life > 0
            if self.paradigm.network == "classifier" and not needed:
                rows = rows[:0]
            self._calibration_cache[node] = np.asarray(self.fleet.x[rows])
        return self._calibration_cache[node]

    def _residual(self, network: StackedNetwork, model: int, node: int, x: np.ndarray) -> np.ndarray:
        """What the model does not reproduce, 0 for features muted on the node: of those it tells nothing."""
        residual: np.ndarray = x - self._output(network, model, node, x)
        residual[:, self.fleet.muted[node]] = 0.0
        return residual

    def _output(self, network: StackedNetwork, model: int, node: int, x: np.ndarray) -> np.ndarray:
        return self._finite(network.output_rows(model, torch.from_numpy(x)).numpy(), node)

    def _finite(self, output: np.ndarray, node: int) -> np.ndarray:
        if not np.isfinite(output).all():
            raise UserError(
                f"{self.fleet.name}: node {self.fleet.node_ids[node]}: the {self.paradigm.name} model gives "
                "values that are not finite: training diverged; lower optimizer.learning_rate"
            )
        return output
