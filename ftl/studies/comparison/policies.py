"""Selection policies under one protocol: the same candidates, targets, budgets and random draws for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.data.fleet import read_fleet
from ftl.errors import ConfigError
from ftl.experiment.progress import UnitReport
from ftl.federation.selection import DRAWN_POLICIES, UNSIZED_POLICIES, federations_of, random_n, top_n
from ftl.federation.settings import SelectionSettings
from ftl.randomness import generator
from ftl.studies.coldstart.joining import Joining
from ftl.studies.comparison.fine_tuning import Arm
from ftl.studies.comparison.protocol import Cohort, FoldProtocol, Job, Training
from ftl.studies.comparison.ranking import BY_LOSS, Ranked, nearest, rank_candidates
from ftl.studies.comparison.settings import TOP_N_BY_TEST_F1, PolicyStudySettings
from ftl.studies.folds import Fold, make_folds
from ftl.studies.telemetry import FleetTelemetry

RANDOM = "random_n"
ZERO_SHOT = Arm("zero_shot")


@dataclass(frozen=True)
class Choice:
    """What a policy chose, once.

    Attributes:
        cohorts: Positions among the candidates of those who train each of its models, ascending.
    """

    policy: str
    draw: int
    cohorts: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class PolicyStudy:
    """The study of one fold; what :func:`ftl.studies.stage.run_study` runs.

    Attributes:
        fleet: Folder of the prepared fleet.
        select: Settings of single policies.
    """

    fleet: Path
    settings: PolicyStudySettings
    select: SelectionSettings
    training: Training

    def folds(self, n_nodes: int) -> list[Fold]:
        """Every fold leaves the policies a choice.

        Raises:
            ConfigError: If it does not.
        """
        folds = make_folds(n_nodes, self.settings.n_folds, n_nodes, self.settings.seeds)
        fewest, n = min(len(fold.candidates) for fold in folds), self.settings.n_participants
        if fewest < 2 or (n is not None and n >= fewest):
            raise ConfigError(
                "study_policies.n_participants must be below the number of candidates, so that there is a choice: with "
                f"study_policies.n_folds={self.settings.n_folds} a fold of {n_nodes} nodes has {fewest} of them; got "
                f"{'half of them (null)' if n is None else n}"
            )
        return folds

    def __call__(self, fold: Fold, report: UnitReport) -> pd.DataFrame:
        telemetry = FleetTelemetry(read_fleet(self.fleet), self.settings.window_minutes)
        protocol = FoldProtocol(telemetry, fold, self.settings, self.training)
        ranked = rank_candidates(protocol, self.settings.local_steps)
        choices = chosen(ranked, fold, self.settings, self.select)
        of_choice = [[_cohort(fold, one) for one in choice.cohorts] for choice in choices]
        cohorts = list(dict.fromkeys(cohort for several in of_choice for cohort in several))
        received = dict(zip(cohorts, protocol.train(cohorts, self.training.federate, report)[0], strict=True))

        cold, whole = protocol.joining()
        asked = [(one, ZERO_SHOT) for one in cold]
        asked += [(one, Arm("full_fine_tune", self.settings.fine_tune_steps)) for one in whole]
        jobs: dict[tuple[Cohort, int], Job] = {}  # policies that choose alike share a model, and its judgement
        places = []
        for choice, several in zip(choices, of_choice, strict=True):
            for number, (joining, arm) in enumerate(asked):
                cohort = several[_serving(choice, joining, ranked)]
                jobs.setdefault((cohort, number), Job(joining, received[cohort], arm, {}))
                places.append((choice, (cohort, number)))
        judged = dict(zip(jobs, protocol.judged(list(jobs.values()), report), strict=True))
        rows = [_named(choice, ranked) | judged[place] | _members(place[0], telemetry) for choice, place in places]
        return pd.DataFrame(rows)


def chosen(ranked: Ranked, fold: Fold, settings: PolicyStudySettings, select: SelectionSettings) -> list[Choice]:
    """What every policy chooses among a fold's candidates; random cohorts last, as many as there are draws."""
    n_candidates = len(fold.candidates)
    n = settings.n_participants or max(1, n_candidates // 2)
    choices = []
    for policy in settings.policies:
        random = generator(fold.seed, "policy", policy, fold.number)
        choices.append(Choice(policy, 0, tuple(_cohorts_of(policy, ranked, n, random, select))))
    for draw in range(settings.n_draws):
        random = generator(fold.seed, "policy", RANDOM, fold.number, draw)
        choices.append(Choice(RANDOM, draw, (random_n(ranked.candidates, n, random),)))
    return choices


def _cohorts_of(
    name: str, ranked: Ranked, n: int, random: np.random.Generator, select: SelectionSettings
) -> Sequence[np.ndarray]:
    if name == TOP_N_BY_TEST_F1:
        return [top_n(ranked.by_test_f1, n, random)]
    policy = select.policy(name)
    if name in UNSIZED_POLICIES:  # its halves serve each other, where targets are not set apart as they are here
        return [policy(ranked.candidates, n, random)]
    return [federation.participants for federation in federations_of(policy, ranked.candidates, n, random)]


def _serving(choice: Choice, joining: Joining, ranked: Ranked) -> int:
    """Which of a policy's models a target receives: that of the participants that its known rows are most like."""
    if len(choice.cohorts) == 1:
        return 0
    return nearest(ranked.likeness(joining.node, joining.n_rows), choice.cohorts)


def _cohort(fold: Fold, chosen: np.ndarray) -> Cohort:
    return tuple(fold.candidates[position] for position in sorted(chosen.tolist()))


def _named(choice: Choice, ranked: Ranked) -> dict[str, Any]:
    ranked_by = {TOP_N_BY_TEST_F1: "test F1", "label_free": BY_LOSS}.get(choice.policy, ranked.ranked_by)
    if choice.policy in UNSIZED_POLICIES | DRAWN_POLICIES:
        ranked_by = "nothing"
    n_chosen = sum(map(len, choice.cohorts))
    return {"policy": choice.policy, "draw": choice.draw, "ranked_by": ranked_by, "n_chosen": n_chosen}


def _members(cohort: Cohort, telemetry: FleetTelemetry) -> dict[str, Any]:
    return {"participants": " ".join(telemetry.fleet.node_ids[node] for node in cohort)}
