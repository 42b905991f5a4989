"""One fold of the drift study: detectors on rows as they are and on re-based rows, then every way to raise alarms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.data.drift import drift_share, drifts
from ftl.data.fleet import TRAIN, Fleet, read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.evaluation.events import SECONDS_PER_DAY, runs
from ftl.experiment.progress import UnitReport
from ftl.federation.settings import FederationSettings
from ftl.models.network import initial_state
from ftl.randomness import derive_seed
from ftl.studies.alarms import Alarming, Scored
from ftl.studies.drift.combination import ALL, CURVES, DETECTORS, SMOOTHINGS, Combination
from ftl.studies.drift.detectors import Fitted, fit_detectors
from ftl.studies.drift.limits import Limits
from ftl.studies.drift.settings import DriftStudySettings
from ftl.studies.drift.tables import FALSE_ALARMS
from ftl.studies.folds import Fold
from ftl.studies.judging import judge
from ftl.studies.stacks import Recipe
from ftl.studies.telemetry import FleetTelemetry, NodeTelemetry, without_level


@dataclass(frozen=True)
class DriftStudy:
    """The study of one fleet; called with a fold, it gives that fold's rows.

    A target whose rows are re-based gets what participants share of re-based rows, another one what they share of rows
    as they are: nothing is averaged over nodes that read their rows in two ways.

    Attributes:
        fleet: Folder of the prepared fleet.
    """

    fleet: Path
    recipe: Recipe
    federate: FederationSettings
    settings: DriftStudySettings
    detection: DetectionSettings

    def __call__(self, fold: Fold, report: UnitReport) -> pd.DataFrame:
        telemetry = FleetTelemetry(read_fleet(self.fleet), self.settings.window_minutes)
        window = telemetry.units_of(self.settings.rebase_hours)
        participants, targets = telemetry.nodes(fold.participants), telemetry.nodes(fold.targets)
        tested = {node.node: tested_share(telemetry.fleet, node.node, window) for node in targets}
        kinds: dict[bool, Scores] = {}
        for number, rebased in enumerate((False, True)):
            report("re-based rows" if rebased else "rows as they are", number, 2)
            read = partial(without_level, window=window) if rebased else _as_it_is
            kinds[rebased] = self.scores(telemetry, [read(n) for n in participants], [read(n) for n in targets], fold)
        rows = []
        for number, node in enumerate(targets):
            share = tested[node.node]
            fired = drifts(share, self.settings.drift_share)
            same = {"node": telemetry.fleet.node_ids[node.node], "drift_share": share, "drifts": fired}
            rows += [same | row for row in self._judged(number, fired, kinds, telemetry)]
        report("re-based rows", 2, 2)
        return pd.DataFrame(rows)

    def scores(
        self,
        telemetry: FleetTelemetry,
        participants: Sequence[NodeTelemetry],
        targets: Sequence[NodeTelemetry],
        fold: Fold,
    ) -> "Scores":
        """Fit the detectors of a fold on one kind of rows, and score all of its nodes, raw and smoothed."""
        settings, model = self.settings, self.recipe.model
        half_life = telemetry.windows_of(settings.smoothing_minutes)
        alarmings = [
            Alarming(half_life if smoothed else 0.0, telemetry.window, self.detection.percentile, settings.pseudo_rows)
            for smoothed in SMOOTHINGS
        ]
        initial = derive_seed(fold.seed, "initial state", "autoencoder")
        fitted = fit_detectors(
            participants,
            targets,
            self.recipe,
            self.federate,
            settings.steps_per_round,
            settings.local_steps,
            alarmings[0],
            initial_state("autoencoder", telemetry.n_features, model, initial),
            derive_seed(fold.seed, "drift", fold.number),
        )
        return Scores.of(fitted, len(participants), alarmings)

    def _judged(
        self, number: int, fired: bool, kinds: Mapping[bool, "Scores"], telemetry: FleetTelemetry
    ) -> Iterator[dict[str, Any]]:
        limits = Limits(self.detection, telemetry.seconds_per_unit, telemetry.window)
        usual = self.detection.percentile
        sweep = [level for level in self.settings.curve_percentiles if level != usual]
        for detector in DETECTORS:
            for combination in ALL:
                row = _judge(number, detector, combination, fired, kinds, limits, None)
                yield {**row, "percentile": usual, "swept": False}
            for combination in CURVES.values():
                for level in sweep:
                    row = _judge(number, detector, combination, fired, kinds, limits, level)
                    yield {**row, "percentile": level, "swept": True}


@dataclass(frozen=True)
class Scores:
    """Scores of all detectors on one kind of rows.

    Attributes:
        targets: The nodes that are judged.
        of_targets: By detector and smoothing, in the order of the targets.
        of_participants: The same of the participants: scores of their histories, (T,) each.
    """

    targets: Sequence[NodeTelemetry]
    of_targets: Mapping[tuple[str, bool], Sequence[Scored]]
    of_participants: Mapping[tuple[str, bool], Sequence[np.ndarray]]

    @classmethod
    def of(cls, fitted: Fitted, n_participants: int, alarmings: Sequence[Alarming]) -> "Scores":
        targets: dict[tuple[str, bool], list[Scored]] = {}
        participants: dict[tuple[str, bool], list[np.ndarray]] = {}
        for detector in DETECTORS:
            for number in range(len(fitted.nodes)):
                found = fitted.scores(detector, number, alarmings)
                for smoothed, scored in zip(SMOOTHINGS, found, strict=True):
                    if number < n_participants:
                        participants.setdefault((detector, smoothed), []).append(scored.known)
                    else:
                        targets.setdefault((detector, smoothed), []).append(scored)
        return cls(fitted.nodes[n_participants:], targets, participants)

    def sent(self, detector: str, smoothed: bool, percentile: float) -> tuple[float, ...]:
        """What participants send for a fleet's threshold: each the percentile of its own scores."""
        return tuple(float(np.percentile(known, percentile)) for known in self.of_participants[detector, smoothed])


def tested_share(fleet: Fleet, node: int, window: float) -> float:
    """The drift share of a node's train part, as preparing finds it (units play no part in it); NaN where that spans
    less than two windows of re-basing."""
    rows = fleet.rows(node, TRAIN)
    if not len(rows) or fleet.time[rows[-1]] - fleet.time[rows[0]] < 2 * window:
        return float("nan")
    return drift_share(np.asarray(fleet.x[rows], np.float32))


def false_alarms_per_node_day(
    flagged: np.ndarray, label: np.ndarray, time: np.ndarray, seconds_per_unit: float
) -> float:
    """Alarm episodes without an anomalous row in them, per day of observed rows; NaN with fewer than two rows.

    Args:
        flagged, label, time: Of the rows of known label, shape (T,), in time order.
    """
    if len(time) < 2:
        return float("nan")
    starts, ends = runs(flagged)
    anomalous = np.concatenate([[0], np.cumsum(label == 1)])
    n_false = int(np.count_nonzero(anomalous[ends] == anomalous[starts]))
    days = len(time) * float(np.median(np.diff(time))) * seconds_per_unit / SECONDS_PER_DAY
    return n_false / days


def flags(
    number: int,
    detector: str,
    combination: Combination,
    fired: bool,
    kinds: Mapping[bool, Scores],
    limits: Limits,
    percentile: float | None,
) -> tuple[np.ndarray, float | np.ndarray]:
    """Scores of a target's test rows, (T',), and their thresholds; a row is flagged if its score is greater.

    Args:
        fired: Whether the target's drift test fired.
        kinds: Scores on rows as they are, and on re-based ones.
        percentile: Another than that of the settings, for a curve.
    """
    of = kinds[combination.rebase == "all" or (combination.rebase == "drifting" and fired)]
    scored = of.of_targets[detector, combination.smoothed][number]
    level = limits.detection.percentile if percentile is None else percentile
    fleet = of.sent(detector, combination.smoothed, level) if "fleet" in combination.threshold else ()
    node = of.targets[number]
    if percentile is None:
        return scored.judged, limits.of(combination.threshold, node, scored, fleet)
    return scored.judged, limits.at(percentile, combination.threshold, node, scored, fleet)


def _judge(
    number: int,
    detector: str,
    combination: Combination,
    fired: bool,
    kinds: Mapping[bool, Scores],
    limits: Limits,
    percentile: float | None,
) -> dict[str, Any]:
    score, threshold = flags(number, detector, combination, fired, kinds, limits, percentile)
    node = kinds[False].targets[number]
    known = node.test_label >= 0
    flagged = (score > threshold)[known]
    false_alarms = false_alarms_per_node_day(
        flagged, node.test_label[known], node.test_time[known], limits.seconds_per_unit
    )
    return {
        "detector": detector,
        **vars(combination),
        **judge(node, score, threshold, limits.seconds_per_unit),
        FALSE_ALARMS: false_alarms,
    }


def _as_it_is(node: NodeTelemetry) -> NodeTelemetry:
    return node
