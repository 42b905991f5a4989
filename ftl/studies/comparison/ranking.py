"""What is known of a fold's candidates when participants are chosen, from nothing but the candidates themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ftl.data.fleet import TEST, TRAIN, VALIDATION, Fleet
from ftl.evaluation.confusion import confusion
from ftl.federation.descriptions import LEVELS, similarity_of
from ftl.federation.selection import Candidates
from ftl.models.state import repeat
from ftl.randomness import derive_seed
from ftl.sharing import FleetScale, fleet_scale, quantile_report
from ftl.studies.alarms import Alarming
from ftl.studies.comparison.protocol import FoldProtocol, known_rows
from ftl.studies.stacks import Models, fit_models
from ftl.studies.telemetry import NodeTelemetry

Residual = Callable[[np.ndarray], np.ndarray]
"""Row numbers of the fleet -> what a node's own model leaves of them, (T, F)."""
BY_F1, BY_LOSS = "validation F1", "validation loss"


@dataclass(frozen=True)
class Ranked:
    """The candidates of a fold, in its order.

    Attributes:
        candidates: For the policies.
        by_test_f1: The same ranked by F1 on the test part, which no policy may do.
        ranked_by: BY_F1 or, where no candidate has a labelled anomaly to validate on, BY_LOSS.
        described: Each candidate by its quantiles in their common scale, (N, F * levels), NaN where muted.
        scale: That scale.
    """

    candidates: Candidates
    by_test_f1: Candidates
    ranked_by: str
    described: np.ndarray
    scale: FleetScale

    def likeness(self, node: NodeTelemetry, n_rows: int) -> np.ndarray:
        """How like each candidate a target is by its first rows, (N,): cosine over a PCA embedding of all of them."""
        own = describe(node, node.history[:n_rows], self.scale)
        similarity: np.ndarray = similarity_of(_filled(np.vstack([self.described, own])))[-1, :-1]
        return similarity


def rank_candidates(protocol: FoldProtocol, local_steps: int) -> Ranked:
    """Train the candidates' local models, judge them on their validation rows, and compare what the nodes share."""
    fleet, nodes = protocol.telemetry.fleet, [protocol.nodes[node] for node in protocol.fold.candidates]
    racks = tuple(fleet.racks[node.node] for node in nodes)
    scale = fleet_scale([quantile_report(known_rows(node)) for node in nodes])
    local = _local_models(protocol, local_steps, scale)
    described = np.stack([describe(node, node.history, scale) for node in nodes])
    candidates = Candidates(
        f1=np.array([one.validation_f1 for one in local]),
        loss=np.array([one.normal_loss for one in local]),
        unlabelled_loss=np.array([one.loss for one in local]),
        similarity=similarity_of(_filled(described)),
        racks=racks if any(rack is not None for rack in racks) else None,
        cost=np.array([max(one.n_rows, 1) for one in local], np.float64),
    )
    by_test_f1 = replace(candidates, f1=np.array([one.test_f1 for one in local]))
    ranked_by = BY_LOSS if np.isnan(candidates.f1).all() else BY_F1
    return Ranked(candidates, by_test_f1, ranked_by, described, scale)


def describe(node: NodeTelemetry, rows: np.ndarray, scale: FleetScale) -> np.ndarray:
    """A node by the quantiles of some rows, (F * levels,): what :mod:`ftl.federation.descriptions` shares of it."""
    quantiles = np.quantile(scale(rows).astype(np.float64), LEVELS, axis=0).T  # (F, levels)
    quantiles[node.muted] = np.nan
    return np.asarray(quantiles.reshape(-1))


def _filled(described: np.ndarray) -> np.ndarray:
    """What a node does not tell of itself is the mean over the others; 0 where nobody does."""
    known = ~np.isnan(described)
    of_others = np.nan_to_num(described).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, described, of_others)


@dataclass(frozen=True)
class _Local:
    """How a candidate's local model does on its validation rows, NaN where undefined; and on its test part."""

    n_rows: int
    validation_f1: float
    normal_loss: float
    loss: float
    test_f1: float


def _local_models(protocol: FoldProtocol, n_steps: int, clips: FleetScale) -> list[_Local]:
    """Local models read rows as they were prepared, each node's in a scale of its own training part, but clipped."""
    fleet, fold, recipe = protocol.telemetry.fleet, protocol.fold, protocol.recipe
    train = [rows[fleet.label[rows] != 1] for rows in (fleet.rows(node, TRAIN) for node in fold.candidates)]

    def read(rows: np.ndarray) -> np.ndarray:
        return np.clip(np.asarray(fleet.x[rows], np.float32), clips.clip_low, clips.clip_high)

    x = [read(rows) for rows in train]
    seeds = [derive_seed(fold.seed, "local", node) for node in fold.candidates]
    fit = fit_models(recipe, repeat(protocol.start, len(x)), x, seeds, n_steps)
    models = Models(recipe, fit.state, protocol.telemetry.n_features)

    def of_candidate(number: int) -> _Local:
        def residual_of(rows: np.ndarray) -> np.ndarray:
            return models.residual(number, read(rows))

        return _judge_local(fleet, fold.candidates[number], residual_of, train[number], protocol.alarming)

    return [of_candidate(number) for number in range(len(x))]


def _judge_local(fleet: Fleet, node: int, residual_of: Residual, train: np.ndarray, alarming: Alarming) -> _Local:
    def residual(rows: np.ndarray) -> np.ndarray:
        found = residual_of(rows)
        found[:, fleet.muted[node]] = 0.0
        return found

    known = residual(train)
    variance = alarming.own_variance(known)
    threshold = alarming.level(alarming.score(known, variance, fleet.time[train]))

    def f1(rows: np.ndarray) -> float:
        label = np.asarray(fleet.label[rows])
        flagged = alarming.score(residual(rows), variance, fleet.time[rows]) > threshold
        return confusion(flagged[label >= 0], label[label >= 0]).f1

    validation = fleet.rows(node, VALIDATION)
    normal = validation[fleet.label[validation] != 1]
    return _Local(
        len(train), f1(validation), _mean_square(residual(normal)), _mean_square(residual(validation)),
        f1(fleet.rows(node, TEST)),
    )  # fmt: skip


def _mean_square(residual: np.ndarray) -> float:
    return float(np.square(residual, dtype=np.float64).mean()) if len(residual) else np.nan


def nearest(likeness: np.ndarray, groups: Sequence[np.ndarray]) -> int:
    """The group of candidates that is most like a target on average; the first of equals."""
    return int(np.argmax([likeness[group].mean() for group in groups]))
