"""The cold start in tables: means by arm and length of history, paired differences, and hours until usable."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ftl.studies.coldstart.arms import ALL_ARMS, POLICY
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.tables import differences, means

ROWS_FILE = "coldstart.parquet"
SUMMARY_FILE, DIFFERENCES_FILE, USABLE_FILE = (
    "coldstart_summary.csv",
    "coldstart_differences.csv",
    "coldstart_usable.csv",
)
DECISIONS_FILE = "coldstart_decisions.csv"
FLEET = ("dataset", "protocol")
AGAINST = ("local", "local_fleet", "local_rehearsed", "federated_pca")


@dataclass(frozen=True)
class ColdStartTables:
    """What a cold start has to say.

    Attributes:
        rows: One row per seed, target, length of history and arm.
        summary: Means over nodes: dataset, protocol, full, asked_hours (NaN: the whole history), arm, hours (mean real
            length), history_rows, :data:`ftl.studies.tables.SUMMARISED`, n_nodes, participant_bytes, target_bytes.
        differences: Arms against local, local_fleet, local_rehearsed and federated_pca: paired over nodes, with
            intervals.
        usable: Per arm: hours until usable (NaN where it never is), F1 and false-positive rate there, and what had to
            be reached.
        decisions: What the transfer policy decided for every node: action and reason.
    """

    rows: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    usable: pd.DataFrame
    decisions: pd.DataFrame


def tables_of(
    rows: pd.DataFrame, settings: ColdStartSettings, racks: Mapping[str, Mapping[str, str | None]]
) -> ColdStartTables:
    """Every table of the study's rows.

    Args:
        racks: Per dataset, the rack of each node.
    """
    key = [*FLEET, "full", "asked_hours"]
    summary = means(rows, [*key, "arm"]).merge(_sizes(rows, key), on=[*key, "arm"])
    parts = []
    for (dataset, _), here in rows.groupby(list(FLEET), sort=False):
        for against in AGAINST:
            others = here[here["arm"].isin((POLICY, *([] if against != "local" else ALL_ARMS), against))]
            parts.append(differences(others, key, "arm", against, racks.get(str(dataset), {})))
    return ColdStartTables(
        rows, _ordered(summary), pd.concat(parts, ignore_index=True), usable(summary, settings), decisions(rows)
    )


def usable(summary: pd.DataFrame, settings: ColdStartSettings) -> pd.DataFrame:
    """From which length of history on an arm's alarms can be used.

    That is where its mean F1 is at least `share_of_full` of what the arm `local` has with the whole history, and its
    mean false-positive rate at most `max_fpr`, there and at every longer history that was tried. Where `local` has an
    F1 of 0 there is no yardstick, and no arm counts as usable.
    """
    found = []
    for fleet, here in summary.groupby(list(FLEET), sort=False):
        local = here[(here["arm"] == "local") & here["full"]]
        wanted = settings.share_of_full * float(local["f1"].iloc[0])
        for arm in [arm for arm in ALL_ARMS if arm in set(here["arm"])]:
            mine = here[here["arm"] == arm].sort_values("asked_hours", na_position="last")
            holds = (mine["f1"] >= wanted) & (mine["fpr"] <= settings.max_fpr) & (wanted > 0)
            from_here = holds[::-1].cummin()[::-1]  # it holds from this length on
            reached = mine["asked_hours"].fillna(mine["hours"])  # as headings name a length; rows left out shorten it
            first = mine.assign(reached=reached)[from_here].head(1)
            found.append(
                dict(zip(FLEET, fleet, strict=True))
                | {"arm": arm, "hours_until_usable": _first(first, "reached"), "f1": _first(first, "f1")}
                | {"fpr": _first(first, "fpr"), "f1_needed": wanted, "fpr_allowed": settings.max_fpr}
            )
    return pd.DataFrame(found)


def decisions(rows: pd.DataFrame) -> pd.DataFrame:
    """The transfer policy's decisions, one row per seed, node and length of history."""
    columns = [
        "dataset",
        "seed",
        "fold",
        "node",
        "asked_hours",
        "hours",
        "history_rows",
        "divergence",
        "action",
        "reason",
    ]
    return rows.loc[rows["arm"] == POLICY, columns].reset_index(drop=True)


def write_tables(out: Path, tables: ColdStartTables) -> None:
    """Write every table, each as a whole or not at all."""
    half = out / f"{ROWS_FILE}.half"
    tables.rows.to_parquet(half, index=False)
    half.replace(out / ROWS_FILE)
    for name, table in (
        (SUMMARY_FILE, tables.summary),
        (DIFFERENCES_FILE, tables.differences),
        (USABLE_FILE, tables.usable),
        (DECISIONS_FILE, tables.decisions),
    ):
        half = out / f"{name}.half"
        table.to_csv(half, index=False, lineterminator="\n")
        half.replace(out / name)


def _sizes(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    columns = ["hours", "history_rows", "n_train_steps", "participant_bytes", "target_bytes"]
    return rows.groupby([*key, "arm"], dropna=False, sort=False)[columns].mean().reset_index()


def _ordered(summary: pd.DataFrame) -> pd.DataFrame:
    place = {arm: number for number, arm in enumerate(ALL_ARMS)}
    order = summary.assign(place=summary["arm"].map(place)).sort_values([*FLEET, "hours", "place"], kind="stable")
    return order.drop(columns="place").reset_index(drop=True)


def _first(table: pd.DataFrame, column: str) -> float:
    return float(table[column].iloc[0]) if len(table) else float("nan")
