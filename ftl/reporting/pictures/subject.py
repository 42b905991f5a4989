"""What a picture is about: one dataset under one protocol, with the run's tables cut down to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ftl.evaluation.comparison import node_means, pair_with, target_runs
from ftl.evaluation.results import CELL_COLUMNS
from ftl.reporting.pictures.picture import Picture, png_of
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import POLICIES, ordered

ARM = "transfer"
REFERENCES = {"local": "", "local_long": "_vs_local_long"}  # arm -> ending of the columns of the difference to it
_TABLES = ("results", "summary", "rounds", "costs", "similarity", "projection", "timelines")


class Cohort(NamedTuple):
    policy: str
    n_participants: int

    def __str__(self) -> str:
        return f"{self.policy}, N = {self.n_participants}"


@dataclass(frozen=True)
class Subject:
    """A dataset under a protocol. A table that the run lacks is an empty frame, without columns."""

    dataset: str
    protocol: str
    where: str  # dataset, origin, number of nodes and protocol: how every title begins
    in_seconds: bool = False  # its time is in seconds since 1970, else in steps
    racks: Mapping[str, str | None] | None = None
    results: pd.DataFrame = field(default_factory=pd.DataFrame)
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    rounds: pd.DataFrame = field(default_factory=pd.DataFrame)
    costs: pd.DataFrame = field(default_factory=pd.DataFrame)
    similarity: pd.DataFrame = field(default_factory=pd.DataFrame)
    projection: pd.DataFrame = field(default_factory=pd.DataFrame)
    timelines: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def known_racks(self) -> dict[str, Mapping[str, str | None]] | None:
        """Racks as the comparisons of ftl.evaluation take them."""
        return None if self.racks is None else {self.dataset: self.racks}

    @cached_property
    def cohorts(self) -> dict[str, Cohort]:
        """Headline cohort of each paradigm: top_n (else the first policy) and the middle N, the lower of two."""
        return headline_cohorts(self.results)

    @cached_property
    def gains(self) -> pd.DataFrame:
        """Gains of transfer, node by node in every cell: see :func:`node_gains`."""
        return node_gains(self.results)

    @cached_property
    def headline_gains(self) -> pd.DataFrame:
        """The gains at the headline cohorts."""
        return self.at_headline(self.gains)

    @cached_property
    def local_f1(self) -> pd.DataFrame:
        """F1 of the local model, mean over seeds: paradigm, node, f1; empty where there are no results."""
        if self.results.empty:
            return pd.DataFrame({"paradigm": [], "node": [], "f1": []})
        local = self.results[self.results["arm"] == "local"]
        return local.groupby(["paradigm", "node"], sort=True)["f1"].mean().reset_index()

    @cached_property
    def shares(self) -> pd.DataFrame:
        """In which share of the seeds a node took part in the headline cohort (its first draw): paradigm, node,
        share."""
        if self.results.empty or not self.cohorts:
            return pd.DataFrame({"paradigm": [], "node": [], "share": []})
        chosen = self.at_headline(self.results.dropna(subset=["policy"]))
        chosen = chosen[chosen["draw"] == chosen.groupby("paradigm")["draw"].transform("min")]
        roles = chosen[["paradigm", "seed", "node", "role"]].drop_duplicates()
        n_seeds = roles.groupby("paradigm")["seed"].nunique()
        times = roles[roles["role"] == "participant"].groupby(["paradigm", "node"]).size().rename("times").reset_index()
        return times.assign(share=times["times"] / times["paradigm"].map(n_seeds)).drop(columns="times")

    def at_headline(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of a table (paradigm, policy, n_participants, ...) that belong to the headline cohorts."""
        if table.empty:
            return table
        wanted = pd.DataFrame(
            [(paradigm, *cohort) for paradigm, cohort in self.cohorts.items()],
            columns=["paradigm", "policy", "n_participants"],
        )
        keys = table[["paradigm", "policy", "n_participants"]].astype({"n_participants": "float64"})
        found = keys.merge(wanted.astype({"n_participants": "float64"}), how="left", indicator=True)["_merge"] == "both"
        return table[found.to_numpy()]

    def headline_words(self) -> str:
        """The headline cohorts in words, once where all paradigms share one."""
        distinct = list(dict.fromkeys(map(str, self.cohorts.values())))
        return distinct[0] if len(distinct) == 1 else "; ".join(f"{p}: {c}" for p, c in self.cohorts.items())

    def titled(self, what: str) -> str:
        return f"{self.where}: {what}"

    def picture(self, kind: str, what: str, figure: Figure, caption: str, alt: str, paradigm: str = "") -> Picture:
        """The figure as a picture of this subject."""
        title = self.titled(what)
        return Picture(kind, self.dataset, self.protocol, title, caption, png_of(figure), f"{alt} {title}.", paradigm)


def subjects(run: RunTables) -> Iterator[Subject]:
    """Every dataset and protocol of a run, with the tables cut to it (tables without a protocol: by dataset)."""
    tables = {name: getattr(run, name, None) for name in _TABLES}
    cut = {name: _by_subject(table) for name, table in tables.items() if table is not None and len(table)}
    for dataset, protocol in run.scopes:
        own = {name: parts.get((dataset, protocol), parts.get((dataset, ""))) for name, parts in cut.items()}
        yield Subject(
            dataset,
            protocol,
            run.where(dataset, protocol),
            run.fleets.get(dataset, {}).get("time_unit") == "seconds",
            run.racks().get(dataset),
            **{name: part for name, part in own.items() if part is not None},
        )


def headline_cohorts(results: pd.DataFrame) -> dict[str, Cohort]:
    """Paradigm -> cohort: policy top_n, else the first; N the middle one of those that were run, the lower of two."""
    if results.empty:
        return {}
    with_cohort = results.loc[results["policy"].notna(), ["paradigm", "policy", "n_participants"]].drop_duplicates()
    found = {}
    for paradigm, cells in with_cohort.groupby("paradigm", sort=True):
        policy = ordered(cells["policy"], POLICIES)[0]
        counts = sorted({int(n) for n in cells.loc[cells["policy"] == policy, "n_participants"]})
        found[str(paradigm)] = Cohort(policy, counts[(len(counts) - 1) // 2])
    return found


def node_gains(results: pd.DataFrame, arm: str = ARM) -> pd.DataFrame:
    """Gain in F1 of each target node: the mean over draws and seeds of F1(arm) - F1(reference, same seed).

    Returns:
        The key of the cell, node, delta_f1 (against local) and delta_f1_vs_local_long (NaN without that arm); nodes
        without a defined F1 are left out.

    Raises:
        ValueError: If a target lacks its reference, or was scored on other test rows than it.
    """
    values = [f"delta_f1{ending}" for ending in REFERENCES.values()]
    if results.empty or not (results["arm"] == arm).any():
        return pd.DataFrame(columns=[*CELL_COLUMNS, "node", *values]).astype(dict.fromkeys(values, "float64"))
    runs = target_runs(results[results["arm"] == arm])
    for reference, ending in REFERENCES.items():
        partner = results[results["arm"] == reference]
        if partner.empty and reference != "local":
            runs[f"delta_f1{ending}"] = float("nan")
            continue
        runs = pair_with(runs, partner, ["f1"], f"_{reference}")
        runs[f"delta_f1{ending}"] = runs["f1"] - runs[f"f1_{reference}"]
    nodes = node_means(runs, CELL_COLUMNS, values)
    return nodes[nodes["delta_f1"].notna()].reset_index(drop=True)


def _by_subject(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    if "protocol" in table:
        return {(str(d), str(p)): part for (d, p), part in table.groupby(["dataset", "protocol"], sort=False)}
    return {(str(dataset), ""): part for dataset, part in table.groupby("dataset", sort=False)}
