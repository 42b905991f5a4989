"""From stored scores to alarms: scores are smoothed and compared with a threshold set on the rows before the test part.

Nothing here trains: any rule of the section `detection` but its score can be tried on scores that are there.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ftl.data.fleet import VALIDATION, Fleet
from ftl.detection.calibration import CalibrationScores, FleetScores
from ftl.detection.settings import DetectionSettings
from ftl.detection.smoothing import smooth, smooth_train_test
from ftl.detection.thresholds import NEEDS_FLEET, THRESHOLDS, Threshold, fixed, row_thresholds, threshold_name
from ftl.evaluation.results import BASELINES
from ftl.experiment.fleet_reports import FleetReports
from ftl.experiment.scored import ScoredNode
from ftl.learning.paradigms import PARADIGMS

_UNITLESS = frozenset(BASELINES) - {"untrained"}


class Judged(NamedTuple):
    """A model's alarms on one node.

    Attributes:
        scores: Smoothed scores of the test rows, shape (T,), float64, in time order.
        threshold: A row is flagged if its score is greater; one number, or one per row, shape (T,).
        rows: Numbers of the test rows in the fleet, shape (T,).
        floor: The least that the threshold of any row can be; where there is one number, that number.
    """

    scored: ScoredNode
    scores: np.ndarray
    threshold: float | np.ndarray
    rows: np.ndarray
    floor: float

    @property
    def thresholds(self) -> np.ndarray:
        """The threshold of each row, shape (T,), read-only."""
        return np.broadcast_to(np.asarray(self.threshold, np.float64), self.scores.shape)

    @property
    def flagged(self) -> np.ndarray:
        """Which rows raise an alarm, shape (T,) bool."""
        flagged: np.ndarray = self.scores > self.threshold
        return flagged


def judged(
    fleet: Fleet,
    read: Callable[[], Iterable[ScoredNode]],
    detection: DetectionSettings,
    protocol: str | None = None,
    wanted: Callable[[ScoredNode], bool] = lambda scored: True,
) -> Iterator[Judged]:
    """The alarms of stored scores, model by model and node by node.

    Args:
        read: Opens the stored scores; called twice where a rule needs what the fleet has sent.
        protocol: Whose thresholds `detection.threshold: protocol` means; the fleet's own where not given.
        wanted: Which of the scored nodes are judged; what the fleet has sent is of all of them.
    """
    protocol = protocol or fleet.protocol
    reports = _reports(fleet, read, detection, protocol)
    for scored in filter(wanted, read()):
        name = rule_name(scored, protocol, detection)
        sent = reports.heard_by(scored) if name in NEEDS_FLEET else None
        calibration, scores, rows = calibrated(fleet, scored, detection.smoothing_half_life, sent)
        threshold = row_thresholds(name, calibration, detection, scores, np.asarray(fleet.time[rows]))
        floor = threshold if isinstance(threshold, float) else THRESHOLDS[name](calibration, detection)
        yield Judged(scored, scores, threshold, rows, floor)


def rule_name(scored: ScoredNode, protocol: str, detection: DetectionSettings) -> str:
    """The key of THRESHOLDS that flags this model's scores.

    Note: where the protocol or the settings say `fixed`, classical baselines take the percentile all the same: their
    scores have no common unit in which 0.5 would mean something.
    """
    name = threshold_name(protocol, scored.paradigm, detection)
    return "percentile" if name == "fixed" and scored.arm in _UNITLESS else name


def ranking_threshold(protocol: str, paradigm: str) -> Callable[[np.ndarray], float]:
    """Normal training scores (T,) -> threshold of the F1 by which nodes are ranked: the protocol's own rule.

    Rules of alarms are not asked, so that one may change them without choosing other participants.
    """
    settings = DetectionSettings()
    rule: Threshold = THRESHOLDS[threshold_name(protocol, paradigm, settings)]
    if rule is fixed:
        return lambda score: settings.fixed_threshold
    return lambda score: rule(CalibrationScores.plain(score), settings)


def calibrated(
    fleet: Fleet, scored: ScoredNode, half_life: float, sent: FleetScores | None = None
) -> tuple[CalibrationScores, np.ndarray, np.ndarray]:
    """What the threshold of a node may look at, its smoothed test scores (T,), and the test rows (T,)."""
    rows, earlier = PARADIGMS[scored.paradigm].test_rows(fleet, scored.node), scored.earlier_rows
    anomalous = fleet.label[earlier] == 1
    normal = slice(None) if not anomalous.any() else ~anomalous
    before, scores = scored.earlier[normal].astype(np.float64), scored.scores.astype(np.float64)
    time = fleet.time[earlier]
    flagged_before = scored.earlier[anomalous].astype(np.float64)
    if half_life > 0:
        before, scores = smooth_train_test(before, scores, time[normal], fleet.time[rows], half_life)
        if len(flagged_before):
            flagged_before = smooth(scored.earlier, time, half_life)[anomalous]
    calibration = CalibrationScores(
        score=before,
        held_out=fleet.part[earlier[normal]] == VALIDATION,
        time=time[normal],
        seconds_per_unit=seconds_per_unit(fleet),
        anomalous=flagged_before,
        fleet=sent,
    )
    return calibration, scores, rows


def seconds_per_unit(fleet: Fleet) -> float | None:
    """Seconds of one unit of the fleet's time; None where it counts steps of unknown length."""
    return 1.0 if fleet.time_unit == "seconds" else fleet.window_seconds


def _reports(
    fleet: Fleet, read: Callable[[], Iterable[ScoredNode]], detection: DetectionSettings, protocol: str
) -> FleetReports:
    """What the nodes have sent each other; nothing where no rule asks for it."""
    reports = FleetReports(detection)
    if detection.threshold in NEEDS_FLEET:
        for scored in read():
            if rule_name(scored, protocol, detection) in NEEDS_FLEET:
                reports.add(scored, calibrated(fleet, scored, detection.smoothing_half_life)[0])
    return reports
