"""One paradigm and seed on one fleet: what its local, federated and fine-tuning fits have in common."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ftl.data.fleet import VALIDATION, Fleet, read_fleet
from ftl.errors import UserError
from ftl.experiment.progress import UnitReport
from ftl.experiment.settings import TrainingSettings
from ftl.learning.batches import StackRows
from ftl.learning.fit import Builder, FitState, fit_fleet, give_memory_back, write_fit_state
from ftl.learning.objectives import Objective
from ftl.learning.paradigms import PARADIGMS, NodeRows, Paradigm
from ftl.models.network import initial_state
from ftl.models.state import StackedState
from ftl.randomness import derive_seed

KEEP_FITS_LONGER_THAN = 15.0
"""CPU seconds; a finished fit that took longer is kept until its unit is finished."""


@dataclass(frozen=True)
class Task:
    """A paradigm and a seed on a fleet."""

    fleet: Fleet
    paradigm: Paradigm
    seed: int
    settings: TrainingSettings

    @classmethod
    def open(cls, fleet: Path, paradigm: str, seed: int, settings: TrainingSettings) -> "Task":
        return cls(read_fleet(fleet), PARADIGMS[paradigm], seed, settings)

    @cached_property
    def x(self) -> torch.Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable.*")  # it is only ever read
            return torch.from_numpy(self.fleet.x)

    @cached_property
    def train(self) -> list[NodeRows]:
        """Training rows of each node."""
        rows = [
            self.paradigm.train_rows(self.fleet, node, self.settings.supervision, self.seed)
            for node in range(self.n_nodes)
        ]
        for node, of_node in enumerate(rows):
            if len(of_node.normal) == 0:
                raise UserError(
                    f"{self.fleet.name}: node {self.fleet.node_ids[node]} has no row to train on that is not labelled "
                    "anomalous; leave the node out of the fleet"
                )
        return rows

    @property
    def n_nodes(self) -> int:
        return len(self.fleet.node_ids)

    @property
    def objective(self) -> Objective:
        return self.paradigm.objective(self.settings.supervision)

    def steps_per_epoch(self, node: int) -> int:
        return self.settings.training.n_steps(len(self.train[node].rows))

    def ranking_rows(self, rank_by: str) -> list[np.ndarray]:
        """What local models are ranked on: the validation slice, or (``test_f1``) the test part, as in the paper."""
        if rank_by == "test_f1":
            return [self.paradigm.test_rows(self.fleet, node) for node in range(self.n_nodes)]
        return [self.fleet.rows(node, VALIDATION) for node in range(self.n_nodes)]

    def earlier_rows(self, with_validation: bool = True) -> list[np.ndarray]:
        """Rows of each node before its test part that are scored: normal training rows and the validation slice.

        Ranking on the validation slice itself takes the training rows alone.
        """
        if not with_validation:
            return [of_node.normal for of_node in self.train]
        return [
            np.sort(np.concatenate([of_node.normal, self.fleet.rows(node, VALIDATION)]))
            for node, of_node in enumerate(self.train)
        ]

    def test_rows(self) -> list[np.ndarray]:
        return [self.paradigm.test_rows(self.fleet, node) for node in range(self.n_nodes)]

    def stack_rows(self, nodes: Sequence[int], purpose: str) -> StackRows:
        """Training rows of a stack whose k-th model belongs to ``nodes[k]``."""
        of_nodes = [self.train[node] for node in nodes]
        seeds = [derive_seed(self.seed, purpose, self.paradigm.name, self.fleet.node_ids[node]) for node in nodes]
        return StackRows.of(
            self.x, [r.rows for r in of_nodes], [r.label for r in of_nodes], [r.weight for r in of_nodes], seeds
        )

    def initial_state(self) -> StackedState:
        """The one initialisation that every model of this paradigm and seed begins with."""
        seed = derive_seed(self.seed, "initial state", self.paradigm.network)
        return initial_state(self.paradigm.network, self.fleet.x.shape[1], self.settings.model, seed)

    def fit(
        self,
        build: Builder,
        start: FitState,
        rows: StackRows,
        n_epochs: int,
        folder: Path,
        name: str,
        report: UnitReport,
    ) -> FitState:
        """A fit that an interruption does not lose: its checkpoint lies in the unit's folder until that is finished."""
        checkpoint = folder / f"{name}.checkpoint"
        try:
            result = fit_fleet(
                build,
                start,
                rows,
                n_epochs,
                self.paradigm.network,
                self.settings.model,
                self.settings.training,
                checkpoint,
                report=lambda done, total: report(name, done, total),
            )
        except FloatingPointError as error:
            raise UserError(f"{self.fleet.name}: {self.paradigm.name}, seed {self.seed}, {name}: {error}") from error
        give_memory_back()
        if result.seconds - start.seconds > KEEP_FITS_LONGER_THAN:
            write_fit_state(checkpoint, result)
        return result


def shared_out(seconds: float, steps: Sequence[int]) -> list[float]:
    """A stack's CPU seconds, shared out over its models by their steps."""
    total = sum(steps)
    return [seconds * n / total for n in steps]
