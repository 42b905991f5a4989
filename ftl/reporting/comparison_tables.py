"""Two policies on common targets, and decoder-only against full fine-tuning: paired, with a verdict either way."""

from typing import Any

import pandas as pd

from ftl.evaluation.comparison import EQUIVALENCE_MARGIN, compare_arms, compare_policies, holm_per_protocol
from ftl.evaluation.significance import ROUNDING, ZERO_VARIANCE
from ftl.evaluation.summary import SIGNIFICANCE_LEVEL
from ftl.reporting.blocks import ReportTable
from ftl.reporting.formats import column, difference, number, p_value, whole
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import PARADIGMS, POLICIES, caption, in_order, ordered

DECODER_ONLY, FULL = "transfer", "full_fine_tune"


def policy_tables(run: RunTables) -> list[ReportTable]:
    """Every policy against the last one in the usual order (random_n, where it ran), on nodes that trained neither of
    the models they receive; one table per dataset. Holm's correction is over all of these comparisons."""
    policies = ordered(run.results["policy"], POLICIES)
    if len(policies) < 2:
        return []
    reference = "random_n" if "random_n" in policies else policies[-1]
    of_arm = run.results[run.results["arm"] == DECODER_ONLY]
    compared = [compare_policies(of_arm, p, reference, run.racks()) for p in policies if p != reference]
    if not any(map(len, compared)):
        return []
    table = pd.concat([part for part in compared if len(part)], ignore_index=True)
    table["p_holm"] = holm_per_protocol(table["protocol"], table["p_t"].to_numpy(dtype=float))
    what = f"F1 after transfer under one policy minus under {reference}, on common targets"
    apart = [policy for policy in policies if policy != reference and policy not in set(table["policy"])]
    if apart:
        what += f" ({', '.join(apart)}: no target in common with {reference} at the same N)"
    return _tables(run, table, "policies", what, "policy")


def fine_tuning_tables(run: RunTables) -> list[ReportTable]:
    """Decoder-only against full fine-tuning, same node, cohort and seed; one table per dataset."""
    if not run.results["arm"].isin([DECODER_ONLY, FULL]).any():
        return []
    table = compare_arms(run.results, DECODER_ONLY, FULL, run.racks())
    what = "F1 of decoder-only (transfer) minus full fine-tuning (full_fine_tune), paired"
    return _tables(run, table, "fine_tuning", what, "arm")


def verdict(row: "pd.Series[Any]") -> str:
    """In words, also when it is "no difference": whether none was shown, or the two were shown to be equivalent."""
    known = row["verdict"] is not None and not pd.isna(row["verdict"])
    equivalent = not pd.isna(row["p_equivalence"]) and row["p_equivalence"] < SIGNIFICANCE_LEVEL
    if not known:
        return "cannot be judged: too few nodes"
    if row["degenerate"] == ZERO_VARIANCE and abs(row["delta_f1"]) <= ROUNDING:
        return "equal on every node"
    if equivalent:
        aside = "" if row["verdict"] == "no difference" else f", though {row['verdict']}"
        return f"equivalent within ±{EQUIVALENCE_MARGIN:g}{aside}"
    if row["verdict"] == "no difference":
        return "no difference shown, nor equivalence"
    return str(row["verdict"])


def _tables(run: RunTables, compared: pd.DataFrame, name: str, what: str, subject: str) -> list[ReportTable]:
    tables = []
    for dataset, protocol in run.scopes:
        here = compared[(compared["dataset"] == dataset) & (compared["protocol"] == protocol)]
        if here.empty:
            continue
        parts = [in_order(here[here["paradigm"] == paradigm]) for paradigm in ordered(here["paradigm"], PARADIGMS)]
        part = pd.concat(parts, ignore_index=True)
        shown = pd.DataFrame({"Paradigm": part["paradigm"], "Policy": part["policy"]})
        if subject == "policy":
            shown["Against"] = part["reference"]
        shown["N"] = column(part, "n_participants", whole)
        if subject == "policy" and (part["n_reference"] != part["n_participants"]).any():
            shown["N of reference"] = column(part, "n_reference", whole)
        shown["Nodes"] = column(part, "n_nodes", whole)
        shown["ΔF1 [95 % CI]"] = [
            difference(row["delta_f1"], row["ci_low"], row["ci_high"], 3) for _, row in part.iterrows()
        ]
        shown["d_z"] = column(part, "cohens_d", lambda v: number(v, 2, True))
        shown["p (Holm)"] = column(part, "p_holm", p_value)
        shown[f"p (TOST, ±{EQUIVALENCE_MARGIN:g})"] = column(part, "p_equivalence", p_value)
        shown["Verdict"] = [verdict(row) for _, row in part.iterrows()]
        tables.append(ReportTable(name, caption(run, what, dataset, protocol), shown, part))
    return tables
