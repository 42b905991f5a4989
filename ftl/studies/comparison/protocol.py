"""The protocol that all compared cohorts share: how they train, what they hand over, and how targets are judged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ftl.config import section
from ftl.detection.settings import DetectionSettings
from ftl.experiment.progress import UnitReport
from ftl.experiment.settings import training_settings
from ftl.federation.settings import FederationSettings
from ftl.models.network import initial_state
from ftl.models.state import StackedState, join, take
from ftl.randomness import derive_seed
from ftl.sharing import FleetScale, fleet_scale, quantile_report
from ftl.studies.alarms import Alarming
from ftl.studies.cohort import Reference, reference_of, unmuted
from ftl.studies.coldstart.joining import Joining, joining_targets
from ftl.studies.comparison.fine_tuning import Arm, adapt
from ftl.studies.comparison.settings import ComparisonSettings
from ftl.studies.federation import train_cohorts
from ftl.studies.folds import Fold
from ftl.studies.judging import judge
from ftl.studies.stacks import MAX_STACK, Models, Recipe
from ftl.studies.telemetry import FleetTelemetry, NodeTelemetry

Cohort = tuple[int, ...]
"""Participants, positions in the fleet, ascending."""


@dataclass(frozen=True)
class Training:
    """The sections of params.yaml beside a study's own that its fits and scores depend on."""

    recipe: Recipe
    federate: FederationSettings
    percentile: float

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Training":
        settings = training_settings(params)
        return cls(
            Recipe(settings.model, settings.optimizer, settings.training.batch_size),
            section(params, "federate", FederationSettings),
            section(params, "detection", DetectionSettings).percentile,
        )


@dataclass(frozen=True)
class Received:
    """What a target receives of a cohort: weights, and statistics beside them."""

    participants: Cohort
    scale: FleetScale
    state: StackedState
    reference: Reference


@dataclass(frozen=True)
class Job:
    """A target at a length of its history, a cohort's model, and what the target does with it.

    Attributes:
        name: Columns that tell its rows from others'.
    """

    joining: Joining
    received: Received
    arm: Arm
    name: dict[str, Any]


class FoldProtocol:
    """One fold of a fleet under the protocol: its nodes' telemetry, and what is done with them.

    Attributes:
        nodes: Telemetry of targets and candidates, by position in the fleet.
        start: The model that everybody begins with, a stack of one.
        seed: Of all that is random in the fold.
    """

    def __init__(self, telemetry: FleetTelemetry, fold: Fold, settings: ComparisonSettings, training: Training) -> None:
        self.telemetry, self.fold, self.settings, self.recipe = telemetry, fold, settings, training.recipe
        self.nodes = {node: telemetry.node(node) for node in (*fold.targets, *fold.candidates)}
        self.seed = derive_seed(fold.seed, "fold", fold.number)
        self.start = initial_state(
            "autoencoder", telemetry.n_features, training.recipe.model, derive_seed(fold.seed, "init")
        )
        self.alarming = Alarming(
            telemetry.windows_of(settings.smoothing_minutes),
            telemetry.window,
            training.percentile,
            settings.pseudo_rows,
        )

    def train(
        self, cohorts: Sequence[Cohort], federate: FederationSettings, report: UnitReport
    ) -> tuple[list[Received], float]:
        """Train every cohort's model and collect what its participants share beside it; with the fits' CPU seconds.

        As many cohorts as fit share a stack.
        """
        received: list[Received] = []
        seconds = 0.0
        for some in _stacks(cohorts):
            scales = [self._scale(cohort) for cohort in some]
            rows = [
                [self.nodes[node].scaled(self.nodes[node].history, scale) for node in cohort]
                for cohort, scale in zip(some, scales, strict=True)
            ]
            steps = -(-self.settings.steps_per_round // federate.n_local_epochs)
            fit = train_cohorts(self.recipe, self.start, rows, federate, steps, self.seed)
            seconds += fit.seconds
            models = Models(self.recipe, fit.states, self.telemetry.n_features)
            for number, (cohort, scale) in enumerate(zip(some, scales, strict=True)):
                participants = [self.nodes[node] for node in cohort]
                reference = reference_of(participants, rows[number], partial(models.residual, number), self.alarming)
                received.append(Received(cohort, scale, take(fit.states, [number]), reference))
            report("cohorts", len(received), len(cohorts))
        return received, seconds

    def joining(self) -> tuple[list[Joining], list[Joining]]:
        """The fold's targets at the asked lengths of their history, and with all of it."""
        targets = [self.nodes[node] for node in self.fold.targets]
        both = joining_targets(targets, self.settings.hours, self.telemetry.units_of(1.0))
        return [one for one in both if one.hours is not None], [one for one in both if one.hours is None]

    def judged(self, jobs: Sequence[Job], report: UnitReport) -> Iterator[dict[str, Any]]:
        """A row per job, in their order."""
        rows: dict[int, dict[str, Any]] = {}
        for arm in dict.fromkeys(job.arm for job in jobs):
            numbers = [number for number, job in enumerate(jobs) if job.arm == arm]
            for first in range(0, len(numbers), MAX_STACK):
                some = numbers[first : first + MAX_STACK]
                rows |= zip(some, self._judged_together([jobs[number] for number in some], arm), strict=True)
                report("targets", len(rows), len(jobs))
        for number in range(len(jobs)):
            yield rows[number]

    def _judged_together(self, jobs: Sequence[Job], arm: Arm) -> list[dict[str, Any]]:
        scaled = [job.joining.node.scaled(job.joining.history, job.received.scale) for job in jobs]
        seeds = [derive_seed(self.fold.seed, "target", job.joining.node.node, job.joining.hours) for job in jobs]
        received = join([job.received.state for job in jobs])
        state = adapt(self.recipe, arm, received, self.start, scaled, seeds)
        models = Models(self.recipe, state, self.telemetry.n_features)
        return [
            self._row(job, models, number, rows) for number, (job, rows) in enumerate(zip(jobs, scaled, strict=True))
        ]

    def _row(self, job: Job, models: Models, model: int, scaled: np.ndarray) -> dict[str, Any]:
        """Scores by the shrunk residual variance; flagged is what exceeds both the node's own percentile and the
        cohort's."""
        one, node, reference = job.joining, job.joining.node, job.received.reference
        known = unmuted(node, models.residual(model, scaled))
        judged = unmuted(node, models.residual(model, node.scaled(one.judged, job.received.scale)))
        variance = self.alarming.calibrated_variance(known, reference.variance)
        own = self.alarming.level(self.alarming.score(known, variance, one.history_time))
        threshold = max(own, reference.threshold_after(one.n_rows, self.settings.pseudo_rows))
        score = self.alarming.score(judged, variance, one.judged_time)
        return {
            **job.name,
            "arm": job.arm.name,
            "hours": np.nan if one.hours is None else float(one.hours),
            "node": self.telemetry.fleet.node_ids[node.node],
            "n_history_rows": one.n_rows,
            "n_participants": len(job.received.participants),
            **judge(node, score, threshold, self.telemetry.seconds_per_unit),
        }

    def _scale(self, cohort: Cohort) -> FleetScale:
        return fleet_scale([quantile_report(known_rows(self.nodes[node])) for node in cohort])


def known_rows(node: NodeTelemetry) -> np.ndarray:
    """A node's history (T, F) float64, NaN where the node tells nothing."""
    rows = node.history.astype(np.float64)
    rows[:, node.muted] = np.nan
    return rows


def _stacks(cohorts: Sequence[Cohort]) -> Iterator[list[Cohort]]:
    """Cohorts, as many at a time as fit into one stack: no more scaled rows than theirs are held at once."""
    some: list[Cohort] = []
    for cohort in cohorts:
        if some and sum(map(len, some)) + len(cohort) > MAX_STACK:
            yield some
            some = []
        some.append(cohort)
    if some:
        yield some
