"""One trial: its stages are trained where they are not there yet, its scores are judged."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import NEEDS_FLEET
from ftl.errors import UserError
from ftl.evaluation.cost import participant_traffic, target_traffic
from ftl.experiment.handover import read_cohorts
from ftl.experiment.scored import ScoredNode, read_scored
from ftl.experiment.settings import training_settings
from ftl.experiment.traffic import model_bytes
from ftl.experiment.units import unit_folders
from ftl.learning.paradigms import PARADIGMS
from ftl.randomness import generator
from ftl.tuning.bench import ThresholdBench
from ftl.tuning.objectives import METRICS
from ftl.tuning.pruning import NODE_STEP, Rivals
from ftl.tuning.settings import TuneSettings, tune_settings
from ftl.tuning.stages import TrialStages, stage_cost
from ftl.tuning.training import node_groups, rungs

NODES_AT_ONCE = 4
"""Nodes that are tuned together before a trial may be given up."""
BENCHES_KEPT = 4


@dataclass(frozen=True)
class Trials:
    """What all trials of a study have in common.

    Attributes:
        fleet: The prepared fleet that they are judged on.
        store: Where their stages are kept.
        base: The parameters that they vary.
        judge_participants: Whether participants count too, with the global model as it is: where cohorts differ
            between trials, values of targets alone would be means over different nodes.
        fingerprint: The fleet's.
    """

    fleet: Path
    store: Path
    base: Mapping[str, Any]
    judge_participants: bool
    fingerprint: str


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended.

    Attributes:
        state: ``complete``, ``pruned`` or ``failed``.
        values: The objective and, if asked for, the cost; None unless complete.
        reports: (step, value) in the order in which they came, see :data:`NODE_STEP`.
        error: Why it failed.
    """

    state: str
    values: tuple[float, ...] | None = None
    reports: tuple[tuple[int, float], ...] = ()
    error: str | None = None


NO_RIVALS = Rivals()


def run_trial(trials: Trials, params: Mapping[str, Any], rivals: Rivals = NO_RIVALS) -> TrialResult:
    """Judge parameters; a diverged training or another mistake of the parameters fails the trial, not the study."""
    reports: list[tuple[int, float]] = []
    try:
        values = _Run(trials, params).values(rivals, reports)
    except (UserError, FloatingPointError) as error:
        return TrialResult("failed", None, tuple(reports), str(error))
    return TrialResult("pruned" if values is None else "complete", values, tuple(reports))


def all_metrics(trials: Trials, params: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """By metric, the values of the judged nodes where they are defined; ``delta_f1`` among them."""
    run = _Run(trials, params)
    bench, arm = run.whole_bench()
    found = {name: run.node_values(bench, arm, name) for name in (*METRICS, "delta_f1")}
    return {name: values for name, values in found.items() if values}


class _Run:
    def __init__(self, trials: Trials, params: Mapping[str, Any]) -> None:
        self.trials, self.params = trials, params
        self.settings: TuneSettings = tune_settings(params)
        self.detection = section(params, "detection", DetectionSettings)
        self.n_rounds = int(params["federate"]["n_rounds"])
        self.stages = TrialStages(trials.fleet, trials.store, trials.base, trials.fingerprint)

    def values(self, rivals: Rivals, reports: list[tuple[int, float]]) -> tuple[float, ...] | None:
        """The trial's values; None if it was given up."""
        arm, objective = self.settings.arm, self.settings.objective
        federated = None
        if rivals.prune_rounds:
            for n_rounds in rungs(self.n_rounds):
                federated = self.stages.federated(self.params, n_rounds, federated)
                targets = self.stages.targets(self.params, federated, n_rounds, "zero_shot", None)
                bench = _bench(self.trials, (targets, *self._local()))
                reports.append((n_rounds, _mean(self.node_values(bench, "zero_shot", objective))))
                if rivals.too_bad_after(reports):
                    return None
        if not rivals.prune_nodes or self.detection.threshold in NEEDS_FLEET:
            bench, arm = self.whole_bench(federated)
            found = self.node_values(bench, arm, objective)
            if rivals.prune_nodes:
                reports += [(NODE_STEP + node, value) for node, value in found.items()]
        else:
            found = {}
            for values in self._node_by_node(federated):
                found |= values
                reports += [(NODE_STEP + node, value) for node, value in values.items()]
                if rivals.worse_on_nodes({NODE_STEP + node: value for node, value in found.items()}):
                    return None
        cost = () if self.settings.cost == "none" else (self._cost(self.settings.cost),)
        return (_mean(found), *cost)

    def whole_bench(self, earlier: Path | None = None) -> tuple[ThresholdBench, str]:
        """The scores of all nodes, and the arm that is judged."""
        return _bench(self.trials, self._all_stages(earlier)), self.settings.arm

    def node_values(self, bench: ThresholdBench, arm: str, objective: str) -> dict[int, float]:
        """By node, the objective or metric of the judged arm."""
        numbers = bench.of(arm, "target")
        if self.trials.judge_participants:
            numbers = numbers + bench.of("zero_shot", "participant")
        values = bench.node_values(numbers, self.detection, objective, self.settings.alarm_budget)
        if objective != "delta_f1":
            return values
        local = bench.node_values(bench.of("local", None), self.detection, objective, self.settings.alarm_budget)
        return {node: value - local[node] for node, value in values.items() if node in local}

    def _node_by_node(self, federated: Path | None) -> Iterator[dict[int, float]]:
        """Values of a few nodes, then of a few more, in the study's own random order."""
        federated = self.stages.federated(self.params, self.n_rounds, federated)
        n_nodes = len(read_fleet(self.trials.fleet).node_ids)
        order = generator(self.settings.seed, "order of nodes").permutation(n_nodes).tolist()
        for group in node_groups(order, NODES_AT_ONCE):
            stage = self.stages.targets(self.params, federated, self.n_rounds, self.settings.arm, group)
            bench = _bench(self.trials, (stage, *self._local()))
            yield self.node_values(bench, self.settings.arm, self.settings.objective)

    def _local(self) -> tuple[Path, ...]:
        """Local models are judged only where they are compared with."""
        return (self.stages.local(self.params),) if self.settings.objective == "delta_f1" else ()

    def _all_stages(self, earlier: Path | None = None) -> tuple[Path, ...]:
        federated = self.stages.federated(self.params, self.n_rounds, earlier)
        targets = self.stages.targets(self.params, federated, self.n_rounds, self.settings.arm, None)
        return (targets, self.stages.local(self.params))

    def _cost(self, measure: str) -> float:
        federated = self.stages.federated(self.params, self.n_rounds)
        targets, local = self._all_stages()
        if measure != "bytes":
            cost = stage_cost([local, federated, targets], measure)
            if cost is None:
                raise UserError(f"tune.cost: {measure} is not measured on this machine; take bytes or seconds")
            return cost
        fleet = read_fleet(self.trials.fleet)
        kind = PARADIGMS[self.settings.paradigm].network
        state = model_bytes(kind, len(fleet.features), training_settings(self.params).model)
        each, target = participant_traffic(state, self.n_rounds), target_traffic(state)
        cohorts = [cohort for folder in unit_folders(federated) for cohort in read_cohorts(folder)]
        moved = [
            len(cohort.participants) * (each.sent + each.received)
            + len(cohort.targets(len(fleet.node_ids))) * (target.sent + target.received)
            for cohort in cohorts
        ]
        return sum(moved) / len(moved)


_benches: OrderedDict[tuple[str, tuple[Path, ...]], ThresholdBench] = OrderedDict()


def _bench(trials: Trials, stages: Sequence[Path]) -> ThresholdBench:
    """The scores of stages in memory; the last few are kept, since trials on thresholds ask for the same ones."""
    key = (trials.fingerprint, tuple(stages))
    if key not in _benches:
        while len(_benches) >= BENCHES_KEPT:
            _benches.popitem(last=False)
        _benches[key] = ThresholdBench(read_fleet(trials.fleet), _scored(stages))
    _benches.move_to_end(key)
    return _benches[key]


def _scored(stages: Iterable[Path]) -> Iterator[ScoredNode]:
    """What is judged of them: of local training the models that transfer is compared with."""
    for stage in stages:
        for folder in unit_folders(stage):
            for one in read_scored(folder):
                if one.policy is not None or one.arm == "local":
                    yield one


def _mean(values: Mapping[int, float]) -> float:
    if not values:
        raise UserError("no judged node has an anomaly; raise tune.validation_fraction or take fewer participants")
    return math.fsum(values.values()) / len(values)
