"""Federated methods at equal budgets: the same cohorts, rounds, gradient steps and targets for all of them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.data.fleet import read_fleet
from ftl.evaluation.cost import state_bytes
from ftl.experiment.progress import UnitReport
from ftl.federation.methods import method_of
from ftl.federation.rounds import shared_bytes
from ftl.federation.settings import FederationSettings
from ftl.models.state import StackedState
from ftl.studies.comparison.fine_tuning import Arm
from ftl.studies.comparison.protocol import FoldProtocol, Job, Training
from ftl.studies.comparison.settings import REFERENCE_METHOD, MethodStudySettings
from ftl.studies.folds import Fold, make_folds
from ftl.studies.telemetry import FleetTelemetry

PRIVATE_DECODER = ("fedper", "fedrep")
"""Methods whose targets train a decoder of their own as well; fedavg does, to be compared with."""


@dataclass(frozen=True)
class MethodStudy:
    """The study of one fold; what :func:`ftl.studies.stage.run_study` runs.

    Attributes:
        fleet: Folder of the prepared fleet.
    """

    fleet: Path
    settings: MethodStudySettings
    training: Training

    def folds(self, n_nodes: int) -> list[Fold]:
        return make_folds(n_nodes, self.settings.n_folds, self.settings.n_participants, self.settings.seeds)

    def federate(self, method: str) -> FederationSettings:
        """The section `federate` at the study's budget.

        Raises:
            ConfigError: If the method cannot keep to it.
        """
        return replace(
            self.training.federate,
            method=method,
            n_rounds=self.settings.n_rounds,
            n_local_epochs=self.settings.n_local_epochs,
        )

    def __call__(self, fold: Fold, report: UnitReport) -> pd.DataFrame:
        telemetry = FleetTelemetry(read_fleet(self.fleet), self.settings.window_minutes)
        protocol = FoldProtocol(telemetry, fold, self.settings, self.training)
        cold, whole = protocol.joining()
        jobs = []
        for method in self.settings.compared:
            federate = self.federate(method)
            [received], seconds = protocol.train([fold.participants], federate, report)
            name = {"method": method, "seconds": seconds, **costs(federate, received.state)}
            name["n_steps"] = self.settings.n_rounds * self.settings.steps_per_round
            for arm in self.arms(method):
                jobs += [Job(one, received, arm, name) for one in (whole if arm.n_steps else cold)]
        return pd.DataFrame(list(protocol.judged(jobs, report)))

    def arms(self, method: str) -> list[Arm]:
        """What targets do with a method's model."""
        n_steps = self.settings.fine_tune_steps
        arms = [Arm("zero_shot")]
        arms.append(Arm("full_fine_tune", n_steps, proximal=self.settings.ditto_proximal if method == "ditto" else 0.0))
        if method in (REFERENCE_METHOD, *PRIVATE_DECODER):
            arms.append(Arm("fresh_decoder", n_steps, fresh_decoder=True))
        return arms


def costs(federate: FederationSettings, state: StackedState) -> dict[str, Any]:
    """What a participant sends: shared parameters every round, private ones once, after the last."""
    shared = shared_bytes(method_of(federate), state)
    return {"bytes_per_round": shared, "bytes_sent": federate.n_rounds * shared + state_bytes(state) - shared}
