"""Our cells beside the paper's: the same (dataset, paradigm, policy, N), and nothing said of a cell without partner.

No verdict is computed here. Whether numbers of other telemetry, of fewer nodes or of another recipe may be held against
the paper's at all is for the reader to judge; :mod:`ftl.paper.reading` says what differs.
"""

from collections.abc import Mapping

import pandas as pd

from ftl.errors import UserError
from ftl.paper.tables import table_5, table_6, tables_2_to_4

KEY = ("dataset", "paradigm", "policy", "n_participants")
METRICS = (
    "f1_local_participants",
    "f1_federated_participants",
    "n_targets",
    *(f"{name}_{when}" for when in ("before", "after") for name in ("precision", "recall", "tnr", "f1")),
    "delta_f1",
    "significant",
    "cohens_d",
)
OURS_ONLY = (
    "significant_t",
    "p_t",
    "n_nodes",
    "ci_low",
    "ci_high",
    "delta_f1_vs_local_long",
    "f1_pooled",
    "accuracy_after",
)
PARTNERS = {"both": "both", "left_only": "paper only", "right_only": "ours only"}
PAPERS_DATASETS = ("D1", "D2")


def compare_with_paper(
    summary: pd.DataFrame, names: Mapping[str, str] | None = None, arm: str = "transfer"
) -> pd.DataFrame:
    """Every cell of Tables 2 to 4 and 6, and every cell of the summary's arm, paired where the two have the same key.

    Args:
        summary: Table as of :func:`ftl.evaluation.summary.read_summary`; a column that it lacks is empty.
        names: The paper's dataset (D1, D2) -> the summary's. Without it, datasets named d1 and d2 stand for them.
        arm: The arm that stands for "after"; the paper's is transfer.

    Returns:
        One row per cell and protocol of ours: dataset (the paper's name, or ours where it has none), ours (our name of
        it), protocol, KEY's others, partner ("both", "paper only", "ours only"), paper_X and ours_X for X in METRICS,
        our OURS_ONLY, and difference_delta_f1 = ours - paper. Our `significant` is corrected for the whole table;
        `significant_t` is the paper's single t-test. Cohen's d is printed for N = 10 only.

    Raises:
        UserError: If `names` names a dataset that the paper, or the summary, does not have.
    """
    ours = _ours(summary, names, arm)
    printed = _printed()
    protocols = list(dict.fromkeys(ours["protocol"])) or [None]
    parts = []
    for protocol in protocols:
        mine = ours[ours["protocol"] == protocol] if protocol is not None else ours
        part = printed.merge(mine.drop(columns="protocol"), on=list(KEY), how="outer", indicator="partner", sort=False)
        parts.append(part.assign(protocol=protocol, partner=part["partner"].astype(str).map(PARTNERS)))
    table = pd.concat(parts, ignore_index=True)
    table["difference_delta_f1"] = table["ours_delta_f1"] - table["paper_delta_f1"]
    columns = ["dataset", "ours", "protocol", *KEY[1:], "partner"]
    pairs = [f"{side}_{name}" for name in METRICS for side in ("paper", "ours")]
    table = table[[*columns, *pairs, *(f"ours_{name}" for name in OURS_ONLY), "difference_delta_f1"]]
    order = table["policy"].map({"top_n": 0, "random_n": 1}).fillna(2)
    return (
        table.assign(order=order)
        .sort_values(
            ["protocol", "dataset", "paradigm", "order", "policy", "n_participants"], kind="stable", ignore_index=True
        )
        .drop(columns="order")
    )


def compare_means(cells: pd.DataFrame) -> pd.DataFrame:
    """Table 5 beside our means: per (dataset, protocol, paradigm, policy) of paired cells whose ΔF1 is defined.

    Returns:
        Columns printed (Table 5), paper_mean (of the paper's rows of those N that we have too), ours_mean (of the same
        N) and n_cells (how many N that is).
    """
    keys = ["dataset", "ours", "protocol", "paradigm", "policy"]
    paired = cells[(cells["partner"] == "both") & cells["ours_delta_f1"].notna()]
    means = paired.groupby(keys, sort=False, dropna=False).agg(
        paper_mean=("paper_delta_f1", "mean"), ours_mean=("ours_delta_f1", "mean"), n_cells=("n_participants", "size")
    )
    printed = table_5().melt(["paradigm", "dataset"], var_name="policy", value_name="printed")
    printed["policy"] = printed["policy"].str.removesuffix("_delta_f1")
    table = means.reset_index().merge(printed, on=["dataset", "paradigm", "policy"], how="left")
    return table[[*keys, "printed", "paper_mean", "ours_mean", "n_cells"]]


def partner_sentences(cells: pd.DataFrame) -> list[str]:
    """How many cells stand beside each other, and which stand alone."""
    counts = cells["partner"].value_counts()
    sentences = [f"{counts.get('both', 0)} cells have a partner in the paper's Tables 2 to 4."]
    for partner, what in (
        ("paper only", "of the paper without one of ours"),
        ("ours only", "of ours without one there"),
    ):
        alone = cells[cells["partner"] == partner]
        if len(alone):
            sentences.append(f"{len(alone)} cells {what}: {'; '.join(_blocks(alone))}.")
    if not counts.get("both", 0):
        sentences.append("Name which of your datasets stands for the paper's: --as d1=NAME or --as d2=NAME.")
    return sentences


def _blocks(alone: pd.DataFrame) -> list[str]:
    """Blocks that miss the same N share a phrase."""
    blocks: dict[str, list[str]] = {}
    for key, block in alone.groupby(["dataset", "paradigm", "policy"], sort=False):
        sizes = ", ".join(str(n) for n in dict.fromkeys(block["n_participants"]))
        blocks.setdefault(sizes, []).append(" ".join(map(str, key)))
    return [
        f"N={sizes} of {', '.join(names)}" if len(names) <= 4 else f"N={sizes} in {len(names)} blocks"
        for sizes, names in blocks.items()
    ]


def _printed() -> pd.DataFrame:
    rows = tables_2_to_4().merge(table_6(), on=["paradigm", "dataset", "strategy", "n"], how="left", validate="1:1")
    rows = rows.rename(columns={"strategy": "policy", "n": "n_participants"})
    rows["n_participants"] = rows["n_participants"].astype("Int64")
    return rows[[*KEY, *METRICS]].rename(columns={name: f"paper_{name}" for name in METRICS})


def _ours(summary: pd.DataFrame, names: Mapping[str, str] | None, arm: str) -> pd.DataFrame:
    """The cells of one arm that have a cohort, under the paper's name of their dataset."""
    known = [str(name) for name in dict.fromkeys(summary["dataset"])]
    papers = _papers_names(known, names)
    cells = summary[(summary["arm"] == arm) & summary["policy"].notna()].reset_index(drop=True)
    wanted = ["protocol", "dataset", *KEY[1:], *METRICS, *OURS_ONLY]
    cells = cells.reindex(columns=list(dict.fromkeys(wanted)))
    cells.insert(0, "ours", cells["dataset"])
    cells["dataset"] = [papers.get(str(name), str(name)) for name in cells["dataset"]]
    cells["n_participants"] = cells["n_participants"].astype("Int64")
    return cells.rename(columns={name: f"ours_{name}" for name in (*METRICS, *OURS_ONLY)})


def _papers_names(known: list[str], names: Mapping[str, str] | None) -> dict[str, str]:
    """Our dataset -> the paper's."""
    if names is None:
        return {name: name.upper() for name in known if name.upper() in PAPERS_DATASETS}
    found: dict[str, str] = {}
    for paper, ours in names.items():
        if paper.upper() not in PAPERS_DATASETS:
            raise UserError(f"--as {paper}={ours}: the paper has the datasets d1 and d2; got {paper!r}")
        if ours not in known:
            raise UserError(f"--as {paper}={ours}: the results have no dataset {ours!r}; they have {', '.join(known)}")
        if ours in found:
            raise UserError(f"--as {paper}={ours}: {ours!r} stands for {found[ours].lower()} already")
        found[ours] = paper.upper()
    return found
