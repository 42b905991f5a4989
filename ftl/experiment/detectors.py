"""What goes into operation: of each paradigm the arm that did best before the test part, exported as a detector.

Candidates are what a node can have (its own models, the global one, its personalised ones) at the headline cohort and
the first seed. Nothing here looks at a test row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from ftl.config import section
from ftl.data.fleet import VALIDATION, Fleet, read_fleet
from ftl.detection.card import Card, NodeCard, ScalerCard, ScoreCard
from ftl.detection.detector import Detector
from ftl.detection.model_folder import FITTED
from ftl.detection.raw_rows import columns_of_node, rules_of
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import threshold_name, trailing_of
from ftl.detection.trailing import Trailing
from ftl.evaluation.ranking import average_precision
from ftl.experiment.alarms import Judged, judged, seconds_per_unit
from ftl.experiment.handover import (
    LOCAL_FILE,
    Cohort,
    headline,
    read_cohorts,
    read_global,
    read_local,
    read_personalised,
    unit_name,
)
from ftl.experiment.newcomers import newcomer_of
from ftl.experiment.scored import ScoredNode, read_scored
from ftl.experiment.scoring import Judge
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import paradigms_of
from ftl.learning.paradigms import PARADIGMS
from ftl.models.network import ModelSettings
from ftl.models.state import StackedState, put, take

CANDIDATES = ("local", "local_long", "zero_shot", "transfer", "full_fine_tune")
"""From the cheapest to make to the dearest; between equals the first is taken."""

BY_LABELS = "highest mean average precision on the labelled validation rows"
BY_LOSS = "no node has an anomaly in validation: lowest validation loss in units of the arm local's, geometric mean"
BY_DEFAULT = "no node has an anomaly in validation, and a classifier cannot be compared without: the node's own model"


def export_detectors(
    fleet: Path,
    local: Path,
    federated: Path,
    transfer: Path,
    params: Mapping[str, Any],
    out: Path,
    lineage: Mapping[str, Any] | None = None,
) -> dict[str, Path]:
    """Export the best arm of each paradigm as a model folder ``out/<paradigm>``; returns the folders.

    Args:
        fleet: The prepared fleet.
        local, federated, transfer: Folders of these stages.
        params: All parameters.
        out: ``artifacts/detectors/<dataset>`` of the pipeline, say.
        lineage: What else the card says about its making: git commit, hash of the parameters.

    Raises:
        TelemetryError: If an earlier version prepared the fleet, which did not keep how raw rows are read.
    """
    seed, folders = seeds_of(params)[0], {}
    for paradigm in paradigms_of(params):
        name = unit_name(paradigm, seed)
        choice = Choice(read_fleet(fleet), paradigm, seed, params, local / name, federated / name, transfer / name)
        folders[paradigm] = out / paradigm
        choice.detector(lineage or {}).save(folders[paradigm])
    return folders


@dataclass(frozen=True)
class Choice:
    """The candidates of one paradigm and seed on a fleet, and the one that is taken."""

    fleet: Fleet
    paradigm: str
    seed: int
    params: Mapping[str, Any]
    local: Path
    federated: Path
    transfer: Path

    @cached_property
    def detection(self) -> DetectionSettings:
        return section(self.params, "detection", DetectionSettings)

    @cached_property
    def model(self) -> ModelSettings:
        return section(self.params, "model", ModelSettings)

    @cached_property
    def cohorts(self) -> dict[int, Cohort]:
        """The headline cohort's federations by the numbers of their global models: one, or one per cluster."""
        cohorts = read_cohorts(self.federated)
        return {number: cohorts[number] for number in headline(cohorts)}

    @cached_property
    def members(self) -> dict[int, int]:
        """Node -> the number of the global model that it trained or receives."""
        n_nodes = len(self.fleet.node_ids)
        return {
            node: number
            for number, cohort in self.cohorts.items()
            for node in (*cohort.participants, *cohort.targets(n_nodes))
        }

    @property
    def participants(self) -> list[int]:
        return sorted(node for cohort in self.cohorts.values() for node in cohort.participants)

    @cached_property
    def states(self) -> dict[str, StackedState]:
        """By arm the models of all nodes; participants of the cohort have the global one, which they trained."""
        found = {"local": load_file(self.local / LOCAL_FILE), "local_long": read_local(self.local)}
        n_nodes = len(self.fleet.node_ids)
        everyone = take(read_global(self.federated), [self.members[node] for node in range(n_nodes)])
        found["zero_shot"] = everyone
        for arm in ("transfer", "full_fine_tune"):
            try:
                of_targets = read_personalised(self.transfer, arm)
            except (FileNotFoundError, KeyError):  # the arm was not run
                continue
            whole = {name: value.clone() for name, value in everyone.items()}
            targets = [node for cohort in self.cohorts.values() for node in cohort.targets(n_nodes)]
            for position, node in enumerate(targets):
                put(whole, take(of_targets, [position]), node)
            found[arm] = whole
        return found

    @cached_property
    def judged(self) -> dict[str, list[Judged]]:
        """By arm the stored scores and the threshold of every node."""
        found: dict[str, dict[int, Judged]] = {}
        for one in judged(self.fleet, lambda: (*self._of_local(), *self._of_cohort()), self.detection):
            found.setdefault(one.scored.arm, {})[one.scored.node] = one
        nodes = range(len(self.fleet.node_ids))
        for arm in ("transfer", "full_fine_tune"):
            found.get(arm, {}).update({node: found["zero_shot"][node] for node in self.participants})
        return {arm: [of_nodes[node] for node in nodes] for arm, of_nodes in found.items() if arm in self.states}

    def chosen(self) -> tuple[str, dict[str, Any]]:
        """The best arm, and how it was chosen, as the card says it."""
        values, n_nodes = self._precision()
        rule, sign = BY_LABELS, 1
        if not n_nodes and PARADIGMS[self.paradigm].network == "autoencoder":
            values, rule, sign = self._losses(), BY_LOSS, -1
        elif not n_nodes:
            return "local_long", {"rule": BY_DEFAULT, "nodes": 0, "values": {}}
        best = max(values, key=lambda arm: sign * values[arm])
        return best, {"rule": rule, "nodes": n_nodes, "values": {arm: round(value, 6) for arm, value in values.items()}}

    def detector(self, lineage: Mapping[str, Any]) -> Detector:
        """The chosen arm with all that scoring raw telemetry needs."""
        fleet, (arm, chosen_by) = self.fleet, self.chosen()
        settings, rules = fleet.report["settings"], rules_of(fleet)
        classifies = PARADIGMS[self.paradigm].network == "classifier"
        newcomer = newcomer_of(fleet, self.detection) if self.paradigm == "unsupervised" else None
        card = Card(
            dataset=fleet.name,
            origin=fleet.origin,
            protocol=fleet.protocol,
            paradigm=self.paradigm,
            arm=arm,
            seed=self.seed,
            network=PARADIGMS[self.paradigm].network,
            model=self.model,
            rules=rules,
            scaler=ScalerCard(
                settings["scaler"],
                settings["transform"],
                settings["constant"],
                fleet.signed_log,
                fleet.clip_low,
                fleet.clip_high,
            ),
            score=ScoreCard(
                "probability" if classifies else self.detection.score,
                self.detection.variance_floor,
                float(self.detection.smoothing_half_life),
                threshold_name(fleet.protocol, self.paradigm, self.detection),
                self._trailing(),
            ),
            nodes=tuple(
                NodeCard(
                    node_id,
                    columns_of_node(fleet, node_id, rules.features),
                    float(self.judged[arm][node].floor),
                    self._spacing(node, rules.window),
                    node_id in fleet.rebased,
                )
                for node, node_id in enumerate(fleet.node_ids)
            ),
            chosen_by=chosen_by,
            cohort=self._cohort_of(arm),
            lineage={"data_fingerprint": fleet.fingerprint, **lineage},
            newcomer=None if newcomer is None else newcomer.card,
        )
        state = self.states[arm]
        arrays = {name: np.array(getattr(fleet, name)) for name in ("offset", "scale", "muted")}
        return Detector(card, state, **arrays, fitted=self._fitted(arm, card), newcomer=newcomer)

    def _of_local(self) -> Iterable[ScoredNode]:
        return (scored for scored in read_scored(self.local) if scored.arm in CANDIDATES)

    def _of_cohort(self) -> Iterable[ScoredNode]:
        wanted = next(iter(self.cohorts.values())).place
        for scored in read_scored(self.transfer):
            if scored.arm in CANDIDATES and (scored.policy, scored.n_participants, scored.draw) == wanted:
                yield scored

    def _precision(self) -> tuple[dict[str, float], int]:
        """By arm the mean over nodes on their labelled validation rows, and how many nodes have an anomaly there."""
        values: dict[str, float] = {}
        of_nodes: list[float] = []
        for arm in (arm for arm in CANDIDATES if arm in self.judged):
            of_nodes = []
            for one in self.judged[arm]:
                rows = one.scored.earlier_rows
                looked_at = (self.fleet.part[rows] == VALIDATION) & (self.fleet.label[rows] >= 0)
                label = self.fleet.label[rows][looked_at]
                if 0 < int(label.sum()) < len(label):
                    of_nodes.append(average_precision(one.scored.earlier[looked_at], label))
            values[arm] = float(np.mean(of_nodes)) if of_nodes else float("nan")
        return values, len(of_nodes)

    def _losses(self) -> dict[str, float]:
        """By arm the mean loss on the validation rows of a node over that of the arm local, geometric mean of nodes."""
        nodes = range(len(self.fleet.node_ids))
        rows = [self.fleet.rows(node, VALIDATION) for node in nodes]
        judge = self._judge([])
        arms = [arm for arm in CANDIDATES if arm in self.judged]
        losses = {arm: np.array(judge.losses(self.states[arm], nodes, rows)) for arm in arms}
        usable = np.isfinite(losses["local"]) & (losses["local"] > 0)
        if not usable.any():  # no validation rows: nothing speaks for another than the cheapest
            return dict.fromkeys(arms, 1.0)
        tiny = np.finfo(float).tiny
        ratios = {arm: np.log(np.maximum(losses[arm][usable], tiny) / losses["local"][usable]) for arm in arms}
        return {arm: float(np.exp(ratio.mean())) for arm, ratio in ratios.items()}

    def _trailing(self) -> Trailing | None:
        rule = threshold_name(self.fleet.protocol, self.paradigm, self.detection)
        return trailing_of(rule, self.detection, seconds_per_unit(self.fleet))

    def _spacing(self, node: int, window: float) -> float:
        """The median distance in time of the rows that smoothing learns it from."""
        rows = self._calibration_rows("local", node)
        return float(np.median(np.diff(self.fleet.time[rows]))) if len(rows) > 1 else window

    def _cohort_of(self, arm: str) -> dict[str, Any]:
        if arm in ("local", "local_long"):
            return {}
        ids = [self.fleet.node_ids[node] for node in self.participants]
        policy, n_participants, draw = next(iter(self.cohorts.values())).place
        return {"policy": policy, "n_participants": n_participants, "draw": draw, "participants": ids}

    def _calibration_rows(self, arm: str, node: int) -> np.ndarray:
        rows = self.judged[arm][node].scored.earlier_rows
        return rows[self.fleet.label[rows] != 1]

    def _fitted(self, arm: str, card: Card) -> dict[str, np.ndarray]:
        """The arrays that the score needs, fitted on the rows that the stored scores were fitted on."""
        names = FITTED.get(card.score.name, ())
        nodes = range(len(card.nodes))
        if not names:
            return {}
        if card.network == "classifier":
            rows = [self._calibration_rows(arm, node) for node in nodes]
            return {"usual": np.stack([np.median(self.fleet.x[own], axis=0) for own in rows])}
        judge = self._judge([self.judged[arm][node].scored.earlier_rows for node in nodes])
        scores = list(judge.fitted_scores(self.states[arm], nodes, self._fleet_variances(arm, judge)))
        return {name: np.stack([getattr(score, name) for score in scores]) for name in names}

    def _fleet_variances(self, arm: str, judge: Judge) -> list[np.ndarray | None]:
        """Of each node, what the stored scores of the arm were shrunk to there."""
        nodes = range(len(self.fleet.node_ids))
        if arm in ("local", "local_long"):
            return [judge.fleet_variance(self.states[arm], nodes)] * len(nodes)
        models = self.states["zero_shot"]
        of_model = {
            number: judge.fleet_variance(take(models, cohort.participants[:1]), cohort.participants)
            for number, cohort in self.cohorts.items()
        }
        return [of_model[self.members[node]] for node in nodes]

    def _judge(self, earlier: Sequence[np.ndarray]) -> Judge:
        return Judge(self.fleet, PARADIGMS[self.paradigm], earlier, self.model, self.detection.scoring)
