"""One fold of the study of labels: participants lend theirs, targets are served with heads and combinations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftl.data.fleet import read_fleet
from ftl.experiment.progress import UnitReport
from ftl.federation.settings import FederationSettings
from ftl.models.network import initial_state
from ftl.models.state import repeat
from ftl.randomness import derive_seed
from ftl.sharing import FleetScale, QuantileReport, fleet_scale, quantile_report
from ftl.sharing.sizes import NUMBER_BYTES
from ftl.studies.alarms import Alarming, Scored
from ftl.studies.federation import train_cohorts
from ftl.studies.folds import Fold
from ftl.studies.judging import judge
from ftl.studies.labels.combination import WEIGHTS, Choice, choose_weight, mixture
from ftl.studies.labels.head import ClassSums, LinearHead, discriminant, pooled
from ftl.studies.labels.lender import Lender, counts_of, standardised
from ftl.studies.labels.lending import LabelledRows, Lending
from ftl.studies.labels.reading import LATENT, RESIDUAL, NodeReader, Reading
from ftl.studies.labels.settings import LabelStudySettings
from ftl.studies.stacks import Models, Recipe, fit_models
from ftl.studies.telemetry import NodeTelemetry

ARMS = (
    "unsupervised",
    "zero_shot",
    "latent_head",
    "federated_head",
    "average",
    "combined",
    "own_labels",
    "pooled_own",
)
_NO_LABELS = {"n_lent_rows": 0, "n_lent_anomalies": 0, "n_lent_unknown": 0, "n_lenders": 0}


@dataclass(frozen=True)
class LabelStudy:
    """The study of one fleet; called with a fold, it gives that fold's rows.

    Attributes:
        fleet: Folder of the prepared fleet.
        percentile: Of scores of normal rows, above which a row is flagged.
    """

    fleet: Path
    recipe: Recipe
    settings: LabelStudySettings
    percentile: float

    def __call__(self, fold: Fold, report: UnitReport) -> pd.DataFrame:
        lending = Lending.of(read_fleet(self.fleet), self.settings.window_minutes)
        share, shrinkage = self.settings.validation_share, self.settings.shrinkage
        labelled = {node: lending.labelled(node) for node in (*fold.participants, *fold.targets)}
        participants = [lending.participant(node, labelled[node], share) for node in fold.participants]
        targets = lending.judged.nodes(fold.targets)
        report("train", 0, 3)
        readers = self._train(fold, participants, targets, lending)
        report("lend", 1, 3)
        lenders = [
            Lender.of(reader, labelled[node], share)
            for node, reader in zip(fold.participants, readers, strict=False)  # targets' readers come after them
        ]
        cohort = Cohort.of(lenders, shrinkage, [lending.judged.fleet.racks[node] for node in fold.participants])
        report("judge", 2, 3)
        rows = []
        for target, reader in zip(targets, readers[len(participants) :], strict=True):
            own = labelled[target.node]
            for row in self._judged(target, reader, cohort, own, lending.judged.seconds_per_unit):
                rows.append({"node": lending.judged.fleet.node_ids[target.node], "from_test": lending.from_test} | row)
        report("judge", 3, 3)
        return pd.DataFrame(rows)

    def _train(
        self, fold: Fold, participants: Sequence[NodeTelemetry], targets: Sequence[NodeTelemetry], lending: Lending
    ) -> list[NodeReader]:
        """Every node's own model, and the participants' global one, in the participants' scale."""
        telemetry, nodes = lending.judged, [*participants, *targets]
        scale: FleetScale = fleet_scale([_quantiles(node) for node in participants])
        scaled = [node.scaled(node.history, scale) for node in nodes]
        initial = derive_seed(fold.seed, "initial state", "autoencoder")
        start = initial_state("autoencoder", telemetry.n_features, self.recipe.model, initial)
        federate = FederationSettings(n_rounds=self.settings.n_rounds)
        seed = derive_seed(fold.seed, "labels", fold.number)
        cohort, steps = scaled[: len(participants)], self.settings.steps_per_round
        received = train_cohorts(self.recipe, start, [cohort], federate, steps, seed)
        seeds = [derive_seed(seed, "local", node.node) for node in nodes]
        own = fit_models(self.recipe, repeat(start, len(nodes)), scaled, seeds, self.settings.local_steps)
        of_nodes, global_model = (Models(self.recipe, s, telemetry.n_features) for s in (own.state, received.states))
        half_life = telemetry.windows_of(self.settings.smoothing_minutes)
        alarming = Alarming(half_life, telemetry.window, self.percentile, 0.0)
        return [NodeReader(node, place, of_nodes, global_model, scale, alarming) for place, node in enumerate(nodes)]

    def _judged(
        self, target: NodeTelemetry, reader: NodeReader, cohort: "Cohort", own: LabelledRows, seconds_per_unit: float
    ) -> list[dict[str, Any]]:
        """A row per arm; arms whose head could not be made have none."""
        lent = Lender.of(reader, own, self.settings.validation_share)
        from_own = {kind: discriminant(sums, self.settings.shrinkage) for kind, sums in lent.all_sums.items()}
        with_own = discriminant(cohort.sums[RESIDUAL] + lent.all_sums[RESIDUAL], self.settings.shrinkage)
        scores = arm_scores(reader, cohort, from_own[RESIDUAL], with_own)
        of_own = counts_of([lent])
        labels = {"own_labels": of_own, "pooled_own": {key: n + of_own[key] for key, n in cohort.counts.items()}}
        rows = []
        for arm, scored in scores.items():
            threshold = reader.alarming.level(scored.known)
            counts = _NO_LABELS if arm in ("unsupervised", "zero_shot") else labels.get(arm, cohort.counts)
            aside = cohort.said_of_choice() if arm == "combined" else {}
            metrics = judge(target, scored.judged, threshold, seconds_per_unit)
            rows.append({"arm": arm, "threshold": threshold, **counts, **aside, **metrics})
        return rows


@dataclass(frozen=True)
class Cohort:
    """What participants have made of their labels together.

    Attributes:
        sums: Of all their labelled rows, by kind of features.
        heads: By kind of features; None where nobody has lent an anomaly.
        choice: How the residual head is put together with the unsupervised score.
        counts: Of lent labels.
        label_bytes: What a participant sends for all of it.
    """

    sums: Mapping[str, ClassSums]
    heads: Mapping[str, LinearHead | None]
    choice: Choice
    counts: Mapping[str, int]
    label_bytes: int

    @classmethod
    def of(cls, lenders: Sequence[Lender], shrinkage: float, racks: Sequence[str | None]) -> "Cohort":
        kinds = {kind: features.shape[1] for kind, features in lenders[0].parts[0].features.items()}
        sums = {kind: pooled([one.all_sums[kind] for one in lenders], width) for kind, width in kinds.items()}
        parts = [pooled([one.sums[part][RESIDUAL] for one in lenders], kinds[RESIDUAL]) for part in (0, 1)]
        choice = choose_weight(np.array([one.vote(parts, shrinkage) for one in lenders]), racks)
        heads = {kind: discriminant(of_kind, shrinkage) for kind, of_kind in sums.items()}
        sent = sum(part[RESIDUAL].n_bytes for part in lenders[0].sums) + NUMBER_BYTES * len(WEIGHTS)
        return cls(sums, heads, choice, counts_of(lenders), sent)

    def said_of_choice(self) -> dict[str, Any]:
        choice = self.choice
        return {
            "weight": choice.weight,
            "single": choice.single,
            "best_mixture": choice.best,
            "validation_gain": choice.gain,
            "validation_low": choice.interval.low,
            "validation_high": choice.interval.high,
            "n_voters": choice.n_voters,
            "label_bytes": self.label_bytes,
        }


def arm_scores(
    reader: NodeReader, cohort: Cohort, own_head: LinearHead | None, with_own: LinearHead | None
) -> dict[str, Scored]:
    """Scores of each arm on the target's known rows and on those that it is judged on, in the order of ARMS."""
    known, judged = reader.known, reader.read(reader.node.test, reader.node.test_time)

    def of_head(head: LinearHead, kind: str) -> Scored:
        return Scored(reader.head_score(head, kind, known), reader.head_score(head, kind, judged))

    heads = {
        "latent_head": (cohort.heads[LATENT], LATENT),
        "federated_head": (cohort.heads[RESIDUAL], RESIDUAL),
        "own_labels": (own_head, RESIDUAL),
        "pooled_own": (with_own, RESIDUAL),
    }
    scores = {
        "unsupervised": Scored(known.unsupervised, judged.unsupervised),
        "zero_shot": Scored(known.zero_shot, judged.zero_shot),
        **{arm: of_head(head, kind) for arm, (head, kind) in heads.items() if head is not None},
    }
    scores["combined"] = scores["unsupervised"]
    if "federated_head" in scores:
        for arm, weight in (("average", 0.5), ("combined", cohort.choice.weight)):
            scores[arm] = _mixed(known, judged, scores["federated_head"], weight)
    return {arm: scores[arm] for arm in ARMS if arm in scores}


def _mixed(known: Reading, judged: Reading, head: Scored, weight: float) -> Scored:
    of_rows = ((known, head.known), (judged, head.judged))
    return Scored(*(mixture(*standardised(known, rows, head.known, scores), weight) for rows, scores in of_rows))


def _quantiles(node: NodeTelemetry) -> QuantileReport:
    rows = node.history.astype(np.float64)
    rows[:, node.muted] = np.nan
    return quantile_report(rows)
