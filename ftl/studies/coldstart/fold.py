"""One fold of the cold start: its participants share and rehearse, its targets join with more and more history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.data.fleet import read_fleet
from ftl.experiment.progress import UnitReport
from ftl.federation.settings import FederationSettings
from ftl.models.network import initial_state
from ftl.randomness import derive_seed, generator
from ftl.studies.alarms import Alarming, Scored
from ftl.studies.cohort import Shared, share
from ftl.studies.coldstart.arms import ARMS, KINDS, POLICY, REHEARSED, Arm, bytes_of
from ftl.studies.coldstart.components import JoiningModels, fit_joining
from ftl.studies.coldstart.joining import Joining, joining_targets, rehearsals
from ftl.studies.coldstart.policy import Decision, Situation, decide, put_together
from ftl.studies.coldstart.rehearsal import Levels, levels_of_own, rehearsed_levels
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.folds import Fold
from ftl.studies.judging import judge
from ftl.studies.stacks import Recipe
from ftl.studies.telemetry import FleetTelemetry, NodeTelemetry, drifting_share, without_level


@dataclass(frozen=True)
class ColdStart:
    """The study of one fleet; called with a fold, it gives that fold's rows.

    Attributes:
        fleet: Folder of the prepared fleet.
        percentile: Of scores of normal rows, above which a row is flagged.
    """

    fleet: Path
    recipe: Recipe
    federate: FederationSettings
    settings: ColdStartSettings
    percentile: float

    def __call__(self, fold: Fold, report: UnitReport) -> pd.DataFrame:
        telemetry = FleetTelemetry(read_fleet(self.fleet), self.settings.window_minutes)
        participants, targets, rebased = self._nodes(telemetry, fold)
        alarming = self._alarming(telemetry)
        seed = derive_seed(fold.seed, "cold start", fold.number)
        initial = derive_seed(fold.seed, "initial state", "autoencoder")
        start = initial_state("autoencoder", telemetry.n_features, self.recipe.model, initial)
        report("federate", 0, 3)
        shared = share(participants, self.recipe, self.federate, self.settings.steps_per_round, alarming, start, seed)
        report("rehearse", 1, 3)
        hours, per_hour = self.settings.hours, telemetry.units_of(1.0)
        rehearsing = rehearsals(participants, hours, per_hour)
        played = fit_joining(rehearsing, REHEARSED, shared, start, self.recipe, self.settings, seed)
        rehearsed = Rehearsals.of(played, alarming)
        report("join", 2, 3)
        joining = joining_targets(targets, hours, per_hour)
        models = fit_joining(joining, KINDS, shared, start, self.recipe, self.settings, seed, played)
        rows = []
        for number, one in enumerate(joining):
            for row in self._judged(telemetry, models, number, rehearsed, alarming):
                rows.append({"node": telemetry.fleet.node_ids[one.node.node], "rebased": rebased, **row})
        report("join", 3, 3)
        return pd.DataFrame(rows)

    def _nodes(self, telemetry: FleetTelemetry, fold: Fold) -> tuple[list[NodeTelemetry], list[NodeTelemetry], bool]:
        """Participants and targets, re-based if at least half of the participants say that they drift."""
        participants, targets = telemetry.nodes(fold.participants), telemetry.nodes(self._targets(fold))
        drift = self.settings.rebase == "fleet" and drifting_share(participants, self.settings.drift_share) >= 0.5
        if not (drift or self.settings.rebase == "all"):
            return participants, targets, False
        window = telemetry.units_of(self.settings.rebase_hours)
        return [without_level(n, window) for n in participants], [without_level(n, window) for n in targets], True

    def _targets(self, fold: Fold) -> Sequence[int]:
        most = self.settings.max_targets
        if most is None or len(fold.targets) <= most:
            return fold.targets
        drawn = generator(fold.seed, "targets", fold.number).permutation(fold.targets)[:most]
        return sorted(int(node) for node in drawn)

    def _alarming(self, telemetry: FleetTelemetry) -> Alarming:
        half_life = telemetry.windows_of(self.settings.smoothing_minutes)
        return Alarming(half_life, telemetry.window, self.percentile, self.settings.pseudo_rows)

    def _judged(
        self,
        telemetry: FleetTelemetry,
        models: JoiningModels,
        number: int,
        rehearsed: "Rehearsals",
        alarming: Alarming,
    ) -> Iterator[dict[str, Any]]:
        one = models.joining[number]
        scores = {
            kind: models.scored(kind, number, alarming) for kind in dict.fromkeys(arm.kind for arm in ARMS.values())
        }
        for name, arm in ARMS.items():
            scored = scores[arm.kind]
            threshold = _threshold(arm, scored, one, models.shared, rehearsed.levels(one, scores, alarming), alarming)
            metrics = judge(one.node, scored.judged, threshold, telemetry.seconds_per_unit)
            yield _row(name, (arm.kind,), one, telemetry, models, threshold, metrics)
        decision = decide(_situation(models, number, telemetry))
        judged, threshold = rehearsed.together(one, decision, scores, alarming)
        metrics = judge(one.node, judged, threshold, telemetry.seconds_per_unit)
        aside = {"action": decision.action, "reason": decision.reason, "divergence": models.divergence[number]}
        yield _row(POLICY, tuple(decision.weights), one, telemetry, models, threshold, metrics) | aside


@dataclass(frozen=True)
class Rehearsals:
    """What participants expect of a newcomer, by length of history: levels of each detector."""

    by_hours: Mapping[float | None, list[Mapping[str, Scored]]]
    of_kinds: Mapping[float | None, Levels]

    @classmethod
    def of(cls, models: JoiningModels, alarming: Alarming) -> "Rehearsals":
        played: dict[float | None, list[Mapping[str, Scored]]] = {}
        for number, one in enumerate(models.joining):
            scores = {kind: models.scored(kind, number, alarming) for kind in REHEARSED}
            played.setdefault(one.hours, []).append(scores)
        return cls(played, {hours: rehearsed_levels(scores, alarming) for hours, scores in played.items()})

    def levels(self, one: Joining, scores: Mapping[str, Scored], alarming: Alarming) -> Levels:
        """Of each detector, for a node of this length of history."""
        return self.of_kinds.get(one.hours) or levels_of_own(scores, alarming)

    def together(
        self, one: Joining, decision: Decision, scores: Mapping[str, Scored], alarming: Alarming
    ) -> tuple[np.ndarray, float]:
        """The policy's scores of the judged rows, and their threshold: own, and no less than the rehearsed."""
        levels = self.levels(one, scores, alarming)
        parts = decision.weights

        def blend(of: Mapping[str, Scored], which: str) -> np.ndarray:
            return put_together({kind: getattr(of[kind], which) for kind in parts}, levels, parts)

        known, judged = blend(scores, "known"), blend(scores, "judged")
        threshold = alarming.level(known)
        played = self.by_hours.get(one.hours)
        if played:
            blended = [{"policy": Scored(known, blend(of, "judged"))} for of in played]
            threshold = max(threshold, rehearsed_levels(blended, alarming)["policy"])
        return judged, threshold


def _threshold(arm: Arm, scored: Scored, one: Joining, shared: Shared, levels: Levels, alarming: Alarming) -> float:
    own = alarming.level(scored.known)
    if arm.calibration == "own":
        return own
    if arm.calibration == "rehearsed":
        return max(own, levels[arm.kind])
    reference = shared.components_reference if arm.is_linear else shared.reference
    return max(own, reference.threshold)


def _situation(models: JoiningModels, number: int, telemetry: FleetTelemetry) -> Situation:
    one = models.joining[number]
    return Situation(
        n_rows=one.n_rows,
        hours=_hours(one, telemetry) if one.hours is None else one.hours,
        divergence=models.divergence[number],
        strangeness=models.strangeness[number],
        of_participants=models.shared.reference.divergence,
        frozen=models.frozen[number],
        n_layers=len(models.shared.layers.layers),
    )


def _hours(one: Joining, telemetry: FleetTelemetry) -> float:
    """Length of the history in hours, from its first row to the end of its last window."""
    time = one.history_time
    return (float(time[-1] - time[0]) + telemetry.window) / telemetry.units_of(1.0)


def _row(
    arm: str,
    kinds: Sequence[str],
    one: Joining,
    telemetry: FleetTelemetry,
    models: JoiningModels,
    threshold: float,
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    sent, received = bytes_of(arm, models.shared)
    fitted = [models.fitted[kind] for kind in kinds if kind in models.fitted]
    return {
        "hours": _hours(one, telemetry),
        "full": one.hours is None,
        "asked_hours": one.hours,
        "history_rows": one.n_rows,
        "arm": arm,
        "threshold": threshold,
        "n_train_steps": sum(of.n_steps for of in fitted),
        "training_seconds": sum((of.seconds for of in fitted), 0.0),
        "participant_bytes": sent,
        "target_bytes": received,
        **metrics,
    }
