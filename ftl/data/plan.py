"""What a fleet keeps: its nodes, features and rows, decided from the surveys alone, one node in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ftl.data.alignment import Alignment, align, alignment_costs
from ftl.data.cleaning import MISSING_POLICIES
from ftl.data.indicators import indicator_features
from ftl.data.node_choice import FleetRules, NodeVerdict, count_missing, judge_node, missing_together, split_node
from ftl.data.node_workers import NodeWorkers
from ftl.data.prepare_settings import PrepareSettings
from ftl.data.split import SplitSettings, choose_split, find_cut_time
from ftl.data.survey import NodeFiles, NodeSummary
from ftl.errors import TelemetryError


@dataclass(frozen=True)
class Plan:
    """What the survey decided."""

    nodes: list[NodeSummary]
    n_rows: list[int]  # that each of them keeps
    rules: FleetRules
    cut_time: int | None
    usual_step: float  # distance of a node's rows in time, the median of the nodes
    labels_borrowed: bool
    excluded: dict[str, str]
    dropped: dict[str, str]  # feature -> why
    alignment: Alignment
    costs: dict[str, Any]

    def start(self) -> np.ndarray:
        """First row of each node and the end, shape (K+1,)."""
        return np.cumsum([0, *self.n_rows])


@dataclass
class Remaining:
    """The nodes that are still in, and why the others are not."""

    nodes: list[NodeSummary]
    excluded: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reasons: Iterable[str | None], advice: str = "bring longer or more complete tables") -> None:
        """Leave out the nodes for which there is a reason.

        Args:
            reasons: Per node, why it cannot be used; None where it can.
            advice: What helps where no node is left.

        Raises:
            TelemetryError: If no node is left.
        """
        given = list(zip(self.nodes, reasons, strict=True))
        self.excluded.update({node.node_id: reason for node, reason in given if reason})
        self.nodes = [node for node, reason in given if not reason]
        if not self.nodes:
            named = [f"{node_id}: {why}" for node_id, why in list(self.excluded.items())[:5]]
            if len(self.excluded) > len(named):
                named.append(f"and {len(self.excluded) - len(named)} more")
            raise TelemetryError(f"none of the {len(self.excluded)} nodes can be used ({'; '.join(named)}); {advice}")

    def arguments(self, *others: Any) -> list[tuple[Any, ...]]:
        """Of a function of one node's work: the node's number, and these."""
        return [(node.number, *others) for node in self.nodes]


@dataclass(frozen=True)
class MissingShares:
    """How much of the training rows is missing in the nodes' columns, under every policy."""

    after: dict[str, np.ndarray]  # per policy, (F,): share of the rows that hold some value, after filling
    silent: float  # share of the rows that hold none
    n_speaking: int  # rows that hold some value
    kept: dict[str, np.ndarray]  # per policy, (F,) bool: features that it keeps
    features: tuple[str, ...]  # F names


def plan_fleet(
    workers: NodeWorkers,
    survey: Sequence[NodeSummary],
    settings: PrepareSettings,
    protocol: str,
    window: float | None,
) -> Plan:
    """Decide which nodes, features and rows are kept, and the part of each row.

    Nodes that cannot be used go first, so that they cost the others no column; then columns, then incomplete rows, then
    the nodes that these rows left with too little.

    Args:
        workers: They share the :class:`NodeFiles`.
        survey: All nodes, in the order of the source.
        settings: The section `prepare` of params.yaml.
        protocol: rigorous or paper.
        window: Length of a telemetry window in units of time, where the source says it.

    Raises:
        TelemetryError: If nothing is left.
    """
    left = Remaining(list(survey))
    left.leave_out([_unusable(node, settings.min_train_rows) for node in survey])
    usual_step = float(np.median([node.usual_step for node in left.nodes if node.usual_step is not None] or [1.0]))
    rules, cut = _rules(workers.shared, left.nodes, settings, protocol, window or usual_step)
    left.leave_out(workers.each("splitting", split_node, left.arguments(rules)))

    present = {node.node_id: node.present() for node in left.nodes}
    alignment = align(settings.alignment, present, settings.min_node_share)
    left.leave_out([_without_features(alignment, node.node_id) for node in left.nodes])
    rules = replace(rules, features=alignment.features)

    shares = _missing_shares(workers, left, rules, settings.max_missing)
    dropped = _dropped(alignment, shares, settings, len(left.nodes))
    policies = {name: tuple(np.array(rules.features)[keep].tolist()) for name, keep in shares.kept.items()}
    rules = replace(rules, features=policies[settings.missing])
    if rules.policy.indicators:
        together = sum(workers.each("grouping", missing_together, left.arguments(rules)))
        rules = replace(rules, indicators=_indicators(rules.features, np.asarray(together), shares))

    judged = list(workers.each("planning", judge_node, left.arguments(rules, policies)))
    verdicts: list[NodeVerdict] = [verdict for verdict, _ in judged]
    left.leave_out([verdict.reason for verdict in verdicts], _advice(verdicts, shares, rules))
    verdicts = [verdict for verdict in verdicts if not verdict.reason]
    costs = {name: _sum([of_node[name] for _, of_node in judged]) for name in policies}
    for name, kept in shares.kept.items():
        costs[name]["columns_removed"] = int((~kept).sum())
    return Plan(
        nodes=left.nodes,
        n_rows=[verdict.n_rows for verdict in verdicts],
        rules=rules,
        cut_time=cut,
        usual_step=usual_step,
        labels_borrowed=not any(v.anomaly_before_test for v in verdicts) and any(v.anomaly_in_test for v in verdicts),
        excluded=left.excluded,
        dropped=dropped,
        alignment=alignment,
        costs={"alignment": alignment_costs(present, settings.min_node_share), "missing": costs},
    )


def _unusable(node: NodeSummary, min_train_rows: int) -> str | None:
    """Why a node can be told at first sight not to be usable."""
    if node.n_rows == 0:
        return "no rows"
    if node.n_rows < min_train_rows:
        return f"only {node.n_rows} rows; at least {min_train_rows} must train"
    if not node.reports.any():
        return f"none of its {len(node.features)} feature columns holds a value"
    return None


def _rules(
    files: NodeFiles, nodes: Sequence[NodeSummary], settings: PrepareSettings, protocol: str, window: float
) -> tuple[FleetRules, int | None]:
    """The rules as far as they are known before the features are, and the cut time of a chronological split."""
    split = choose_split(settings.split, protocol, [node.has_split for node in nodes])
    times = files.times(node.number for node in nodes)
    cut = find_cut_time(times, settings.test_fraction) if split == "chronological" else None
    how = SplitSettings(
        settings.test_fraction, settings.validation_fraction, settings.gap, settings.split_seed, cut_time=cut or 0
    )
    rules = FleetRules(
        split=split,
        how=how,
        alignment=settings.alignment,
        missing=settings.missing,
        window=window,
        fill_limit=settings.fill_limit,
        min_train_rows=settings.min_train_rows,
    )
    return rules, cut


def _without_features(alignment: Alignment, node_id: str) -> str | None:
    if len(alignment.imputed.get(node_id, [])) < len(alignment.features):
        return None
    return f"has none of the {len(alignment.features)} features that the fleet keeps"


def _missing_shares(workers: NodeWorkers, left: Remaining, rules: FleetRules, max_missing: float) -> MissingShares:
    missing = {name: np.zeros(len(rules.features), np.int64) for name in MISSING_POLICIES}
    looked_at = {name: np.zeros(len(rules.features), np.int64) for name in MISSING_POLICIES}
    n_training = n_speaking = 0
    for counts in workers.each("counting", count_missing, left.arguments(rules)):
        for name, (missing_rows, rows, of_node) in counts.items():
            missing[name] += missing_rows
            looked_at[name] += rows
            if name == "drop_rows":  # which fills nothing
                n_training, n_speaking = n_training + of_node, n_speaking + int(rows.max(initial=0))
    shares = {name: missing[name] / np.maximum(looked_at[name], 1) for name in MISSING_POLICIES}
    kept = {
        name: shares[name] <= max_missing if policy.gives_up_columns else np.ones(len(rules.features), bool)
        for name, policy in MISSING_POLICIES.items()
    }
    return MissingShares(shares, 1 - n_speaking / max(n_training, 1), n_speaking, kept, rules.features)


def _advice(verdicts: Sequence[NodeVerdict], shares: MissingShares, rules: FleetRules) -> str:
    """What helps where no node is left; where incomplete rows are the reason, against the column that costs them."""
    spoilers = Counter(verdict.spoiled_by for verdict in verdicts if verdict.spoiled_by)
    if not spoilers:
        return "bring longer or more complete tables"
    column = spoilers.most_common(1)[0][0]
    ways = ["prepare.missing: zero (-S prepare.missing=zero), which removes no row", f"a fleet without {column!r}"]
    share = np.floor(1000 * shares.after[rules.missing][shares.features.index(column)]) / 1000
    if share and rules.policy.gives_up_columns:
        ways.append(f"a prepare.max_missing below {share:g}, with which the column goes instead of the rows")
    return f"{column!r} costs them most rows: what helps is {'; or '.join(ways)}"


def _dropped(alignment: Alignment, shares: MissingShares, settings: PrepareSettings, n_nodes: int) -> dict[str, str]:
    """Why each column that is not kept was dropped."""
    keep, share = shares.kept[settings.missing], shares.after[settings.missing]
    if not keep.any():
        raise TelemetryError(
            f"all {len(keep)} common columns are missing in more than {settings.max_missing:.0%} of the training "
            f"rows, least {alignment.features[int(share.argmin())]!r} ({share.min():.0%}); raise prepare.max_missing"
        )
    dropped = {
        name: f"absent or empty in {len(lacking)} of {n_nodes} nodes, first {lacking[0]}"
        for name, lacking in alignment.lacking.items()
    }
    for column in np.flatnonzero(~keep):
        dropped[alignment.features[column]] = f"missing in {share[column]:.1%} of the training rows"
    return dropped


def _indicators(
    features: tuple[str, ...], together: np.ndarray, shares: MissingShares
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    found = indicator_features(features, together, shares.n_speaking, shares.silent)
    taken = [name for name in found if name in features]
    if taken:
        raise TelemetryError(f"column {taken[0]!r} has the name of an indicator of missing values; rename the column")
    return tuple((name, tuple(columns)) for name, columns in found.items())


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {what: sum(of_node[what] for of_node in counts) for what in counts[0]}
