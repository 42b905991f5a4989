"""The cold start in tables: hours until usable, every arm by length of history, the policy's gains, its decisions."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from ftl.evaluation.summary import SIGNIFICANCE_LEVEL
from ftl.reporting.blocks import Block, Bullets, Fold, Paragraph, ReportTable
from ftl.reporting.coldstart_subject import ColdSubject
from ftl.reporting.coldstart_words import difference_rows, from_words, rule_words, worst_sentence
from ftl.reporting.definitions import COLDSTART_DEFINITIONS
from ftl.reporting.formats import UNDEFINED, data_size, difference, number, share, whole
from ftl.studies.coldstart.arms import ARMS, POLICY
from ftl.studies.coldstart.words import NO_YARDSTICK, has_yardstick, hours_words

CHIEF = (POLICY, "zero_shot", "federated_pca", "local_rehearsed", "local_fleet", "local")
"""The arms of the page; all others stand in the CSV."""

AGAINST = ("local", "local_fleet", "local_rehearsed", "federated_pca")
POLICY_MEANS = "puts global and own detectors together, as history and divergence say"
_SHARED = {"weights": "weights", "moments": "sums for a PCA", "layers": "activations of layers", "scale": "scale",
           "calibration": "calibration"}  # fmt: skip
_METRICS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "F1": ("f1", number),
    "FPR": ("fpr", partial(number, digits=3)),
    "AUROC": ("auroc", partial(number, digits=3)),
    "AUPRC": ("auprc", partial(number, digits=3)),
    "Alarms per node-day": ("alarms_per_node_day", number),
    "Event recall": ("event_recall", number),
    "Nodes": ("n_nodes", whole),
}
_DIFFERENCES = {"f1": ("F1", 2), "fpr": ("false-positive rate", 3), "auroc": ("AUROC", 3)}
_NUMBER = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?")


def coldstart_blocks(cold: ColdSubject) -> list[Block]:
    """All tables of one dataset with the words between them."""
    known = has_yardstick(cold.tables.usable)
    usable = f"{rule_words(cold)}: {_usable_words(cold)}" if known else NO_YARDSTICK
    blocks: list[Block] = [Paragraph(f"{_capital(usable)}."), *usable_tables(cold)]
    if sentence := worst_sentence(cold):
        blocks.append(Paragraph(sentence))
    blocks += [*difference_tables(cold)]
    blocks += [Fold(table.caption, (table,)) for table in length_tables(cold)]
    blocks += [*decision_tables(cold), Fold("How these numbers are defined", (Bullets(COLDSTART_DEFINITIONS),))]
    return blocks


def usable_tables(cold: ColdSubject) -> list[ReportTable]:
    """Per arm: what it is and shares, from how many hours of history on its alarms are usable, and how good they are
    there; the soonest first, arms that never are last."""
    usable = cold.tables.usable
    if usable.empty:
        return []
    usable = usable.sort_values(["hours_until_usable", "f1"], ascending=[True, False], kind="stable", ignore_index=True)
    traffic = cold.tables.summary.groupby("arm")[["participant_bytes", "target_bytes"]].mean()
    numbers = usable.join(traffic, on="arm")
    shown = pd.DataFrame({"Arm": numbers["arm"], "What it is": [_means(arm) for arm in numbers["arm"]]})
    shown["Shared"] = [_shared(arm) for arm in numbers["arm"]]
    shown["Usable after"] = [hours_words(float(hours)) for hours in numbers["hours_until_usable"]]
    shown["F1 there"] = [number(value) for value in numbers["f1"]]
    shown["FPR there"] = [number(value, 3) for value in numbers["fpr"]]
    shown["A participant sends"] = [data_size(value) for value in numbers["participant_bytes"]]
    shown["A target receives"] = [data_size(value) for value in numbers["target_bytes"]]
    return [ReportTable("coldstart_usable", cold.caption("History until alarms are usable"), shown, numbers)]


def length_tables(cold: ColdSubject) -> list[ReportTable]:
    """The chief arms by length of history; the numbers behind it are of all arms."""
    rows = []
    for _, length in cold.lengths.iterrows():
        here = cold.at(cold.tables.summary, length).set_index("arm")
        for arm in [arm for arm in CHIEF if arm in here.index]:
            cells = {heading: show(here.loc[arm, name]) for heading, (name, show) in _METRICS.items()}
            rows.append({"History": length_of(length), "Arm": arm, **cells})
    what = "The chief arms by length of history, means over nodes (all arms: coldstart.csv)"
    return [ReportTable("coldstart", cold.caption(what), pd.DataFrame(rows), cold.tables.summary)] if rows else []


def difference_tables(cold: ColdSubject) -> list[ReportTable]:
    """The policy minus nodes alone, minus nodes that share statistics only and minus federated PCA, paired over nodes;
    one table per metric, one row per length of history."""
    tables = []
    for metric, (name, digits) in _DIFFERENCES.items():
        known = {against: difference_rows(cold, POLICY, against, metric) for against in AGAINST}
        known = {against: rows for against, rows in known.items() if len(rows)}
        if not known:
            continue
        lengths = cold.lengths
        shown = pd.DataFrame({"History": [length_of(length) for _, length in lengths.iterrows()]})
        for against, rows in known.items():
            cells = [_difference(cold.at(rows, length), digits) for _, length in lengths.iterrows()]
            shown[f"minus {against} [95 % CI]"] = cells
        better = "negative is better" if metric == "fpr" else "positive is better"
        what = f"{_capital(name)} of the transfer policy minus that of other arms ({better})"
        note = f"* p (Holm) < {SIGNIFICANCE_LEVEL:g}, over all arms and lengths that are held against the same arm"
        marked = any("*" in cell for column in list(shown)[1:] for cell in shown[column])
        tables.append(
            ReportTable(
                "coldstart_differences", cold.caption(what), shown, pd.concat(list(known.values())), note * marked
            )
        )
    return tables


def decision_tables(cold: ColdSubject) -> list[ReportTable]:
    """How often the policy decided for each action at each length of history, and its commonest reason there."""
    decisions, rows = cold.tables.decisions, []
    if decisions.empty:
        return []
    for _, length in cold.lengths.iterrows():
        here = cold.at(decisions, length)
        for action, of_action in sorted(here.groupby("action"), key=lambda part: -len(part[1])):
            reason, times = commonest_reason(of_action["reason"])
            rows.append(
                {"history": length_of(length), "asked_hours": length["asked_hours"], "action": action}
                | {"n": len(of_action), "n_decisions": len(here), "reason": reason, "n_reason": times}
            )
    numbers = pd.DataFrame(rows)
    shown = pd.DataFrame({"History": numbers["history"], "Action": numbers["action"]})
    shown["Decided"] = [
        f"{share(n / of)} ({n} of {of})" for n, of in zip(numbers["n"], numbers["n_decisions"], strict=True)
    ]
    shown["Commonest reason, in the words of one node"] = [
        f"“{reason}” ({share(times / n)})"
        for reason, times, n in zip(numbers["reason"], numbers["n_reason"], numbers["n"], strict=True)
    ]
    numbers = numbers.assign(dataset=cold.dataset, protocol=cold.protocol)
    what = "What the transfer policy decided, over nodes and seeds"
    return [ReportTable("coldstart_decisions", cold.caption(what), shown, numbers)]


def commonest_reason(reasons: "pd.Series[Any]") -> tuple[str, int]:
    """Of reasons that differ in their numbers only, the first one of the commonest kind, and how often that kind is."""
    kinds = reasons.astype(str).map(lambda reason: _NUMBER.sub("#", reason))
    counts = kinds.value_counts(sort=False)
    kind = str(counts.index[int(counts.to_numpy().argmax())])
    return str(reasons[kinds == kind].iloc[0]), int(counts[kind])


def length_of(length: "pd.Series[Any]") -> str:
    """``4 h``, ``3 d``, ``all (30 d)``"""
    return f"all ({hours_words(length['hours'])})" if length["full"] else hours_words(float(length["asked_hours"]))


def _usable_words(cold: ColdSubject) -> str:
    usable = cold.tables.usable
    if usable.empty:
        return "not known, since coldstart_usable.csv is missing"
    hours = usable.set_index("arm")["hours_until_usable"]
    return ", ".join(f"{arm} {from_words(float(hours[arm]))}" for arm in CHIEF if arm in hours.index)


def _difference(row: pd.DataFrame, digits: int) -> str:
    if row.empty:
        return UNDEFINED
    (found,) = row.to_dict("records")
    mark = "*" if pd.notna(found["p_holm"]) and found["p_holm"] < SIGNIFICANCE_LEVEL else ""
    return difference(found["delta"], found["ci_low"], found["ci_high"], digits, mark)


def _means(arm: str) -> str:
    if arm == POLICY:
        return POLICY_MEANS
    return ARMS[arm].means.partition(":")[0] if arm in ARMS else UNDEFINED


def _shared(arm: str) -> str:
    if arm == POLICY:
        return "all that other arms share"
    return ", ".join(_SHARED.get(part, part) for part in ARMS[arm].shares) or "nothing" if arm in ARMS else UNDEFINED


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
