"""What a trial trains: federated rounds that go on from earlier ones, and targets that tune a few nodes at a time.

The method's own parts, without what no trial asks for: the centralised oracle, the long-trained local models.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from ftl.detection.settings import ScoringSettings
from ftl.errors import UserError
from ftl.experiment.candidates import candidates_of
from ftl.experiment.cohorts import choose_cohorts
from ftl.experiment.federated import group_models, stacks, train_group
from ftl.experiment.handover import GLOBAL_FILE, read_cohorts, read_global, write_cohorts
from ftl.experiment.progress import UnitReport
from ftl.experiment.scored import ScoredWriter
from ftl.experiment.scoring import Judge
from ftl.experiment.settings import TrainingSettings, TransferSettings
from ftl.experiment.task import Task
from ftl.experiment.transfer import MAX_STACK, Tuner
from ftl.federation.settings import FederationSettings, SelectionSettings
from ftl.learning.fit import read_fit_state, write_fit_state
from ftl.models.state import StackedState, join, take


def train_rounds(
    fleet: Path,
    local: Path,
    earlier: Path | None,
    paradigm: str,
    seed: int,
    training: TrainingSettings,
    select: SelectionSettings,
    federate: FederationSettings,
    folder: Path,
    report: UnitReport,
) -> None:
    """Train the cohorts' global models for `federate.n_rounds` rounds, on from those in ``earlier`` if that is given.

    Args:
        local: The unit of local training whose ranking chooses the participants.
        earlier: A unit of this function of fewer rounds and otherwise equal settings.
    """
    task = Task.open(fleet, paradigm, seed, training)
    cohorts = choose_cohorts(candidates_of(task, local, select), select, seed)
    models: list[StackedState] = []
    for number, group in enumerate(stacks(cohorts)):
        start = None if earlier is None else read_fit_state(earlier / _state_file(number))
        result = train_group(task, group, federate, folder, f"federated-{number}", report, start)
        if not np.isfinite(result.losses.numpy()).all() and task.paradigm.network == "autoencoder":
            raise UserError(f"{task.fleet.name}: federated training diverged; lower optimizer.learning_rate")
        models.append(group_models(task, group, result, federate))
        write_fit_state(folder / _state_file(number), result)
    write_cohorts(folder, cohorts)
    save_file(join(models), folder / GLOBAL_FILE)


def tune_targets(
    fleet: Path,
    federated: Path,
    paradigm: str,
    seed: int,
    training: TrainingSettings,
    transfer: TransferSettings,
    scoring: ScoringSettings,
    arm: str,
    nodes: tuple[int, ...] | None,
    folder: Path,
    report: UnitReport,
) -> None:
    """Score these nodes (all if None): where they are targets under ``arm``, where participants as the model is."""
    task = Task.open(fleet, paradigm, seed, training)
    judge = Judge(task.fleet, task.paradigm, task.earlier_rows(), training.model, scoring)
    tuner = Tuner(task, transfer, judge, folder, report)
    cohorts, models = read_cohorts(federated), read_global(federated)
    of_cohorts = tuner.variances_of(cohorts, models)
    chosen = set(range(task.n_nodes) if nodes is None else nodes)
    pairs: list[tuple[int, int]] = []
    with ScoredWriter(folder) as writer:
        for number, cohort in enumerate(cohorts):
            model = take(models, [number])
            took_part = [node for node in cohort.participants if node in chosen]
            writer.write(tuner.as_it_is("zero_shot", cohort, "participant", model, took_part, of_cohorts[number]))
            targets = [node for node in cohort.targets(task.n_nodes) if node in chosen]
            if arm == "zero_shot":
                writer.write(tuner.as_it_is("zero_shot", cohort, "target", model, targets, of_cohorts[number]))
            else:
                pairs += [(number, node) for node in targets]
        for first in range(0, len(pairs), MAX_STACK):
            which, received_by = zip(*pairs[first : first + MAX_STACK], strict=True)
            tuned = tuner.tune(take(models, which), received_by, arm == "full_fine_tune", f"{arm}-{first}")
            of = [cohorts[number] for number in which]
            writer.write(tuner.judged(arm, of, received_by, tuned, [of_cohorts[number] for number in which]))


def rungs(n_rounds: int) -> list[int]:
    """Rounds after which a federation is looked at: 1, 3, 9, ... below n_rounds."""
    found = [1]
    while found[-1] < n_rounds:
        found.append(3 * found[-1])
    return found[:-1]


def node_groups(nodes: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Nodes in groups that are tuned together, in the order given."""
    return [tuple(nodes[first : first + size]) for first in range(0, len(nodes), size)]


def _state_file(number: int) -> str:
    return f"federated-{number}.state"
