"""Models to scores: every model scores the test rows of a node and the rows before them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ftl.data.fleet import Fleet
from ftl.detection.scores import ANOMALY_SCORES, AnomalyScore, shrunk_nres
from ftl.detection.settings import ScoringSettings
from ftl.errors import UserError
from ftl.learning.paradigms import Paradigm
from ftl.models.network import ModelSettings, StackedNetwork, build_network
from ftl.models.state import StackedState, n_models
from ftl.sharing.variance import ResidualSums, median_variance, residual_sums


@dataclass(frozen=True)
class NodeScores:
    """A model's scores on a node, as float32: of the rows asked for, and of the rows before the test part."""

    scores: np.ndarray
    earlier: np.ndarray
    earlier_rows: np.ndarray


class Judge:
    """Scores models of one paradigm on nodes of one fleet.

    Args:
        earlier: Rows of each node before its test part, in time order, that are scored beside those asked for. Those
            that are not labelled anomalous are what its residual variance is set on.
    """

    def __init__(
        self,
        fleet: Fleet,
        paradigm: Paradigm,
        earlier: Sequence[np.ndarray],
        model: ModelSettings,
        scoring: ScoringSettings,
    ) -> None:
        self.fleet, self.paradigm, self.earlier, self.scoring = fleet, paradigm, earlier, scoring
        self.model = model
        self._earlier_x: dict[int, np.ndarray] = {}

    def judge(
        self,
        states: StackedState,
        nodes: Sequence[int],
        rows: Sequence[np.ndarray],
        fleet_variance: Sequence[np.ndarray | None] | None = None,
    ) -> Iterator[NodeScores]:
        """Scores of model k on ``rows[k]`` of node ``nodes[k]``; a stack of one model judges every node.

        Args:
            fleet_variance: Of each model, what :meth:`fleet_variance` gave for its fleet.
        """
        network = self._network(states)
        of_fleets = fleet_variance or [None] * len(nodes)
        for model, node, scored, of_fleet in zip(_models(states, nodes), nodes, rows, of_fleets, strict=True):
            yield self._judge_node(network, model, node, scored, of_fleet)

    def fleet_variance(self, states: StackedState, nodes: Sequence[int]) -> np.ndarray | None:
        """What these nodes, a fleet, tell each other: the median of their residual variances, shape (F,).

        Model k is that of node ``nodes[k]``; a stack of one model is that of every node. None where scores are not
        shrunk to it: `detection.variance_shrinkage` is 0, or the score divides by no variance of each feature.
        """
        if not self._shrinks:
            return None
        network = self._network(states)
        models = zip(_models(states, nodes), nodes, strict=True)
        return median_variance([self._sums(network, model, node) for model, node in models])

    def fitted_scores(
        self, states: StackedState, nodes: Sequence[int], fleet_variance: Sequence[np.ndarray | None]
    ) -> Iterator[AnomalyScore]:
        """The score by which :meth:`judge` judges the residuals of model k on node ``nodes[k]``; of autoencoders."""
        network = self._network(states)
        for model, node, of_fleet in zip(_models(states, nodes), nodes, fleet_variance, strict=True):
            yield self._fit(self._residual(network, model, node, self._x_before(node)), node, of_fleet)

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

    @property
    def _shrinks(self) -> bool:
        divides = self.paradigm.network == "autoencoder" and self.scoring.score == "nres"
        return divides and self.scoring.variance_shrinkage > 0

    def _judge_node(
        self, network: StackedNetwork, model: int, node: int, rows: np.ndarray, of_fleet: np.ndarray | None
    ) -> NodeScores:
        x, x_before, before = np.asarray(self.fleet.x[rows]), self._x_before(node), self.earlier[node]
        if self.paradigm.network == "classifier":
            scores = self._output(network, model, node, x)[:, 0]
            earlier = self._output(network, model, node, x_before)[:, 0]
        else:
            residual = self._residual(network, model, node, x_before)
            score = self._fit(residual, node, of_fleet)
            scores, earlier = score(self._residual(network, model, node, x)), score(residual)
        return NodeScores(scores.astype(np.float32), earlier.astype(np.float32), before)

    def _fit(self, residual: np.ndarray, node: int, of_fleet: np.ndarray | None) -> AnomalyScore:
        """The score from the residuals of the node's rows before its test part, of which the normal ones count."""
        normal = self._normal(residual, node)
        if of_fleet is None:
            return ANOMALY_SCORES[self.scoring.score](normal, self.scoring.variance_floor)
        own = residual_sums(normal, self.fleet.muted[node])
        return shrunk_nres(own, of_fleet, self.scoring.variance_shrinkage, self.scoring.variance_floor)

    def _sums(self, network: StackedNetwork, model: int, node: int) -> ResidualSums:
        residual = self._residual(network, model, node, self._x_before(node))
        return residual_sums(self._normal(residual, node), self.fleet.muted[node])

    def _normal(self, residual: np.ndarray, node: int) -> np.ndarray:
        normal = self.fleet.label[self.earlier[node]] != 1
        return residual if normal.all() else residual[normal]

    def _network(self, states: StackedState) -> StackedNetwork:
        network = build_network(self.paradigm.network, n_models(states), self.fleet.x.shape[1], self.model)
        network.load_state_dict(states)
        return network

    def _x_before(self, node: int) -> np.ndarray:
        if node not in self._earlier_x:
            self._earlier_x[node] = np.asarray(self.fleet.x[self.earlier[node]])
        return self._earlier_x[node]

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


def _models(states: StackedState, nodes: Sequence[int]) -> Sequence[int]:
    """Which model of the stack is that of each node."""
    return [0] * len(nodes) if n_models(states) == 1 else range(len(nodes))
