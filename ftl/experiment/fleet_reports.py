"""What nodes send each other so that a threshold can look over the fleet: who speaks, and to whom."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ftl.detection.calibration import CalibrationScores, FleetScores
from ftl.detection.settings import DetectionSettings
from ftl.experiment.scored import ScoredNode

GLOBAL_ARM = "zero_shot"
"""Participants are scored with the model that they trained together, and with no other."""


class FleetReports:
    """The numbers of all nodes that run the same model, by run.

    Sums are over all nodes of the run. Percentiles are of the nodes that may speak: where the model came from a cohort,
    its participants, so that no target needs another target. A run that has targets alone (fine-tuned models) hears the
    participants of its cohort under the global model. Where no participant was scored, or there is no cohort, all nodes
    of the run speak.
    """

    def __init__(self, detection: DetectionSettings) -> None:
        self.percentile = detection.percentile
        self.sums: dict[tuple[Any, ...], FleetScores] = {}
        self.participants: dict[tuple[Any, ...], tuple[float, ...]] = {}

    def add(self, scored: ScoredNode, calibration: CalibrationScores) -> None:
        """Take in what a node sends."""
        own, known = calibration.sums(self.percentile), self.sums.get(scored.run)
        self.sums[scored.run] = own if known is None else known + own
        if scored.role == "participant":
            for key in _spoken_to(scored):
                self.participants[key] = self.participants.get(key, ()) + own.percentiles

    def heard_by(self, scored: ScoredNode) -> FleetScores | None:
        """What a node has heard from the fleet; None if no node of its run has sent anything."""
        known = self.sums.get(scored.run)
        speakers = self.participants.get(scored.run) or self.participants.get(_cohort(scored))
        return known if known is None or not speakers else replace(known, percentiles=speakers)


def heard(scored: Iterable[ScoredNode]) -> set[tuple[Any, ...]]:
    """Whom these nodes listen to, as :func:`speaks` asks it: their runs and cohorts."""
    return {key for one in scored for key in (one.run, _cohort(one))}


def speaks(scored: ScoredNode, listened_to: set[tuple[Any, ...]]) -> bool:
    """Whether the numbers of a node matter to those who listen."""
    return not listened_to.isdisjoint(_spoken_to(scored))


def _spoken_to(scored: ScoredNode) -> tuple[tuple[Any, ...], ...]:
    trained = scored.role == "participant" and scored.arm == GLOBAL_ARM
    return (scored.run, _cohort(scored)) if trained else (scored.run,)


def _cohort(scored: ScoredNode) -> tuple[Any, ...]:
    return ("cohort", scored.paradigm, scored.seed, scored.policy, scored.n_participants, scored.draw)
