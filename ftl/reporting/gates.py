"""Sanity gates: what makes a run's numbers doubtful, said before anyone reads them."""

from collections.abc import Iterator

import pandas as pd

from ftl.evaluation.comparison import racks_of
from ftl.evaluation.significance import bootstrap_interval
from ftl.reporting.formats import interval, number, share
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import PARADIGMS, ordered

MOST_WITH_FULL_RECALL = 0.9
CHANCE = 0.5
FEW_RACKS = 10  # a bootstrap over fewer groups gives intervals that tend to be too narrow


def warnings_of(run: RunTables) -> list[str]:
    """A sentence for each gate that a dataset, or a paradigm of it, does not pass."""
    found = []
    for dataset, protocol in run.scopes:
        summary = run.summary[(run.summary["dataset"] == dataset) & (run.summary["protocol"] == protocol)]
        results = run.results[(run.results["dataset"] == dataset) & (run.results["protocol"] == protocol)]
        found += [f"{dataset}, {protocol} protocol: {text}" for text in _few_racks(summary, run, dataset)]
        for paradigm in ordered(summary["paradigm"], PARADIGMS):
            where = f"{dataset}, {paradigm}, {protocol} protocol"
            cells = summary[summary["paradigm"] == paradigm]
            found += [f"{where}: {text}" for text in (*_full_recall(cells), *_worse_than_chance(cells))]
            random = results[(results["paradigm"] == paradigm) & (results["arm"] == "random")]
            found += [f"{where}: {text}" for text in _random_off_chance(random, run, dataset)]
    return found


def _few_racks(cells: pd.DataFrame, run: RunTables, dataset: str) -> Iterator[str]:
    """Intervals that resample a handful of racks are to be read beside the tests over nodes."""
    n_racks = len({rack for rack in run.racks().get(dataset, {}).values() if rack is not None})
    if "ci_method" in cells and (cells["ci_method"] == "racks").any() and n_racks < FEW_RACKS:
        yield (
            f"intervals resample whole racks, and there are {n_racks}: of so few they tend to be too narrow. Read them "
            "beside p (Holm)."
        )


def _full_recall(cells: pd.DataFrame) -> Iterator[str]:
    """Recall 1 nearly everywhere is what a detector has that flags everything."""
    if "share_recall_one" not in cells:
        return
    for arm in ("local", "transfer"):
        suspect = cells[(cells["arm"] == arm) & (cells["share_recall_one"] > MOST_WITH_FULL_RECALL)]
        if len(suspect):
            worst = suspect.iloc[int(suspect["share_recall_one"].argmax())]
            cells_said = f" in the worst of {len(suspect)} such cells" if len(suspect) > 1 else ""
            yield (
                f"{arm} has recall 1 on {share(worst['share_recall_one'])} of the nodes{cells_said} (mean TNR there: "
                f"{number(worst['tnr_after'])}); a threshold that flags nearly everything does that."
            )


def _worse_than_chance(cells: pd.DataFrame) -> Iterator[str]:
    local = cells.loc[cells["arm"] == "local", "auroc_after"].dropna()
    if len(local) and (local < CHANCE).any():
        yield (
            f"local models rank anomalies below normal rows (AUROC {number(local.min(), 3)} < {CHANCE:g}): gains over "
            "them say little."
        )


def _random_off_chance(runs: pd.DataFrame, run: RunTables, dataset: str) -> Iterator[str]:
    """The random scorer's mean AUROC over nodes must have 0.5 in its interval, or scores or labels are mixed up."""
    nodes = runs.groupby("node", sort=True)["auroc"].mean().dropna()
    found = bootstrap_interval(nodes.to_numpy() - CHANCE, racks_of(run.racks(), dataset, nodes.index.to_numpy()))
    if found.verdict in ("better", "worse"):
        low, high = found.low + CHANCE, found.high + CHANCE
        yield (
            f"the random scorer's AUROC is {number(nodes.mean(), 3)}, 95 % interval "
            f"{interval(low, high, 3).replace('+', '')}, which leaves out {CHANCE:g}: with few test anomalies this can "
            "be chance; otherwise scores or labels are mixed up."
        )
