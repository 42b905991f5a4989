"""From how many targets on federation is cheaper than training on every node (paper, section 4.6)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.cost import RANKED_POLICIES


@dataclass(frozen=True)
class BreakEven:
    """From how many targets on federation costs less than training on every node.

    Attributes:
        n_targets: The smallest number from which on, for any larger fleet too, federation is cheaper; inf where there
            is none, NaN where something was not measured.
        words: The same as a sentence.
    """

    n_targets: float
    words: str


def break_even(
    federation: float,
    fine_tuning_per_target: float,
    local_per_node: float,
    n_participants: int = 0,
    ranking_per_node: float = 0.0,
) -> BreakEven:
    """The fleet size at which federated training has paid for itself.

    Federation costs ``federation + ranking * (N + n) + fine_tuning * n`` for n targets, training everywhere costs
    ``local * (N + n)``. All costs in one unit (CPU seconds, Wh).

    Args:
        federation: Of the cohort's training, all rounds and participants together.
        n_participants: N; with 0, participants are not credited with the local training that they are spared.
        ranking_per_node: Local training that every node does before participants can be chosen: under ``top_n`` that of
            the local model itself, so that against it nothing can be saved.
    """
    if not all(math.isfinite(cost) for cost in (federation, fine_tuning_per_target, local_per_node, ranking_per_node)):
        return BreakEven(math.nan, "not measured")
    saved_per_target = local_per_node - fine_tuning_per_target - ranking_per_node
    if saved_per_target <= 0:
        return BreakEven(math.inf, "never: a target spends no less than it would by training alone")
    ahead = federation + n_participants * (ranking_per_node - local_per_node)
    n_targets = max(0, math.floor(ahead / saved_per_target) + 1)
    return BreakEven(float(n_targets), f"from {n_targets} targets on")


def break_even_table(
    results: pd.DataFrame, costs: pd.DataFrame, local_epochs: int, n_rounds: int, n_local_epochs: int
) -> pd.DataFrame:
    """Break-even by dataset, protocol, paradigm, policy and N, against ``local`` and ``local_long``.

    A cohort's cost is its share of the federate stage's unit: by gradient steps, the centralised model's included, as a
    stack's seconds are shared out among its nodes. What that unit spends besides (reading the fleet, writing models) is
    in it, so that the break-even is rather too late than too early. Energy is a stage's Wh per CPU second times these
    CPU seconds.

    Args:
        results: The results table.
        costs: The table of costs (dataset, stage, paradigm, seed, cpu_seconds, energy_wh).
        local_epochs, n_rounds, n_local_epochs: Of the parameters: local.n_epochs, federate.n_rounds and so on.

    Returns:
        One row per cell, opponent (``against``) and ``unit`` (``cpu_seconds``, ``energy_wh``): federation,
        fine_tuning_per_target, local_per_node, ranking_per_node (means over seeds and draws), n_targets, words.
    """
    runs = _cohort_runs(results, costs, local_epochs, n_rounds * n_local_epochs)
    cell = ["dataset", "protocol", "paradigm", "policy", "n_participants"]
    rows = []
    for _, group in runs.groupby(cell, sort=True):
        key = group.iloc[0][cell].to_dict()
        policy, n_participants = str(key["policy"]), int(key["n_participants"])
        for unit in ("cpu_seconds", "energy_wh"):
            mean = {name: float(np.mean(group[f"{name} {unit}"])) for name in _SPENT}
            ranking = mean["local"] if policy in RANKED_POLICIES else 0.0
            for against in ("local", "local_long"):
                found = break_even(mean["federation"], mean["transfer"], mean[against], n_participants, ranking)
                rows.append(
                    {
                        **key,
                        "against": against,
                        "unit": unit,
                        "federation": mean["federation"],
                        "fine_tuning_per_target": mean["transfer"],
                        "local_per_node": mean[against],
                        "ranking_per_node": ranking,
                        "n_targets": found.n_targets,
                        "words": found.words,
                    }
                )
    return pd.DataFrame(rows, columns=[*cell, *_BREAK_EVEN_COLUMNS])


_SPENT = ("federation", "transfer", "local", "local_long")
_STAGE_OF = {"federation": "federate", "transfer": "transfer", "local": "local", "local_long": "local"}
_BREAK_EVEN_COLUMNS = (
    "against",
    "unit",
    "federation",
    "fine_tuning_per_target",
    "local_per_node",
    "ranking_per_node",
    "n_targets",
    "words",
)


def _cohort_runs(results: pd.DataFrame, costs: pd.DataFrame, local_epochs: int, n_epochs: int) -> pd.DataFrame:
    """One row per cohort: what its training, a target's fine-tuning and a node's local training cost, in both units."""
    by_unit = costs.dropna(subset=["paradigm", "seed"]).set_index(["stage", "dataset", "paradigm", "seed"])
    rows = []
    for unit, group in results.groupby(["dataset", "paradigm", "seed"], sort=True):
        local = group[group["arm"] == "local"].drop_duplicates("node").set_index("node")
        steps = local["n_train_steps"].astype(float) / local_epochs * n_epochs  # of a participant, all rounds
        alone = {arm: _mean_seconds(group, arm) for arm in ("local", "local_long")}
        cohorts = list(group[group["policy"].notna()].groupby(["protocol", "policy", "n_participants", "draw"]))
        trained = [float(steps.reindex(_participants(cohort)).sum()) for _, cohort in cohorts]
        everything = sum(trained) + float(steps.max())  # the centralised model makes the steps of the busiest node
        federate = _cost_of(by_unit, ("federate", *unit))
        for (key, cohort), made in zip(cohorts, trained, strict=True):
            seconds = {"federation": federate["cpu_seconds"] * made / everything if everything else np.nan, **alone}
            seconds["transfer"] = _mean_seconds(cohort, "transfer")
            row: dict[str, Any] = {"dataset": unit[0], "paradigm": unit[1], "seed": unit[2]}
            row |= dict(zip(("protocol", "policy", "n_participants", "draw"), key, strict=True))
            for name, spent in seconds.items():
                stage = _cost_of(by_unit, (_STAGE_OF[name], *unit))
                row[f"{name} cpu_seconds"] = spent
                row[f"{name} energy_wh"] = spent * stage["energy_wh"] / stage["cpu_seconds"]
            rows.append(row)
    names = [f"{name} {unit}" for name in _SPENT for unit in ("cpu_seconds", "energy_wh")]
    return pd.DataFrame(rows, columns=[*_COHORT_KEYS, *names])


_COHORT_KEYS = ("dataset", "paradigm", "seed", "protocol", "policy", "n_participants", "draw")


def _participants(cohort: pd.DataFrame) -> list[str]:
    return list(cohort.loc[cohort["role"] == "participant", "node"].unique())


def _mean_seconds(rows: pd.DataFrame, arm: str) -> float:
    return float(rows.loc[rows["arm"] == arm, "training_seconds"].mean())


def _cost_of(by_unit: pd.DataFrame, unit: tuple[Any, ...]) -> dict[str, float]:
    names = ("cpu_seconds", "energy_wh")
    if unit not in by_unit.index:
        return dict.fromkeys(names, math.nan)
    of_unit = by_unit.loc[[unit]]
    return {name: float(of_unit[name].sum(min_count=1)) for name in names}
