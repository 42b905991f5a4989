"""Local training of every node, long and short, and the ranking of the nodes (paper, section 3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.torch import save_file

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings, ScoringSettings
from ftl.evaluation.confusion import confusion
from ftl.experiment.alarms import ranking_threshold
from ftl.experiment.handover import LOCAL_FILE, LOCAL_LONG_FILE, RANKING_FILE, unit_name
from ftl.experiment.progress import UnitReport
from ftl.experiment.scored import ScoredNode, ScoredWriter
from ftl.experiment.scoring import Judge, NodeScores
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import LocalSettings, TrainingSettings, TransferSettings, paradigms_of, training_settings
from ftl.experiment.task import Task, shared_out
from ftl.experiment.units import Unit, run_stage
from ftl.federation.settings import FederationSettings, SelectionSettings
from ftl.learning.batches import StackRows
from ftl.learning.fit import FitState
from ftl.learning.training import LocalTraining
from ftl.models.network import StackedNetwork
from ftl.models.state import StackedState, put, repeat

MAX_STACK = 64
"""Models trained in one stack."""


def local_units(
    fleet: Path,
    paradigms: tuple[str, ...],
    seeds: tuple[int, ...],
    training: TrainingSettings,
    local: LocalSettings,
    long_epochs: int,
    rank_by: str,
    scoring: ScoringSettings,
) -> list[Unit]:
    """One unit per paradigm and seed."""
    return [
        Unit(
            unit_name(paradigm, seed),
            partial(train_local, fleet, paradigm, seed, training, local, long_epochs, rank_by, scoring),
        )
        for paradigm in paradigms
        for seed in seeds
    ]


def local_stage(params: Mapping[str, Any], fleet: Path, out: Path, work: Path) -> None:
    """Train every node on its own, long and short, and rank the nodes."""
    training, local = training_settings(params), section(params, "local", LocalSettings)
    scoring = section(params, "detection", DetectionSettings).scoring
    federate, transfer = section(params, "federate", FederationSettings), section(params, "transfer", TransferSettings)
    long_epochs = federate.n_epochs + transfer.n_epochs
    opened = read_fleet(fleet)
    rank_by = section(params, "select", SelectionSettings).ranking_of(opened.protocol)
    paradigms, seeds = paradigms_of(params), seeds_of(params)
    units = local_units(fleet, paradigms, seeds, training, local, long_epochs, rank_by, scoring)
    run_stage(
        f"local {opened.name}", units, out, work,
        opened.fingerprint, paradigms, seeds, training, local, long_epochs, rank_by, scoring,
    )  # fmt: skip


def train_local(
    fleet: Path,
    paradigm: str,
    seed: int,
    training: TrainingSettings,
    local: LocalSettings,
    long_epochs: int,
    rank_by: str,
    scoring: ScoringSettings,
    folder: Path,
    report: UnitReport,
) -> None:
    """Train every node's own model, and on to ``local_long``: the steps of federated training and fine-tuning together.

    Writes the two stacked states, the ranking, and the scores of the arms ``untrained``, ``local`` and ``local_long``.
    """
    task = Task.open(fleet, paradigm, seed, training)
    nodes = list(range(task.n_nodes))
    short, long = _fit_all(task, training, local.n_epochs, long_epochs, folder, report)
    save_file(short.network, folder / LOCAL_FILE)
    save_file(long.network, folder / LOCAL_LONG_FILE)

    ranking_rows = task.ranking_rows(rank_by)
    ranking_judge = Judge(task.fleet, task.paradigm, task.earlier_rows(rank_by == "test_f1"), training.model, scoring)
    of_fleet = [ranking_judge.fleet_variance(short.network, nodes)] * len(nodes)
    ranked = list(ranking_judge.judge(short.network, nodes, ranking_rows, of_fleet))
    _ranking(task, ranked, ranking_judge.losses(short.network, nodes, ranking_rows), ranking_rows).to_csv(
        folder / RANKING_FILE, index=False, float_format="%.17g"
    )

    judge = Judge(task.fleet, task.paradigm, task.earlier_rows(), training.model, scoring)
    with ScoredWriter(folder) as writer:
        for arm, state, epochs, seconds in (
            ("untrained", task.initial_state(), 0, 0.0),
            ("local", short.network, local.n_epochs, short.seconds),
            ("local_long", long.network, max(long_epochs, local.n_epochs), long.seconds),
        ):
            writer.write(_scored(task, judge, arm, state, epochs, seconds))


@dataclass(frozen=True)
class _Trained:
    """The models of all nodes, stacked, and the CPU seconds that they took."""

    network: StackedState
    seconds: float


def _fit_all(
    task: Task, training: TrainingSettings, n_epochs: int, long_epochs: int, folder: Path, report: UnitReport
) -> tuple[_Trained, _Trained]:
    """Fit every node's model, short and long, MAX_STACK nodes at a time: more gain nothing and take memory."""

    def build(network: StackedNetwork, stack: StackRows, order: list[int]) -> LocalTraining:
        return LocalTraining(network, stack, task.objective, training.optimizer, training.training)

    initial = task.initial_state()
    short, long = repeat(initial, task.n_nodes), repeat(initial, task.n_nodes)
    short_seconds = long_seconds = 0.0
    for number, first in enumerate(range(0, task.n_nodes, MAX_STACK)):
        nodes = list(range(first, min(first + MAX_STACK, task.n_nodes)))
        rows = task.stack_rows(nodes, "local")
        start = FitState(repeat(initial, len(nodes)))
        fit = task.fit(build, start, rows, n_epochs, folder, f"local-{number}", report)
        short_seconds += fit.seconds
        put(short, fit.network, first)
        if long_epochs > n_epochs:
            fit = task.fit(build, fit, rows, long_epochs, folder, f"local_long-{number}", report)
        long_seconds += fit.seconds
        put(long, fit.network, first)
    return _Trained(short, short_seconds), _Trained(long, long_seconds)


def _ranking(task: Task, ranked: list[NodeScores], losses: list[float], rows: list[np.ndarray]) -> pd.DataFrame:
    threshold_of = ranking_threshold(task.fleet.protocol, task.paradigm.name)
    f1 = []
    for scores, of_node in zip(ranked, rows, strict=True):
        label, label_before = task.fleet.label[of_node], task.fleet.label[scores.earlier_rows]
        known = label >= 0
        threshold = threshold_of(scores.earlier[label_before != 1].astype(np.float64))
        f1.append(confusion(scores.scores[known] > threshold, label[known]).f1)
    return pd.DataFrame({"node": range(task.n_nodes), "f1": f1, "loss": losses})


def _scored(task: Task, judge: Judge, arm: str, state: StackedState, epochs: int, seconds: float) -> list[ScoredNode]:
    nodes = list(range(task.n_nodes))
    steps = [epochs * task.steps_per_epoch(node) for node in nodes]
    of_fleet = [judge.fleet_variance(state, nodes)] * len(nodes)
    shares = shared_out(seconds, steps) if epochs else [0.0] * len(nodes)
    return [
        ScoredNode(
            paradigm=task.paradigm.name,
            seed=task.seed,
            arm=arm,
            policy=None,
            n_participants=None,
            draw=None,
            role=None,
            node=node,
            scores=scores.scores,
            earlier=scores.earlier,
            earlier_rows=scores.earlier_rows,
            n_train_rows=len(task.train[node].rows) if epochs else 0,
            n_train_steps=steps[node],
            training_seconds=shares[node],
        )
        for node, scores in zip(nodes, judge.judge(state, nodes, task.test_rows(), of_fleet), strict=True)
    ]
