"""Cohorts are chosen and each trains a global model (paper, section 3.2); the pool of all rows trains one too."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from ftl.config import section
from ftl.data.fleet import Fleet, read_fleet
from ftl.errors import ConfigError
from ftl.experiment.candidates import candidates_of
from ftl.experiment.cohorts import choose_cohorts
from ftl.experiment.federation_fit import client_weights, federated_builder, global_states
from ftl.experiment.handover import (
    CENTRALISED_FILE,
    GLOBAL_FILE,
    ROUNDS_FILE,
    Cohort,
    unit_name,
    write_cohorts,
)
from ftl.experiment.progress import UnitReport
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import TrainingSettings, paradigms_of, training_settings
from ftl.experiment.task import Task
from ftl.experiment.units import Unit, run_stage, stage_key
from ftl.federation.selection import UNSIZED_POLICIES
from ftl.federation.settings import FederationSettings, SelectionSettings
from ftl.learning.batches import BatchSettings, StackRows
from ftl.learning.fit import FitState
from ftl.learning.training import LocalTraining
from ftl.models.network import StackedNetwork
from ftl.models.state import StackedState, join, repeat
from ftl.randomness import derive_seed

MAX_STACK = 64
"""Models trained in one stack; more gain nothing and take memory."""


def check_cohort_sizes(select: SelectionSettings, fleet: Fleet) -> None:
    """Every cohort must leave at least one target.

    Raises:
        ConfigError: If a number of participants is not below the number of nodes.
    """
    n_nodes = len(fleet.node_ids)
    if n_nodes < 2:
        raise ConfigError(
            f"{fleet.name}: has {n_nodes} usable node; a federation needs at least 2, one that trains and one that "
            "receives"
        )
    too_large = [n for n in select.n_participants if n >= n_nodes]
    if too_large and not UNSIZED_POLICIES.issuperset(select.policies):
        example = sorted({1, max(1, n_nodes // 4), n_nodes // 2})[-2:]
        raise ConfigError(
            f"select.n_participants must be below the number of nodes, so that a target remains: {fleet.name} has "
            f"{n_nodes} usable nodes; got {', '.join(map(str, too_large))}; set it to numbers in [1, {n_nodes - 1}], "
            f"for example -S select.n_participants=[{','.join(map(str, example))}]"
        )


def federated_units(
    fleet: Path,
    local: Path,
    paradigms: tuple[str, ...],
    seeds: tuple[int, ...],
    training: TrainingSettings,
    select: SelectionSettings,
    federate: FederationSettings,
) -> list[Unit]:
    """One unit per paradigm and seed; all its cohorts share stacks."""
    check_cohort_sizes(select, read_fleet(fleet))
    return [
        Unit(
            unit_name(paradigm, seed),
            partial(
                train_federated, fleet, local / unit_name(paradigm, seed), paradigm, seed, training, select, federate
            ),
        )
        for paradigm in paradigms
        for seed in seeds
    ]


def federated_stage(params: Mapping[str, Any], fleet: Path, local: Path, out: Path, work: Path) -> None:
    """Choose the cohorts and train their global models, and the centralised one."""
    training, select = training_settings(params), section(params, "select", SelectionSettings)
    federate = section(params, "federate", FederationSettings)
    paradigms, seeds = paradigms_of(params), seeds_of(params)
    units = federated_units(fleet, local, paradigms, seeds, training, select, federate)
    run_stage(
        f"federate {read_fleet(fleet).name}", units, out, work,
        stage_key(local), paradigms, seeds, training, select, federate,
    )  # fmt: skip


def train_federated(
    fleet: Path,
    local: Path,
    paradigm: str,
    seed: int,
    training: TrainingSettings,
    select: SelectionSettings,
    federate: FederationSettings,
    folder: Path,
    report: UnitReport,
) -> None:
    """Train the global model of every cohort, and the centralised one on all rows with as many steps."""
    task = Task.open(fleet, paradigm, seed, training)
    cohorts = choose_cohorts(candidates_of(task, local, select), select, seed)
    models: list[StackedState] = []
    records: list[dict[str, object]] = []
    for number, group in enumerate(stacks(cohorts)):
        result = train_group(task, group, federate, folder, f"federated-{number}", report)
        models.append(group_models(task, group, result, federate))
        records.extend(_rounds(task, group, result, federate))
    write_cohorts(folder, cohorts)
    save_file(join(models), folder / GLOBAL_FILE)
    one_row_per_place(pd.DataFrame(records)).to_csv(folder / ROUNDS_FILE, index=False, float_format="%.9g")
    save_file(_train_centralised(task, federate, folder, report).network, folder / CENTRALISED_FILE)


def stacks(cohorts: list[Cohort]) -> Iterator[list[Cohort]]:
    """Cohorts that train in one stack: as many as fit."""
    group: list[Cohort] = []
    for cohort in cohorts:
        if group and sum(len(c.participants) for c in group) + len(cohort.participants) > MAX_STACK:
            yield group
            group = []
        group.append(cohort)
    if group:
        yield group


def train_group(
    task: Task,
    group: list[Cohort],
    federate: FederationSettings,
    folder: Path,
    name: str,
    report: UnitReport,
    start: FitState | None = None,
) -> FitState:
    """Train the global models of cohorts in one stack, from the initial state or on from some rounds (``start``).

    The result holds a model per client, cohort by cohort; :func:`group_models` gives what targets receive.
    """
    clients = _clients(group)
    build = federated_builder(
        task.objective,
        task.settings.optimizer,
        task.settings.training,
        _positions(group),
        _weights(task, clients, federate),
        federate,
    )
    start = start or FitState(repeat(task.initial_state(), len(clients)))
    return task.fit(build, start, task.stack_rows(clients, "client"), federate.n_epochs, folder, name, report)


def group_models(task: Task, group: list[Cohort], result: FitState, federate: FederationSettings) -> StackedState:
    """What the targets of each cohort receive of a :func:`train_group`, one model per cohort."""
    return global_states(result, _positions(group), _weights(task, _clients(group), federate), federate)


def _clients(group: list[Cohort]) -> list[int]:
    return [node for cohort in group for node in cohort.participants]


def _positions(group: list[Cohort]) -> list[list[int]]:
    """Of each cohort's clients in their stack."""
    ends = np.cumsum([len(cohort.participants) for cohort in group])
    return [list(range(end - len(cohort.participants), end)) for cohort, end in zip(group, ends, strict=True)]


def _weights(task: Task, clients: Sequence[int], federate: FederationSettings) -> torch.Tensor:
    return client_weights([len(task.train[node].rows) for node in clients], federate)


def _rounds(
    task: Task, group: list[Cohort], result: FitState, federate: FederationSettings
) -> Iterator[dict[str, object]]:
    """Per round and cohort: the clients' mean loss (weighted as the average is), and clients left out."""
    first = 0
    losses = result.losses.double().unflatten(0, (federate.n_rounds, federate.n_local_epochs)).mean(dim=1)  # (R, K)
    for number, cohort in enumerate(group):
        mine = slice(first, first + len(cohort.participants))
        first = mine.stop
        weights = _weights(task, cohort.participants, federate)
        share = weights / weights.sum()
        for round_ in range(federate.n_rounds):
            yield {
                "paradigm": task.paradigm.name,
                "seed": task.seed,
                "policy": cohort.policy,
                "n_participants": cohort.n_participants,
                "draw": cohort.draw,
                "round": round_ + 1,
                "train_loss": float(losses[round_, mine] @ share),
                "n_clients_left_out": int(result.excluded[round_, number]),
                "n_clients": len(cohort.participants),
            }


def one_row_per_place(rounds: pd.DataFrame) -> pd.DataFrame:
    """Rounds of all federations -> one row per place in the results table and round, without ``n_clients``.

    Where federations share a place (one per cluster), the loss is the mean over their clients, each counting as one
    beyond its own federation.
    """
    key = [name for name in rounds.columns if name not in ("train_loss", "n_clients_left_out", "n_clients")]
    if rounds.duplicated(key).any():
        rounds = rounds.assign(train_loss=rounds["train_loss"] * rounds["n_clients"])
        rounds = rounds.groupby(key, sort=False).sum().reset_index()
        rounds["train_loss"] /= rounds["n_clients"]
    return rounds.drop(columns="n_clients")


def _train_centralised(task: Task, federate: FederationSettings, folder: Path, report: UnitReport) -> FitState:
    """The oracle that moves raw rows: one model on the pool of all nodes, with the steps of the busiest participant."""
    everyone = range(task.n_nodes)
    steps = max(task.steps_per_epoch(node) for node in everyone)
    pool = [task.train[node] for node in everyone]
    rows = StackRows.of(
        task.x,
        [np.concatenate([of_node.rows for of_node in pool])],
        [np.concatenate([of_node.label for of_node in pool])],
        [np.concatenate([of_node.weight for of_node in pool])],
        [derive_seed(task.seed, "pool", task.paradigm.name)],
    )
    batches = BatchSettings(task.settings.training.batch_size, steps)

    def build(network: StackedNetwork, stack: StackRows, order: list[int]) -> LocalTraining:
        return LocalTraining(network, stack, task.objective, task.settings.optimizer, batches)

    return task.fit(build, FitState(task.initial_state()), rows, federate.n_epochs, folder, "centralised", report)
