"""The summary as the paper's Tables 2 to 4, as a table of all arms, and as Markdown.

Every cell is text, rounded for reading; the numbers themselves stand in summary.csv.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from ftl.evaluation.results import BASELINES
from ftl.reporting.blocks import ReportTable
from ftl.reporting.formats import column, count, difference, number, p_value, share, text
from ftl.reporting.run_tables import RunTables

ARMS = ["local", "local_long", "zero_shot", "transfer", "full_fine_tune", "single_source", "centralised", *BASELINES]
PARADIGMS = ["unsupervised", "semi_supervised", "supervised"]
POLICIES = ["top_n", "label_free", "hybrid_maxmin", "facility_location", "clustered", "all", "random_n"]
NOT_SIMPLE = ("random", "untrained")  # baselines that show what is no achievement

# Heading: (summary column, digits, with sign)
_PAPER_COLUMNS: dict[str, tuple[str, int, bool]] = {
    "F1 (AE)": ("f1_local_participants", 2, False),
    "F1 (FL)": ("f1_federated_participants", 2, False),
    "Targets": ("n_targets", 0, False),
    "P before": ("precision_before", 2, False),
    "R before": ("recall_before", 2, False),
    "TNR before": ("tnr_before", 2, False),
    "F1 before": ("f1_before", 2, False),
    "P after": ("precision_after", 2, False),
    "R after": ("recall_after", 2, False),
    "TNR after": ("tnr_after", 2, False),
    "F1 after": ("f1_after", 2, False),
}
_ARM_COLUMNS: dict[str, tuple[str, int, bool]] = {
    "Nodes with anomalies": ("n_nodes", 0, False),
    "AUROC": ("auroc_after", 3, False),
    "AUROC of local there": ("auroc_before", 3, False),
    "AUPRC": ("auprc_after", 3, False),
    "F1": ("f1_after", 3, False),
    "F1 of local there": ("f1_before", 3, False),
    "FPR": ("fpr_after", 4, False),
    "Alarms per node-day": ("alarms_per_node_day_after", 2, False),
}


def tables_like_the_paper(summary: pd.DataFrame, arm: str = "transfer") -> dict[tuple[str, str], pd.DataFrame]:
    """The layout of the paper's Tables 2 to 4, by (dataset, paradigm): one row per policy and N.

    Columns: Policy, N, F1 (AE) and F1 (FL) of the participants, number of targets, P, R, TNR and F1 of the targets
    before and after, ΔF1 with ``*`` where it is significant and its 95 % interval, Cohen's d, Holm's p, the share of
    nodes that lost, and ΔF1 against ``local_long``. A column that the summary lacks is empty ("-").

    Raises:
        ValueError: If the summary holds more than one protocol; their rows do not belong in one table.
    """
    _require_one_protocol(summary)
    tables = {}
    for key, part in _by_dataset_and_paradigm(summary[summary["arm"] == arm]):
        part = in_order(part)
        table = cohort_columns(part)
        for heading, (name, digits, signed) in _PAPER_COLUMNS.items():
            table[heading] = column(part, name, partial(number, digits=digits, signed=signed))
        table["ΔF1 [95 % CI]"] = _rows(part, _delta_f1)
        table["d"] = column(part, "cohens_d", number)
        table["p (Holm)"] = column(part, "p_holm", p_value)
        table["Harmed"] = column(part, "share_harmed", share)
        table["ΔF1 vs local_long [95 % CI]"] = _rows(part, partial(_gain, metric="f1", reference="_vs_local_long"))
        tables[key] = table
    return tables


def arms_tables(summary: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Every arm and baseline side by side, by (dataset, paradigm), on the nodes that each was scored on.

    "of local there" is the local model's value on the same nodes, as targets differ from cohort to cohort.

    Raises:
        ValueError: If the summary holds more than one protocol.
    """
    _require_one_protocol(summary)
    tables = {}
    for key, part in _by_dataset_and_paradigm(summary):
        part = in_order(part)
        table = pd.DataFrame({"Arm": part["arm"].to_list()}).join(cohort_columns(part))
        for heading, (name, digits, signed) in _ARM_COLUMNS.items():
            table[heading] = column(part, name, partial(number, digits=digits, signed=signed))
        against_long = partial(_gain, metric="auroc", reference="_vs_local_long", digits=3)
        table["ΔAUROC vs local_long [95 % CI]"] = _rows(part, against_long)
        tables[key] = table
    return tables


def caption(run: RunTables, what: str, dataset: str, protocol: str, paradigm: str | None = None) -> str:
    """What stands above a table or a figure: no number is shown without its dataset, origin, nodes and protocol."""
    kind = "" if paradigm is None else f"{paradigm}, "
    return (
        f"{what}. Dataset {dataset} ({run.origin(dataset)}, {count(run.n_nodes(dataset), 'node')}), {kind}"
        f"{protocol} protocol."
    )


def markdown(table: pd.DataFrame) -> str:
    """A pipe table; columns of numbers are right-aligned."""
    headings = [_escape(str(name)) for name in table.columns]
    rows = [[_escape(str(value)) for value in row] for row in table.itertuples(index=False, name=None)]
    right = [all(cells[i][:1] in "+-.<0123456789" for cells in rows) for i in range(len(headings))]
    lines = [headings, ["---:" if r else ":---" for r in right], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _delta_f1(row: "pd.Series[Any]") -> str:
    return _gain(row, "f1", mark="*" if _true(row.get("significant")) else "")


def _gain(row: "pd.Series[Any]", metric: str, reference: str = "", digits: int = 2, mark: str = "") -> str:
    """A difference with its interval, from the summary's delta_<metric><reference>, ci_low... and ci_high..."""
    of = ("" if metric == "f1" else f"_{metric}") + reference
    delta, low, high = (row.get(name) for name in (f"delta_{metric}{reference}", f"ci_low{of}", f"ci_high{of}"))
    return difference(delta, low, high, digits, mark)


def _true(value: Any) -> bool:
    return value is not None and not pd.isna(value) and bool(value)


def cohort_columns(part: pd.DataFrame) -> pd.DataFrame:
    """Policy and N of each row, as text."""
    return pd.DataFrame(
        {"Policy": column(part, "policy", text), "N": column(part, "n_participants", lambda v: number(v, 0))}
    )


def _rows(part: pd.DataFrame, show: Callable[["pd.Series[Any]"], str]) -> list[str]:
    return [show(row) for _, row in part.iterrows()]


def _by_dataset_and_paradigm(summary: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    for dataset in summary["dataset"].drop_duplicates():
        here = summary[summary["dataset"] == dataset]
        for paradigm in ordered(here["paradigm"], PARADIGMS):
            yield (dataset, paradigm), here[here["paradigm"] == paradigm]


def ordered(values: "pd.Series[Any]", known: list[str]) -> list[str]:
    """The distinct values that occur, known ones in their usual order, then the others by name."""
    found = set(values.dropna())
    return [v for v in known if v in found] + sorted(found - set(known))


def in_order(part: pd.DataFrame) -> pd.DataFrame:
    """Rows by arm, policy and N, each in its usual order."""
    arms, policies = ordered(part["arm"], ARMS), ordered(part["policy"], POLICIES)
    ranks = pd.DataFrame(
        {
            "arm": part["arm"].map(arms.index),
            "policy": [policies.index(p) if p in policies else -1 for p in part["policy"]],
            "n": part["n_participants"].astype("Float64").fillna(-1),
        },
        index=part.index,
    )
    return part.loc[ranks.sort_values(["arm", "policy", "n"], kind="stable").index]


def _require_one_protocol(summary: pd.DataFrame) -> None:
    protocols = sorted(set(summary["protocol"])) if "protocol" in summary else []
    if len(protocols) > 1:
        raise ValueError(f"a table holds one protocol; got {', '.join(protocols)}: pass each part on its own")


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def all_arms_tables(run: RunTables) -> list[ReportTable]:
    """The tables of :func:`arms_tables` with their captions, and the summary behind them."""
    tables = []
    for dataset, protocol in run.scopes:
        cells = run.summary[(run.summary["dataset"] == dataset) & (run.summary["protocol"] == protocol)]
        for (_, paradigm), shown in arms_tables(cells).items():
            what = "All arms and baselines, averaged over nodes"
            numbers = in_order(cells[cells["paradigm"] == paradigm])
            tables.append(ReportTable("arms", caption(run, what, dataset, protocol, paradigm), shown, numbers))
    return tables
