"""The classical baselines on a prepared fleet, node by node, under the same protocol as the deep models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ftl.baselines.centroid import fit_centroid
from ftl.baselines.ecod import fit_ecod
from ftl.baselines.federated_pca import FederatedDetector, fit_federated_pca
from ftl.baselines.isolation_forest import fit_isolation_forest
from ftl.baselines.pca import fit_pca
from ftl.baselines.random_scorer import fit_random
from ftl.data.fleet import TEST, TRAIN, VALIDATION, Fleet
from ftl.detection import AnomalyScore, ScoringSettings
from ftl.errors import ConfigError, TelemetryError
from ftl.randomness import derive_seed

FitOnNode = Callable[[np.ndarray, int, ScoringSettings], AnomalyScore]  # training rows (T, F), seed, settings


@dataclass(frozen=True)
class ScoredNode:
    """What one baseline says of one node's test rows.

    Args:
        arm: Name of the baseline, a key of BASELINES.
        seed: The run's seed; baselines that draw nothing have equal scores for every seed.
        node: Index of the node in the fleet.
        score: Anomaly score of each test row, shape (T,), float64.
        rows: Absolute row numbers of the test rows in the fleet, shape (T,), in time order.
        earlier: Scores of the training rows and of the validation slice, shape (E,), float64.
        earlier_rows: The numbers of those rows, shape (E,), in time order.
        train_seconds: Time of the fit alone; a fleet-wide fit is shared out evenly among the nodes.
        n_train_rows: The node's training rows, before any subsampling by the baseline.
        n_components: Of the fleet's PCA, which its bytes depend on; None of every other baseline.
    """

    arm: str
    seed: int
    node: int
    score: np.ndarray
    rows: np.ndarray
    earlier: np.ndarray
    earlier_rows: np.ndarray
    train_seconds: float
    n_train_rows: int
    n_components: int | None = None


@dataclass(frozen=True)
class TrainingRows:
    """What a baseline may learn from: the fleet and, for each of its K nodes, the row numbers to train on."""

    fleet: Fleet
    of_node: Sequence[np.ndarray]


Fits = Iterator[tuple[AnomalyScore, float]]  # each node's score and the seconds its fit took, in the fleet's order
FitOnFleet = Callable[[TrainingRows, int, ScoringSettings], Fits]


@dataclass(frozen=True)
class Baseline:
    """A classical detector: how a fleet fits it, and whether it draws random numbers (if not, one fit does for all)."""

    fit: FitOnFleet
    draws: bool = False


def on_each_node(fit: FitOnNode) -> FitOnFleet:
    """A detector that each node fits to its own training rows, knowing no other."""

    def fit_nodes(training: TrainingRows, seed: int, settings: ScoringSettings) -> Fits:
        for node_id, rows in zip(training.fleet.node_ids, training.of_node, strict=True):
            x_train = training.fleet.x[rows]
            begun = time.perf_counter()
            score = fit(x_train, derive_seed(seed, "baseline", node_id), settings)
            yield score, time.perf_counter() - begun

    return fit_nodes


def across_fleet(training: TrainingRows, seed: int, settings: ScoringSettings) -> Fits:
    """Federated PCA, which all nodes fit together."""
    begun = time.perf_counter()
    scores = fit_federated_pca(training.fleet, training.of_node, settings)
    seconds = (time.perf_counter() - begun) / len(scores)
    for score in scores:
        yield score, seconds


def normal_or_unknown(label: np.ndarray) -> np.ndarray:
    """Rows that are not known to be anomalous (label 1), as a mask; label (T,) is 0, 1 or -1."""
    return label != 1


def run_baselines(
    fleet: Fleet,
    names: Sequence[str],
    seeds: Sequence[int],
    settings: ScoringSettings,
    paradigm_rows: Callable[[np.ndarray], np.ndarray] = normal_or_unknown,
) -> Iterator[ScoredNode]:
    """Fit baselines to the training rows of each node and score its test rows.

    Args:
        fleet: The prepared fleet.
        names: Keys of BASELINES.
        seeds: Each result is yielded once per seed; baselines that draw nothing are computed once.
        settings: The variance floor is used as for the deep models.
        paradigm_rows: Which training rows are learned from, as a mask from their labels (a paradigm's training rows).

    Yields:
        One ScoredNode per name, seed and node. All test rows are scored, lent and unknown ones too; the caller picks.

    Raises:
        ConfigError: If a name is unknown.
        TelemetryError: If a node has no row to train on.
    """
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise ConfigError(f"baselines: unknown {unknown[0]!r}; known: {', '.join(BASELINES)}")
    training = TrainingRows(fleet, [_training_rows(fleet, node, paradigm_rows) for node in range(len(fleet.node_ids))])
    return _scored_nodes(training, names, seeds, settings)


def _scored_nodes(
    training: TrainingRows, names: Sequence[str], seeds: Sequence[int], settings: ScoringSettings
) -> Iterator[ScoredNode]:
    fleet = training.fleet
    for name in names:
        baseline = BASELINES[name]
        for seed in seeds if baseline.draws else seeds[:1]:
            for node, (score, seconds) in enumerate(baseline.fit(training, seed, settings)):
                train, test = training.of_node[node], fleet.rows(node, TEST)
                earlier = np.sort(np.concatenate([train, fleet.rows(node, VALIDATION)]))
                test_score, earlier_score = score(fleet.x[test]), score(fleet.x[earlier])
                n_components = score.n_components if isinstance(score, FederatedDetector) else None
                for labelled in [seed] if baseline.draws else seeds:
                    yield ScoredNode(
                        name,
                        labelled,
                        node,
                        test_score,
                        test,
                        earlier_score,
                        earlier,
                        seconds,
                        len(train),
                        n_components,
                    )


def _training_rows(fleet: Fleet, node: int, paradigm_rows: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    rows = fleet.rows(node, TRAIN)
    rows = rows[paradigm_rows(fleet.label[rows])]
    if len(rows) == 0:
        raise TelemetryError(
            f"{fleet.name}: node {fleet.node_ids[node]}: no training row that is not labelled anomalous; "
            "give the node more history, or leave it out of the fleet"
        )
    return rows


BASELINES: dict[str, Baseline] = {
    "random": Baseline(on_each_node(fit_random), draws=True),
    "pca": Baseline(on_each_node(fit_pca)),
    "federated_pca": Baseline(across_fleet),
    "centroid_mahalanobis": Baseline(on_each_node(fit_centroid)),
    "isolation_forest": Baseline(on_each_node(fit_isolation_forest), draws=True),
    "ecod": Baseline(on_each_node(fit_ecod)),
}
