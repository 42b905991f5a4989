"""Models to scores: every model judges the test rows of a node, calibrated on that node's own training rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ftl.data.fleet import Fleet
from ftl.detection.scores import ANOMALY_SCORES
from ftl.detection.settings import DetectionSettings
from ftl.detection.smoothing import smooth_train_test
from ftl.detection.thresholds import threshold_for
from ftl.errors import UserError
from ftl.learning.paradigms import Paradigm
from ftl.models.network import ModelSettings, StackedNetwork, build_network
from ftl.models.state import StackedState, n_models


@dataclass(frozen=True)
class NodeScores:
    """A model's scores on a node and the threshold set on the node's own rows before the test part."""

    scores: np.ndarray
    threshold: float
    loss: float  # mean over rows not labelled anomalous: reconstruction MSE, or a classifier's squared probability


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
        self.threshold = threshold_for(fleet.protocol, paradigm.name, detection)

    def judge(self, states: StackedState, nodes: Sequence[int], rows: Sequence[np.ndarray]) -> Iterator[NodeScores]:
        """Scores of model k on ``rows[k]`` of node ``nodes[k]``; a stack of one model judges every node."""
        network = build_network(self.paradigm.network, n_models(states), self.fleet.x.shape[1], self.model)
        network.load_state_dict(states)
        shared = n_models(states) == 1
        for position, (node, scored) in enumerate(zip(nodes, rows, strict=True)):
            yield self._judge_node(network, 0 if shared else position, node, scored)

    def _judge_node(self, network: StackedNetwork, model: int, node: int, rows: np.ndarray) -> NodeScores:
        def output_of(x: np.ndarray) -> np.ndarray:
            return self._finite(network.output_rows(model, torch.from_numpy(x)).numpy(), node)

        normal = self.calibration[node]
        x_test = np.asarray(self.fleet.x[rows])
        output = output_of(x_test)
        assumed_normal = self.fleet.label[rows] != 1
        if self.paradigm.network == "classifier":
            scores = output[:, 0].astype(np.float64)
            loss = float(np.square(scores[assumed_normal]).mean()) if assumed_normal.any() else np.nan
            train_scores = output_of(np.asarray(self.fleet.x[normal]))[:, 0].astype(np.float64)
        else:
            residual = x_test - output
            x_train = np.asarray(self.fleet.x[normal])
            residual_train = x_train - output_of(x_train)
            score = ANOMALY_SCORES[self.detection.score](residual_train, self.detection.variance_floor)
            scores, train_scores = score(residual), score(residual_train)
            loss = (
                float(np.square(residual[assumed_normal], dtype=np.float64).mean()) if assumed_normal.any() else np.nan
            )
        if self.detection.smoothing_half_life > 0:
            time = self.fleet.time
            train_scores, scores = smooth_train_test(
                train_scores, scores, time[normal], time[rows], self.detection.smoothing_half_life
            )
        return NodeScores(scores, self.threshold(train_scores, self.detection), loss)

    def _finite(self, output: np.ndarray, node: int) -> np.ndarray:
        if not np.isfinite(output).all():
            raise UserError(
                f"{self.fleet.name}: node {self.fleet.node_ids[node]}: the {self.paradigm.name} model gives "
                "values that are not finite: training diverged; lower optimizer.learning_rate"
            )
        return output
