"""Targets receive a global model and make it their own; each way of it is an arm (paper, sections 3.3 and 3.5)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings, ScoringSettings
from ftl.experiment.handover import (
    Cohort,
    headline,
    read_centralised,
    read_cohorts,
    read_global,
    read_local,
    unit_name,
    write_personalised,
)
from ftl.experiment.progress import UnitReport
from ftl.experiment.scored import ScoredNode, ScoredWriter
from ftl.experiment.scoring import Judge, NodeScores
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import TrainingSettings, TransferSettings, paradigms_of, training_settings
from ftl.experiment.task import Task, shared_out
from ftl.experiment.units import Unit, run_stage, stage_key
from ftl.learning.batches import StackRows
from ftl.learning.fit import FitState
from ftl.learning.training import FineTuning, LocalTraining
from ftl.models.network import ENCODER, StackedNetwork
from ftl.models.state import StackedState, join, repeat, split_off, take
from ftl.randomness import generator

MAX_STACK = 64


def transfer_units(
    fleet: Path,
    local: Path,
    federated: Path,
    paradigms: tuple[str, ...],
    seeds: tuple[int, ...],
    training: TrainingSettings,
    transfer: TransferSettings,
    scoring: ScoringSettings,
) -> list[Unit]:
    """One unit per paradigm and seed."""
    return [
        Unit(
            unit_name(paradigm, seed),
            partial(
                transfer_to_targets,
                fleet,
                local / unit_name(paradigm, seed),
                federated / unit_name(paradigm, seed),
                paradigm,
                seed,
                training,
                transfer,
                scoring,
                seed == seeds[0],
            ),
        )
        for paradigm in paradigms
        for seed in seeds
    ]


def transfer_stage(params: Mapping[str, Any], fleet: Path, local: Path, federated: Path, out: Path, work: Path) -> None:
    """Hand the global models to the targets and score every arm."""
    training, scoring = training_settings(params), section(params, "detection", DetectionSettings).scoring
    transfer = section(params, "transfer", TransferSettings)
    paradigms, seeds = paradigms_of(params), seeds_of(params)
    units = transfer_units(fleet, local, federated, paradigms, seeds, training, transfer, scoring)
    run_stage(
        f"transfer {read_fleet(fleet).name}", units, out, work,
        stage_key(local), stage_key(federated), paradigms, seeds, training, transfer, scoring,
    )  # fmt: skip


def transfer_to_targets(
    fleet: Path,
    local: Path,
    federated: Path,
    paradigm: str,
    seed: int,
    training: TrainingSettings,
    transfer: TransferSettings,
    scoring: ScoringSettings,
    keep: bool,
    folder: Path,
    report: UnitReport,
) -> None:
    """Score every target of every cohort under every arm, and the global model as it is on its own participants.

    With ``keep``, the models of the headline cohort's targets are kept beside the scores.
    """
    task = Task.open(fleet, paradigm, seed, training)
    tuner = Tuner(
        task,
        transfer,
        Judge(task.fleet, task.paradigm, task.earlier_rows(), training.model, scoring),
        folder,
        report,
    )
    cohorts, models = read_cohorts(federated), read_global(federated)
    of_cohorts = tuner.variances_of(cohorts, models)
    pairs = [(number, node) for number, cohort in enumerate(cohorts) for node in cohort.targets(task.n_nodes)]
    kept = headline(cohorts) if keep else []
    personalised: dict[str, list[StackedState]] = {}
    with ScoredWriter(folder) as writer:
        if "zero_shot" in transfer.arms:
            for number, cohort in enumerate(cohorts):
                model = take(models, [number])
                for role, nodes in (
                    ("target", cohort.targets(task.n_nodes)),
                    ("participant", list(cohort.participants)),
                ):
                    writer.write(tuner.as_it_is("zero_shot", cohort, role, model, nodes, of_cohorts[number]))
        for arm, whole in (("transfer", False), ("full_fine_tune", True)):
            if arm in transfer.arms:
                for number, chunk in enumerate(_chunks(pairs)):
                    received = take(models, [which for which, _ in chunk])
                    of = [cohorts[which] for which, _ in chunk]
                    nodes = [node for _, node in chunk]
                    tuned = tuner.tune(received, nodes, whole, f"{arm}-{number}")
                    writer.write(tuner.judged(arm, of, nodes, tuned, [of_cohorts[which] for which, _ in chunk]))
                    if mine := [position for position, (which, _) in enumerate(chunk) if which in kept]:
                        personalised.setdefault(arm, []).append(take(tuned.network, mine))
        if "single_source" in transfer.arms:
            source = int(generator(seed, "single source").integers(task.n_nodes))
            targets = [node for node in range(task.n_nodes) if node != source]
            if targets:
                given = take(read_local(local), [source])
                of_source = tuner.judge.fleet_variance(given, [source])
                tuned = tuner.tune(repeat(given, len(targets)), targets, False, "single_source")
                alone = [None] * len(targets)
                writer.write(tuner.judged("single_source", alone, targets, tuned, [of_source] * len(targets)))
        if "centralised" in transfer.arms:
            everyone = list(range(task.n_nodes))
            pooled = read_centralised(federated)
            of_all = tuner.judge.fleet_variance(pooled, everyone)
            writer.write(tuner.as_it_is("centralised", None, None, pooled, everyone, of_all))
    if personalised:
        write_personalised(folder, {arm: join(states) for arm, states in personalised.items()})


class Tuner:
    """Makes and judges the models of a task's targets."""

    def __init__(self, task: Task, transfer: TransferSettings, judge: Judge, folder: Path, report: UnitReport) -> None:
        self.task, self.transfer, self.judge, self.folder, self.report = task, transfer, judge, folder, report
        self.test_rows = task.test_rows()

    def variances_of(self, cohorts: Sequence[Cohort], models: StackedState) -> list[np.ndarray | None]:
        """Of each cohort what its participants tell each other and the targets, see :meth:`Judge.fleet_variance`."""
        return [
            self.judge.fleet_variance(take(models, [number]), cohort.participants)
            for number, cohort in enumerate(cohorts)
        ]

    def as_it_is(
        self,
        arm: str,
        cohort: Cohort | None,
        role: str | None,
        model: StackedState,
        nodes: Sequence[int],
        fleet_variance: np.ndarray | None = None,
    ) -> Iterator[ScoredNode]:
        """One model on several nodes, nothing trained there."""
        rows = [self.test_rows[node] for node in nodes]
        judged = self.judge.judge(model, nodes, rows, [fleet_variance] * len(nodes))
        for node, scores in zip(nodes, judged, strict=True):
            yield self._scored(arm, cohort, role, node, scores)

    def tune(self, received: StackedState, nodes: Sequence[int], whole: bool, name: str) -> FitState:
        """Each node fine-tunes the model that it received: the decoder alone, or (``whole``) all of it.

        With ``transfer.proximal`` it is held near to that model (Ditto's personal part).
        """
        task = self.task
        if not whole and self.transfer.decoder_init == "reinitialise":
            encoder, _ = split_off(received, lambda parameter: parameter.startswith(ENCODER))
            _, decoder = split_off(task.initial_state(), lambda parameter: parameter.startswith(ENCODER))
            received = encoder | repeat(decoder, len(nodes))

        def build(network: StackedNetwork, stack: StackRows, order: list[int]) -> LocalTraining:
            return FineTuning(
                network,
                stack,
                task.objective,
                task.settings.optimizer,
                task.settings.training,
                frozen_encoder=not whole,
                proximal=self.transfer.proximal,
                received=take(received, order) if self.transfer.proximal else None,
            )

        rows = task.stack_rows(nodes, "fine-tuning")
        return task.fit(build, FitState(received), rows, self.transfer.n_epochs, self.folder, name, self.report)

    def judged(
        self,
        arm: str,
        cohorts: Sequence[Cohort | None],
        nodes: Sequence[int],
        tuned: FitState,
        fleet_variance: Sequence[np.ndarray | None] | None = None,
    ) -> Iterator[ScoredNode]:
        """The nodes' own models on their own test rows."""
        steps = [self.transfer.n_epochs * self.task.steps_per_epoch(node) for node in nodes]
        seconds = shared_out(tuned.seconds, steps)
        judged = self.judge.judge(tuned.network, nodes, [self.test_rows[node] for node in nodes], fleet_variance)
        for k, (node, scores) in enumerate(zip(nodes, judged, strict=True)):
            role = None if cohorts[k] is None else "target"
            n_rows = len(self.task.train[node].rows)
            yield self._scored(arm, cohorts[k], role, node, scores, n_rows, steps[k], seconds[k])

    def _scored(
        self,
        arm: str,
        cohort: Cohort | None,
        role: str | None,
        node: int,
        scores: NodeScores,
        n_rows: int = 0,
        n_steps: int = 0,
        seconds: float = 0.0,
    ) -> ScoredNode:
        policy, n, draw = (None, None, None) if cohort is None else (cohort.policy, cohort.n_participants, cohort.draw)
        return ScoredNode(
            paradigm=self.task.paradigm.name,
            seed=self.task.seed,
            arm=arm,
            policy=policy,
            n_participants=n,
            draw=draw,
            role=role,
            node=node,
            scores=scores.scores,
            earlier=scores.earlier,
            earlier_rows=scores.earlier_rows,
            n_train_rows=n_rows,
            n_train_steps=n_steps,
            training_seconds=seconds,
        )


def _chunks(pairs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for first in range(0, len(pairs), MAX_STACK):
        yield pairs[first : first + MAX_STACK]
