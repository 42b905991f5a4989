"""What one level of supervision means: which rows a node trains on, and for what (paper, sections 3.1, 4.3.7)."""

from dataclasses import dataclass

import numpy as np

from ftl.data.fleet import TEST, TRAIN, Fleet
from ftl.errors import ConfigError
from ftl.learning.objectives import SEMI_SUPERVISED_LOSSES, SUPERVISED_LOSSES, Objective, reconstruction_loss
from ftl.models.network import NetworkKind
from ftl.randomness import generator


@dataclass(frozen=True)
class SupervisionSettings:
    """How much of the labels each paradigm sees, and what it does with them.

    Note: the paper trains "unsupervised" models "solely on normal data", which needs labels; ``train_rows: all`` is the
    reading without any. Its semi-supervised share of anomalies is not given. Supervised models use "one-fourth of the
    labeled data" (section 4.5.3).
    """

    train_rows: str = "normal"
    anomaly_fraction: float = 0.25
    semi_loss: str = "hinge"
    label_fraction: float = 0.25
    supervised_loss: str = "bce"
    class_weight: str = "balanced"

    def __post_init__(self) -> None:
        _known("train_rows", self.train_rows, ("normal", "all"))
        _known("semi_loss", self.semi_loss, tuple(SEMI_SUPERVISED_LOSSES))
        _known("supervised_loss", self.supervised_loss, tuple(SUPERVISED_LOSSES))
        _known("class_weight", self.class_weight, ("balanced", "none"))
        for key in ("anomaly_fraction", "label_fraction"):
            if not 0 < getattr(self, key) <= 1:
                raise ConfigError(f"supervision.{key} must be in (0, 1]; got {getattr(self, key)!r}")


@dataclass(frozen=True)
class NodeRows:
    """What one node trains on in one paradigm.

    Attributes:
        rows: Absolute row numbers in the fleet, shape (n,), n >= 1.
        label: 0 or 1 as training sees it, shape (n,), float32.
        weight: Weight of each row in the loss, shape (n,), float32, mean 1.
        normal: Those of ``rows`` that are not labelled anomalous; thresholds are set on them.
    """

    rows: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    normal: np.ndarray


@dataclass(frozen=True)
class Paradigm:
    """One level of supervision."""

    name: str
    network: NetworkKind
    needs_labels: bool

    def objective(self, supervision: SupervisionSettings) -> Objective:
        if self.name == "supervised":
            return SUPERVISED_LOSSES[supervision.supervised_loss]
        return SEMI_SUPERVISED_LOSSES[supervision.semi_loss] if self.needs_labels else reconstruction_loss

    def train_rows(self, fleet: Fleet, node: int, supervision: SupervisionSettings, seed: int) -> NodeRows:
        """The node's own training rows; labels lent by the test part (``Fleet.lent``) join where labels are needed."""
        train = fleet.rows(node, TRAIN)
        if not self.needs_labels:
            rows = train if supervision.train_rows == "all" else train[fleet.label[train] != 1]
            return _node_rows(fleet, rows, np.zeros(len(rows), np.float32))
        test = fleet.rows(node, TEST)
        labelled = np.concatenate([train, test[fleet.lent[test]]])
        random = generator(seed, self.name, "labels", fleet.node_ids[node])
        anomalous = labelled[fleet.label[labelled] == 1]
        if self.name == "semi_supervised":
            normal = train[fleet.label[train] != 1]
            few = _share(anomalous, supervision.anomaly_fraction, random)
            rows = np.sort(np.concatenate([normal, few]))
            return _node_rows(fleet, rows, (fleet.label[rows] == 1).astype(np.float32))
        normal = labelled[fleet.label[labelled] == 0]
        if len(normal) == 0:  # nothing is labelled normal: unlabelled rows of the train part stand in
            normal = train[fleet.label[train] != 1]
        rows = np.concatenate([_share(part, supervision.label_fraction, random) for part in (normal, anomalous)])
        rows = np.sort(rows)
        label = (fleet.label[rows] == 1).astype(np.float32)
        return _node_rows(fleet, rows, label, balanced=supervision.class_weight == "balanced")

    def test_rows(self, fleet: Fleet, node: int) -> np.ndarray:
        """Rows that are scored: the test part, less the rows that have lent their labels."""
        test = fleet.rows(node, TEST)
        return test[~fleet.lent[test]] if self.needs_labels else test


PARADIGMS: dict[str, Paradigm] = {
    "unsupervised": Paradigm("unsupervised", "autoencoder", needs_labels=False),
    "semi_supervised": Paradigm("semi_supervised", "autoencoder", needs_labels=True),
    "supervised": Paradigm("supervised", "classifier", needs_labels=True),
}


def _node_rows(fleet: Fleet, rows: np.ndarray, label: np.ndarray, balanced: bool = False) -> NodeRows:
    weight = np.ones(len(rows), np.float32)
    n_anomalous = int(label.sum())
    if balanced and 0 < n_anomalous < len(rows):
        weight = np.where(label > 0, len(rows) / (2 * n_anomalous), len(rows) / (2 * (len(rows) - n_anomalous)))
    return NodeRows(rows, label, weight.astype(np.float32), rows[fleet.label[rows] != 1])


def _share(rows: np.ndarray, fraction: float, random: np.random.Generator) -> np.ndarray:
    """A random share of the rows, at least one where there is one."""
    n = min(len(rows), max(1, round(fraction * len(rows))))
    return random.permutation(rows)[:n]


def _known(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"supervision.{key}: unknown {value!r}; known: {', '.join(known)}")
