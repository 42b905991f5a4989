"""What a cold start came to, in sentences: hours until alarms are usable, gains at the shortest history, and bytes."""

from collections.abc import Iterable
from math import isnan, nan

import pandas as pd

from ftl.reporting.coldstart_subject import ColdSubject
from ftl.reporting.federation_bought import BOUGHT, COST, LINEAR, LINEAR_BOUGHT, METRICS, RAW_VALUE_BYTES, beside_words
from ftl.reporting.formats import data_size, difference, number, share
from ftl.studies.coldstart.arms import ALL_ARMS, ARMS, POLICY
from ftl.studies.coldstart.words import NO_YARDSTICK, has_yardstick, hours_words, length_words

MOST_LOST = 0.005
"""By so much AUROC may the transfer policy be worse than the local model, and no more."""
WITHOUT_WEIGHTS = tuple(arm for arm, what in ARMS.items() if "weights" not in what.shares)


def cold_sentences(cold: ColdSubject) -> tuple[str, str, str]:
    """What federation bought for a node that joins, what federated PCA would have bought, and the bytes of each."""
    at = f"with {length_words(cold.shortest)} of history"
    of_policy = [_gain(cold, POLICY, "local", metric) for metric in METRICS]
    of_linear = [_gain(cold, LINEAR, "local", metric) for metric in METRICS]
    where = f"{cold.dataset} ({cold.origin}, {cold.n_nodes} nodes)"
    changed, linear = f"the policy changes {' and '.join(of_policy)}", f"it changes {' and '.join(of_linear)}"
    linear += f" against local, and {_beside(cold)}"
    return (
        f"{BOUGHT} on {where}: {federation_clause(cold)}; {at} {changed} against a node alone (local).",
        f"{LINEAR_BOUGHT} on {where}: {linear_clause(cold)}; {at} {linear}.",
        f"{COST} on {where}: {'; '.join([*_bytes(cold), _raw_bytes(cold)])}.",
    )


def federation_clause(cold: ColdSubject) -> str:
    """From when on alarms can be used: with the policy, alone, and with the best arm that shares no weights."""
    if not has_yardstick(cold.tables.usable):
        return NO_YARDSTICK
    best = best_without_weights(cold)
    told = f"{rule_words(cold)} {from_words(hours_of(cold, POLICY))} with the transfer policy, "
    told += f"{from_words(hours_of(cold, 'local'))} alone (local)"
    if best is not None:
        told += f" and {from_words(hours_of(cold, best))} with the best arm that shares no weights ({best})"
    return told


def linear_clause(cold: ColdSubject) -> str:
    """The same of federated PCA."""
    if LINEAR not in arms_of(cold):
        return f"the cold start did not try {LINEAR}"
    if not has_yardstick(cold.tables.usable):
        return "hours until alarms are usable cannot be said either"
    return f"with it a node that joins has usable alarms {from_words(hours_of(cold, LINEAR))}"


def rule_words(cold: ColdSubject) -> str:
    usable = cold.tables.usable
    if usable.empty:
        return "a node that joins has usable alarms"
    needed, allowed = usable["f1_needed"].iloc[0], usable["fpr_allowed"].iloc[0]
    return (
        f"a node that joins has usable alarms (F1 at least {number(needed)}, false-positive rate at most "
        f"{share(allowed)})"
    )


def hours_of(cold: ColdSubject, arm: str) -> float:
    """Hours until usable; NaN where an arm never is."""
    usable = cold.tables.usable
    if usable.empty:
        return nan
    found = usable.loc[usable["arm"] == arm, "hours_until_usable"]
    return float(found.iloc[0]) if len(found) else nan


def from_words(hours: float) -> str:
    return "at no length of history that was tried" if isnan(hours) else f"after {hours_words(hours)}"


def best_without_weights(cold: ColdSubject) -> str | None:
    """Of the arms that share no weights the one that is usable first, of equals that of higher F1 there."""
    usable = cold.tables.usable
    if usable.empty:
        return None
    others = usable[usable["arm"].isin(WITHOUT_WEIGHTS) & usable["hours_until_usable"].notna()]
    ranked = others.sort_values(["hours_until_usable", "f1"], ascending=[True, False], kind="stable")
    return str(ranked["arm"].iloc[0]) if len(ranked) else None


def arms_of(cold: ColdSubject) -> list[str]:
    """The arms that were tried, in their usual order."""
    return _in_order(cold.tables.summary["arm"].drop_duplicates())


def worst_sentence(cold: ColdSubject) -> str:
    """Whether the policy ever lost more AUROC against local than it may."""
    found = difference_rows(cold, POLICY, "local", "auroc").dropna(subset="delta")
    if found.empty:
        return ""
    worst = found.iloc[int(found["delta"].argmin())]
    held = "held" if worst["delta"] >= -MOST_LOST else "not held"
    return (
        f"The transfer policy must not lose more than {MOST_LOST:g} AUROC against local at any length of history: "
        f"{held}; its mean difference is lowest at {length_words(worst)}: {difference(*_three(worst), 3)}."
    )


def difference_rows(cold: ColdSubject, arm: str, against: str, metric: str) -> pd.DataFrame:
    """Rows of the table of differences, one per length of history."""
    table = cold.tables.differences
    if table.empty:
        return pd.DataFrame(columns=["full", "asked_hours", "delta", "ci_low", "ci_high", "verdict", "p_holm"])
    return table[(table["arm"] == arm) & (table["against"] == against) & (table["metric"] == metric)]


def _gain(cold: ColdSubject, arm: str, against: str, metric: str) -> str:
    """ "F1 by +0.31 [+0.17, +0.45]" """
    name, digits = METRICS[metric]
    rows = cold.at(difference_rows(cold, arm, against, metric), cold.shortest)
    if rows.empty:
        return f"{name} by an unknown amount"
    return f"{name} by {difference(*_three(rows.iloc[0]), digits)}"


def _beside(cold: ColdSubject) -> str:
    """Federated PCA against the policy; the table holds the policy against it."""
    turned, found = {"better": "worse", "worse": "better", "no difference": "no difference"}, {}
    for metric, (_, digits) in METRICS.items():
        rows = cold.at(difference_rows(cold, POLICY, LINEAR, metric), cold.shortest)
        delta, low, high = (-value for value in _three(rows.iloc[0])) if len(rows) else (nan, nan, nan)
        verdict = turned.get(str(rows["verdict"].iloc[0])) if len(rows) else None
        found[metric] = (verdict, difference(delta, high, low, digits))
    return beside_words(found, "the policy")


def _three(row: "pd.Series[float]") -> tuple[float, float, float]:
    return float(row["delta"]), float(row["ci_low"]), float(row["ci_high"])


def _bytes(cold: ColdSubject) -> list[str]:
    parts = []
    for arm, words in ((POLICY, "for the transfer policy"), (LINEAR, "for federated PCA")):
        rows = cold.tables.summary[cold.tables.summary["arm"] == arm]
        if rows.empty:
            parts.append(f"what is sent {words} is not known, since {arm} was not tried")
            continue
        sent, received = data_size(rows["participant_bytes"].mean()), data_size(rows["target_bytes"].mean())
        parts.append(f"a participant sends {sent} and a target receives {received} {words}")
    return parts


def _raw_bytes(cold: ColdSubject) -> str:
    whole = cold.tables.summary[cold.tables.summary["full"].astype(bool)]
    if not cold.n_features or whole.empty:
        return "what a node's raw rows would be is not known"
    raw = RAW_VALUE_BYTES * cold.n_features * float(whole["history_rows"].mean())
    return f"the raw rows of a node's whole history would be {data_size(raw)}"


def _in_order(arms: Iterable[str]) -> list[str]:
    found = set(arms)
    return [arm for arm in ALL_ARMS if arm in found] + sorted(found - set(ALL_ARMS))
