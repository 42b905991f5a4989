"""The first screen: in three sentences what federation bought, then what the data is, what federation did, to whom it
did harm, what a simple detector does, at what cost."""

from math import nan
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.headline import overview_sentences
from ftl.evaluation.results import BASELINES
from ftl.evaluation.significance import ROUNDING
from ftl.evaluation.summary import SIGNIFICANCE_LEVEL
from ftl.reporting.blocks import Block, Bullets, Notice, Paragraph, ReportTable
from ftl.reporting.break_even_tables import break_even_rows
from ftl.reporting.cost_tables import mean_steps, rounds_of, traffic_is_known
from ftl.reporting.federation_bought import bought_sentences, verdict
from ftl.reporting.formats import UNDEFINED, count, data_size, difference, number, share
from ftl.reporting.gates import warnings_of
from ftl.reporting.harm import worst_nodes
from ftl.reporting.page import NO_BREAK
from ftl.reporting.paper_tables import transfer_cells
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import NOT_SIMPLE, PARADIGMS, POLICIES, caption, ordered

ORIGINS = {
    "simulated": "**simulated telemetry**: its numbers say how the method behaves on the simulator, not on a machine",
    "real": "**real telemetry**",
}
UNKNOWN = "telemetry of unknown origin"


def opening_blocks(run: RunTables, gains: pd.DataFrame) -> list[Block]:
    """Three sentences on each dataset, then data, verdict and the table of headline cells, with every warning above
    them."""
    warnings = warnings_of(run)
    blocks: list[Block] = [Bullets(bought_sentences(run, *scope)) for scope in run.scopes]
    blocks.append(Bullets(tuple(data_sentences(run))))
    if warnings:
        blocks.append(Notice("Read these numbers with care", tuple(warnings)))
    cells = headline_cells(run)
    verdicts = dataset_sentences(run)
    blocks.append(Bullets(tuple(verdicts)) if verdicts else Paragraph("No arm was transferred to target nodes."))
    blocks += [headline_table(run, part, gains) for _, part in cells.groupby(["dataset", "protocol"], sort=False)]
    blocks.append(Bullets(tuple(short_answers(run, cells, gains))))
    return blocks


def data_sentences(run: RunTables) -> list[str]:
    """What the data is: origin first, since simulated numbers say nothing of a machine."""
    sentences = []
    for dataset, protocol in run.scopes:
        here = run.results[(run.results["dataset"] == dataset) & (run.results["protocol"] == protocol)]
        scored = here[here["n_test_anomalies"] > 0]["node"].nunique()
        card = run.fleets.get(dataset, {})
        origin = ORIGINS.get(run.origin(dataset), UNKNOWN)
        text = f"{dataset}: {origin}. {count(here['node'].nunique(), 'node')}"
        text += f", {scored} of them with test anomalies" if scored < here["node"].nunique() else ""
        text += f", {count(int(card['n_features']), 'feature')}" if card.get("n_features") else ""
        text += f"; {count(here['seed'].nunique(), 'seed')}; {protocol} protocol."
        if card.get("labels_borrowed"):
            text += " Labels are lent from the first test rows, which are then not scored."
        sentences.append(text)
    return sentences


def dataset_sentences(run: RunTables) -> list[str]:
    """For each dataset, in how many cells transfer beat both controls (the first of its overview sentences), and in how
    many it lost against one."""
    sentences = []
    for dataset, protocol in run.scopes:
        group = run.summary[(run.summary["dataset"] == dataset) & (run.summary["protocol"] == protocol)]
        cells = transfer_cells(run, dataset, protocol)
        if len(cells):
            lost = int((cells[["verdict_vs_local", "verdict_vs_local_long"]] == "worse").any(axis=1).sum())
            aside = f" In {lost} it was worse than local or local_long." if lost else ""
            sentences.append(f"{overview_sentences(group)[0]}{holm_words(cells)}{aside}")
    return sentences


def holm_words(cells: pd.DataFrame) -> str:
    """How many of the cells that beat both controls keep their gain over local when all cells are corrected for."""
    gained = cells[(cells[["verdict_vs_local", "verdict_vs_local_long"]] == "better").all(axis=1)]
    if gained.empty or "p_holm" not in gained:
        return ""
    kept = int((gained["p_holm"] < SIGNIFICANCE_LEVEL).sum())
    which = f"{kept} of them" if kept else "none of them"
    return f" Corrected for the number of comparisons (Holm), {which} is a significant gain over local."


def headline_cells(run: RunTables) -> pd.DataFrame:
    """One transfer cell per dataset and paradigm: policy top_n, else the first; the middle N, the lower of two."""
    rows = []
    for dataset, protocol in run.scopes:
        cells = transfer_cells(run, dataset, protocol)
        for paradigm in ordered(cells["paradigm"], PARADIGMS):
            part = cells[cells["paradigm"] == paradigm]
            part = part[part["policy"] == ordered(part["policy"], POLICIES)[0]].sort_values("n_participants")
            rows.append(part.iloc[(len(part) - 1) // 2])
    return pd.DataFrame(rows, columns=run.summary.columns)


def headline_table(run: RunTables, cells: pd.DataFrame, gains: pd.DataFrame) -> ReportTable:
    dataset, protocol = str(cells["dataset"].iloc[0]), str(cells["protocol"].iloc[0])
    rows, numbers = [], []
    for _, cell in cells.iterrows():
        lost = _gains_at(gains, cell)
        best = best_baseline(run, cell, lost["node"])
        harmed = int((lost["delta_f1"] < -ROUNDING).sum())
        rows.append(
            {
                "Paradigm": cell["paradigm"],
                "Cohort": f"{cell['policy']}, N{NO_BREAK}={NO_BREAK}{cell['n_participants']}",
                "F1 before": number(cell["f1_before"]),
                "F1 after": number(cell["f1_after"]),
                "ΔF1 vs local [95 % CI]": difference(cell["delta_f1"], cell["ci_low"], cell["ci_high"]),
                "ΔF1 vs local_long [95 % CI]": difference(
                    *(cell.get(f"{name}_vs_local_long", nan) for name in ("delta_f1", "ci_low", "ci_high"))
                ),
                "Verdict": verdict(cell),
                "Harmed": f"{harmed} of {count(len(lost), 'node')}" if len(lost) else UNDEFINED,
                "AUROC of transfer": number(cell["auroc_after"], 3),
                "AUROC of the best simple baseline there": UNDEFINED
                if best is None
                else f"{best[0]} {number(best[1], 3)}",
            }
        )
        key = ["dataset", "protocol", "paradigm", "policy", "n_participants", "f1_before", "f1_after", "delta_f1"]
        key += ["ci_low", "ci_high", "delta_f1_vs_local_long", "ci_low_vs_local_long", "ci_high_vs_local_long"]
        numbers.append(
            {name: cell.get(name) for name in key}
            | {"verdict": rows[-1]["Verdict"], "n_harmed": harmed, "n_nodes": len(lost)}
            | {"auroc": cell["auroc_after"], "best_baseline": None if best is None else best[0]}
            | {"auroc_best_baseline": nan if best is None else best[1]}
        )
    what = "Transfer at the headline cohort"
    return ReportTable("headline", caption(run, what, dataset, protocol), pd.DataFrame(rows), pd.DataFrame(numbers))


def best_baseline(run: RunTables, cell: "pd.Series[Any]", nodes: "pd.Series[Any]") -> tuple[str, float] | None:
    """The simple detector of highest AUROC on the nodes on which the cell's gain stands, and that AUROC.

    Baselines stand under the unsupervised paradigm; the other paradigms are held against them too, unless their labels
    were lent, which leaves them fewer test rows.
    """
    runs = run.results[run.results["arm"].isin(set(BASELINES) - set(NOT_SIMPLE)) & run.results["node"].isin(nodes)]
    runs = runs[(runs["dataset"] == cell["dataset"]) & (runs["protocol"] == cell["protocol"])]
    own = runs[runs["paradigm"] == cell["paradigm"]]
    if own.empty and run.fleets.get(str(cell["dataset"]), {}).get("labels_borrowed") is False:
        own = runs
    means = own.groupby(["arm", "node"])["auroc"].mean().groupby("arm").mean().dropna()
    return None if means.empty else (str(means.index[int(means.argmax())]), float(means.max()))


def short_answers(run: RunTables, cells: pd.DataFrame, gains: pd.DataFrame) -> list[str]:
    """Who was harmed and what it cost, a sentence each."""
    answers = []
    for dataset, protocol in run.scopes:
        here = cells[(cells["dataset"] == dataset) & (cells["protocol"] == protocol)]
        if here.empty:
            continue
        answers.append(_harm_sentence(gains, dataset, protocol))
        answers.append(_cost_sentence(run, here.iloc[0]))
    return [answer for answer in answers if answer]


def _harm_sentence(gains: pd.DataFrame, dataset: str, protocol: str) -> str:
    own = gains[(gains["dataset"] == dataset) & (gains["protocol"] == protocol)]
    if own.empty:
        return ""
    lost = share(float((own["delta_f1"] < -ROUNDING).mean()))
    text = f"**Harmed** on {dataset}: over all cells, {lost} of the nodes' ΔF1 against local lie below 0"
    worst = worst_nodes(own, most=1)
    if len(worst):
        row = worst.iloc[int(worst["mean_delta_f1"].argmin())]
        text += f"; {row['node']} lost most ({row['paradigm']}, mean ΔF1 {number(row['mean_delta_f1'], 2, True)})"
    return f"{text}."


def _cost_sentence(run: RunTables, cell: "pd.Series[Any]") -> str:
    dataset, n = str(cell["dataset"]), int(cell["n_participants"])
    same = (run.results[["dataset", "protocol", "paradigm"]] == cell[["dataset", "protocol", "paradigm"]]).all(axis=1)
    runs = run.results[same]
    steps, parts = mean_steps(runs), []
    members = runs[(runs["role"] == "participant").fillna(False).to_numpy(dtype=bool)]
    sent = float(members["bytes_sent"].astype("float64").mean()) if traffic_is_known(run) else nan
    n_rounds = rounds_of(run, dataset)
    if n_rounds > 0 and not np.isnan(sent):
        pooled = float(runs.loc[runs["arm"] == "centralised", "bytes_sent"].astype("float64").mean())
        raw = "" if np.isnan(pooled) else f"; its raw rows are {data_size(pooled)}"
        each = data_size(sent / n_rounds)
        parts.append(f"a participant sends {data_size(sent)} in {n_rounds} rounds ({each} each{raw})")
    if not np.isnan([steps["federated"], steps["tuned"], steps["local"]]).any():
        made = {name: number(value, 0) for name, value in steps.items()}
        parts.append(f"a participant makes {made['federated']} gradient steps and a target {made['tuned']}")
        parts.append(f"where training alone takes {made['local']}")
    text = ", ".join(parts) + _break_even_words(run, cell)
    return f"**Cost** on {dataset} ({cell['paradigm']}, {cell['policy']}, N = {n}): {text}." if parts else ""


def _break_even_words(run: RunTables, cell: "pd.Series[Any]") -> str:
    """Whether the cell's federation costs less than local training, in the unit of the table of break-evens."""
    rows = break_even_rows(run)
    key = ["dataset", "protocol", "paradigm", "policy", "n_participants"]
    rows = rows[(rows[key] == cell[key]).all(axis=1) & (rows["unit"] != "energy_wh")]
    if rows.empty or np.isnan(fleet := float(rows["nodes_vs_local"].iloc[0])):
        return ""
    unit = "gradient steps" if rows["unit"].iloc[0] == "steps" else "CPU time"
    if fleet == float("inf"):
        return f"; in {unit} no size of the fleet makes federation cheaper than local training"
    return f"; in {unit} federation is cheaper than local training from {int(fleet):,} nodes on"


def _gains_at(gains: pd.DataFrame, cell: "pd.Series[Any]") -> pd.DataFrame:
    same = gains["n_participants"] == cell["n_participants"]
    for name in ("dataset", "protocol", "paradigm", "policy"):
        same &= gains[name] == cell[name]
    return gains[same.fillna(False)]
