"""What federation bought, what federated PCA would have bought, and at what cost: three sentences for each dataset.

They come from the results table and, where there is one, the cold start; what cannot be known is said, with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.comparison import racks_of, target_runs
from ftl.evaluation.significance import NO_NODE, Comparison, compare
from ftl.reporting.cost_tables import rounds_of
from ftl.reporting.formats import count, data_size, difference
from ftl.reporting.paper_tables import ARM
from ftl.reporting.pictures.subject import Cohort, headline_cohorts
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import PARADIGMS, ordered

LINEAR = "federated_pca"
CONTROLS = ("local", "local_long")
METRICS = {"f1": ("F1", 2), "auroc": ("AUROC", 3)}  # column -> name, digits
RAW_VALUE_BYTES = 4  # a raw row would be sent as float32
BOUGHT, LINEAR_BOUGHT, COST = (
    "**What federation bought**", "**What federated PCA would have bought**", "**At what cost in bytes**"
)  # fmt: skip

Compared = Mapping[str, Comparison]
"""By column of METRICS."""


def bought_sentences(run: RunTables, dataset: str, protocol: str) -> tuple[str, str, str]:
    """What federation bought on a dataset, what federated PCA would have bought, and the bytes of each."""
    bought = Bought(run, dataset, protocol)
    return _federation(bought), _linear(bought), _cost(bought)


def all_bought_sentences(run: RunTables) -> list[str]:
    """The sentences of every dataset, in plain text."""
    return [said.replace("**", "") for scope in run.scopes for said in bought_sentences(run, *scope)]


@dataclass(frozen=True)
class Bought:
    """The headline cohort of one dataset under one protocol: of paradigm unsupervised, else of the first there is."""

    run: RunTables
    dataset: str
    protocol: str

    @cached_property
    def results(self) -> pd.DataFrame:
        of = self.run.results
        return of[(of["dataset"] == self.dataset) & (of["protocol"] == self.protocol)]

    @cached_property
    def headline(self) -> tuple[str, Cohort] | None:
        """Paradigm and cohort; None where nothing was transferred."""
        cohorts = headline_cohorts(self.results[self.results["arm"] == ARM])
        known = ordered(pd.Series(list(cohorts), dtype=object), PARADIGMS)
        return (known[0], cohorts[known[0]]) if known else None

    @cached_property
    def cohort_runs(self) -> pd.DataFrame:
        """Every row of the headline cohort, participants' too."""
        if self.headline is None:
            return self.results.iloc[:0]
        paradigm, (policy, n) = self.headline
        same = (self.results["policy"] == policy) & (self.results["n_participants"] == n)
        return self.results[(same & (self.results["paradigm"] == paradigm)).fillna(False).to_numpy(dtype=bool)]

    @cached_property
    def transfer(self) -> pd.DataFrame:
        """Targets' rows of the headline cohort."""
        return target_runs(self.cohort_runs[self.cohort_runs["arm"] == ARM])

    @cached_property
    def linear(self) -> pd.DataFrame:
        """Federated PCA on the nodes and with the seeds of those rows."""
        runs = self.results[self.results["arm"] == LINEAR]
        keys = self.transfer[["seed", "node"]].drop_duplicates()
        return runs.merge(keys, on=["seed", "node"]) if self.headline else runs

    def alone(self, arm: str) -> pd.DataFrame:
        """A control of the headline's paradigm."""
        paradigm = self.headline[0] if self.headline else None
        return self.results[(self.results["arm"] == arm) & (self.results["paradigm"] == paradigm)]

    def compared(self, runs: pd.DataFrame, reference: pd.DataFrame) -> Compared | None:
        """Runs against others on the same node, seed and test rows, paired over nodes; None where there is no pair."""
        on = ["seed", "node", "n_test_rows", "n_test_anomalies"]
        pairs = runs.merge(reference[[*on, *METRICS]].drop_duplicates(on), on=on, suffixes=("", "_reference"))
        if pairs.empty:
            return None
        names = [f"{metric}{side}" for metric in METRICS for side in ("", "_reference")]
        nodes = pairs.groupby("node", sort=True)[names].mean()
        racks = racks_of(self.run.racks(), self.dataset, nodes.index.to_numpy())
        columns = {name: nodes[name].to_numpy(np.float64) for name in names}
        return {metric: compare(columns[f"{metric}_reference"], columns[metric], racks) for metric in METRICS}

    def against_controls(self, runs: pd.DataFrame) -> dict[str, Compared | None]:
        return {control: self.compared(runs, self.alone(control)) for control in CONTROLS}

    @cached_property
    def cold_clauses(self) -> tuple[str, str]:
        """What the cold start of this dataset adds to the first two sentences, if there is one."""
        for cold in self.run.coldstarts:
            if (cold.dataset, cold.protocol) == (self.dataset, self.protocol):
                from ftl.reporting.coldstart_words import federation_clause, linear_clause  # they import torch

                return f"; {federation_clause(cold)}", f"; {linear_clause(cold)}"
        return "", ""

    def where(self, *more: str) -> str:
        """``d1 (simulated, unsupervised, 15 target nodes)``."""
        of = [self.run.origin(self.dataset), *([] if self.protocol == "rigorous" else [f"{self.protocol} protocol"])]
        return f"{self.dataset} ({', '.join([*of, *more])})"

    def mean(self, runs: pd.DataFrame, name: str) -> float:
        return float(runs[name].astype("float64").mean()) if name in runs and len(runs) else nan


def target_words(runs: pd.DataFrame) -> list[str]:
    """``15 target nodes``, and how many of them F1 and AUROC are of, where not of all."""
    nodes, judged = runs["node"].nunique(), runs.loc[runs["n_test_anomalies"] > 0, "node"].nunique()
    told = [count(nodes, "target node")]
    return told if judged == nodes else [*told, f"{judged} of them with test anomalies"]


def verdict(cell: "pd.Series[Any] | Mapping[str, Any]") -> str:
    """A gain only against both controls; the verdict is also said when it is "no difference".

    Args:
        cell: With verdict_vs_local and verdict_vs_local_long.
    """
    against = {name: cell.get(f"verdict_vs_{name}") for name in CONTROLS}
    if any(word is None or pd.isna(word) for word in against.values()):
        return "cannot be judged"
    if set(against.values()) == {"better"}:
        return "gain over both"
    if set(against.values()) == {"no difference"}:
        return "no difference shown"
    if set(against.values()) == {"worse"}:
        return "loss against both"
    words = {"better": "better than", "worse": "worse than", "no difference": "not shown to differ from"}
    told = " and ".join(f"{words[str(word)]} {name}" for name, word in against.items())
    return f"no gain: {told}"


def _federation(bought: Bought) -> str:
    where = bought.where()
    if bought.headline is None:
        told = "not known, since no arm was transferred to target nodes"
    else:
        against = bought.against_controls(bought.transfer)
        paradigm, cohort = bought.headline
        where = bought.where(paradigm, str(cohort), *target_words(bought.transfer))
        told = f"not known, since {_unscored(against)}"
        if _is_scored(against):
            controls = "against a node's own model (local) and the same trained as long (local_long)"
            told = f"{controls}, {ARM} {_changes(against)}"
    return f"{BOUGHT} on {where}: {told}{bought.cold_clauses[0]}."


def _linear(bought: Bought) -> str:
    where, aside = bought.where(), bought.cold_clauses[1]
    beside = bought.compared(bought.linear, bought.transfer)
    if not (bought.results["arm"] == LINEAR).any():
        told = f"not known, since the baseline {LINEAR} was not run"
    elif bought.headline is None:
        told = "not known, since there is no transfer to hold it against"
    elif beside is None:
        told = "not known, since it was not scored on the same nodes, seeds and test rows as transfer"
    elif not _is_scored({ARM: beside}):
        told = f"not known, since {_unscored({ARM: beside})}"
    else:
        where = bought.where(f"the same {count(bought.linear['node'].nunique(), 'node')}")
        told = f"against the same two it {_changes(bought.against_controls(bought.linear))}; {_beside(beside)}"
    return f"{LINEAR_BOUGHT} on {where}: {told}{aside}."


def _cost(bought: Bought) -> str:
    said = f"{COST} on {bought.where()}: "
    parts = [_transfer_bytes(bought), _linear_bytes(bought), _raw_bytes(bought)]
    return f"{said}{'; '.join(parts)}."


def _transfer_bytes(bought: Bought) -> str:
    if bought.headline is None:
        return "there was no transfer to pay for"
    of = bought.cohort_runs
    sent = bought.mean(of[(of["role"] == "participant").fillna(False).to_numpy(dtype=bool)], "bytes_sent")
    received = bought.mean(bought.transfer, "bytes_received")
    if isnan(sent) or isnan(received) or sent <= 0:
        return "what transfer sends is not known, since this run did not count it"
    n_rounds = rounds_of(bought.run, bought.dataset)
    rounds = f" in {count(n_rounds, 'round')}" if n_rounds else ""
    return f"a participant of transfer sends {data_size(sent)}{rounds} and a target receives {data_size(received)}"


def _linear_bytes(bought: Bought) -> str:
    runs = bought.results[bought.results["arm"] == LINEAR]
    sent, received = bought.mean(runs, "bytes_sent"), bought.mean(runs, "bytes_received")
    if runs.empty:
        return "federated PCA was not run"
    if isnan(sent) or sent <= 0:
        return "what federated PCA sends is not known"
    return f"with federated PCA a node sends {data_size(sent)} in 1 round and receives {data_size(received)}"


def _raw_bytes(bought: Bought) -> str:
    """Of the pooled arm, which sends raw rows, else as many bytes as the local models' training rows take."""
    raw = bought.mean(bought.alone("centralised"), "bytes_sent")
    if isnan(raw) or raw <= 0:
        n_features = bought.run.fleets.get(bought.dataset, {}).get("n_features") or nan
        raw = RAW_VALUE_BYTES * n_features * bought.mean(bought.alone("local"), "n_train_rows")
    if isnan(raw) or raw <= 0:
        return "what a node's raw rows would be is not known"
    return f"a node's raw rows would be {data_size(raw)}"


def _changes(against: Mapping[str, Compared | None]) -> str:
    """ "changes F1 by +0.03 [..] and +0.01 [..] (no difference shown) and AUROC by ..", in the order of CONTROLS."""
    parts = []
    for metric, (name, digits) in METRICS.items():
        told = " and ".join(_against(control, compared, metric, digits) for control, compared in against.items())
        words = short_verdict({control: _word(compared, metric) for control, compared in against.items()})
        parts.append(f"{name} by {told} ({words})")
    return f"changes {' and '.join(parts)}"


def short_verdict(against: Mapping[str, str | None]) -> str:
    """One word on both controls, which are named where only one of them was lost against."""
    words = set(against.values())
    if None in words:
        return "no verdict"
    lost = [control for control, word in against.items() if word == "worse"]
    if len(lost) == len(against):
        return "a loss against both"
    if lost:
        return f"a loss against {lost[0]}"
    if words == {"better"}:
        return "a gain over both"
    return "no difference shown" if words == {"no difference"} else "no gain over both"


def _against(control: str, compared: Compared | None, metric: str, digits: int) -> str:
    return f"an unknown amount ({control} was not run)" if compared is None else _amount(compared[metric], digits)


def _beside(beside: Compared) -> str:
    """Plainly: better or worse than transfer, or within its interval."""
    found = {
        metric: (beside[metric].interval.verdict, _amount(beside[metric], METRICS[metric][1])) for metric in METRICS
    }
    return beside_words(found, ARM)


def beside_words(found: Mapping[str, tuple[str | None, str]], other: str) -> str:
    """ "it is worse than transfer in F1 (-0.13 [..]) and within the interval of transfer in AUROC (+0.002 [..])"

    Args:
        found: By column of METRICS, verdict of federated PCA against the other, and the difference as it is shown.
        other: What it is held against.
    """
    words = {
        "better": f"better than {other}",
        "worse": f"worse than {other}",
        "no difference": f"within the interval of {other}",
    }
    parts: list[str] = []
    said = ""
    for metric, (verdict, amount) in found.items():
        word = words.get(str(verdict), f"for want of nodes not to be judged beside {other}")
        parts.append(f"{'' if word == said else word + ' '}in {METRICS[metric][0]} ({amount})")
        said = word
    return f"it is {' and '.join(parts)}"


def _amount(found: Comparison, digits: int) -> str:
    return difference(found.delta, found.interval.low, found.interval.high, digits)


def _word(compared: Compared | None, metric: str) -> str | None:
    return None if compared is None else compared[metric].interval.verdict


def _is_scored(against: Mapping[str, Compared | None]) -> bool:
    return any(compared is not None and compared["f1"].degenerate != NO_NODE for compared in against.values())


def _unscored(against: Mapping[str, Compared | None]) -> str:
    if all(compared is None for compared in against.values()):
        return f"neither {' nor '.join(against)} was run on the same test rows"
    return "no target node has an anomaly among its test rows"
