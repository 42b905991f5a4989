"""What a cold start says in the terminal: one table per fleet, and what it comes to."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ftl.studies.coldstart.arms import ALL_ARMS, POLICY
from ftl.studies.coldstart.tables import FLEET, ColdStartTables

NO_YARDSTICK = (
    "from when on alarms are usable cannot be said, since the yardstick, a node's own autoencoder (local) with its "
    "whole history, has no F1 above 0"
)


def terminal_tables(tables: ColdStartTables) -> Iterator[Table]:
    """F1, then the false-positive rate, by arm and length of history; narrow enough for 80 columns."""
    for dataset, protocol in tables.summary[list(FLEET)].drop_duplicates().itertuples(index=False, name=None):
        here = tables.summary[(tables.summary["dataset"] == dataset) & (tables.summary["protocol"] == protocol)]
        lengths = here[["full", "asked_hours", "hours"]].groupby(["full", "asked_hours"], dropna=False).mean()
        lengths = lengths.reset_index().sort_values("asked_hours", na_position="last")
        usable = dict(zip(_keys(tables.usable), tables.usable["hours_until_usable"].astype(float), strict=True))
        for metric, name in (("f1", "F1"), ("fpr", "false-positive rate")):
            title = f"{dataset}, {protocol} protocol: {name} by length of history"
            table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
            table.collapse_padding = True
            for heading in ("arm", *(length_words(length) for _, length in lengths.iterrows()), "usable from"):
                table.add_column(heading, justify="left" if heading == "arm" else "right", no_wrap=True)
            for arm in [arm for arm in ALL_ARMS if arm in set(here["arm"])]:
                mine = here[here["arm"] == arm].sort_values("asked_hours", na_position="last")
                table.add_row(arm, *map(_number, mine[metric]), hours_words(usable[dataset, protocol, arm]))
            yield table


def sentences(tables: ColdStartTables) -> list[str]:
    """What the transfer policy bought, against nodes alone and against nodes that share statistics only."""
    found = []
    for _, usable in tables.usable.groupby(list(FLEET), sort=False):
        arms = usable.set_index("arm")["hours_until_usable"]
        dataset = usable["dataset"].iloc[0]
        best = {name: hours_words(float(arms[name])) for name in ("local", "local_rehearsed", "federated_pca", POLICY)}
        if has_yardstick(usable):
            found.append(
                f"{dataset}: usable (F1 at least {usable['f1_needed'].iloc[0]:.2f}, false-positive rate at most "
                f"{usable['fpr_allowed'].iloc[0]:g}) from: a node alone {best['local']}, with shared statistics only "
                f"{best['local_rehearsed']}, federated PCA {best['federated_pca']}, the transfer policy {best[POLICY]}."
            )
        else:
            found.append(f"{dataset}: {NO_YARDSTICK}.")
        worst = _worst_auroc(tables.differences, str(dataset))
        if worst is not None:
            found.append(
                f"{dataset}: the transfer policy's AUROC minus the local autoencoder's is lowest at "
                f"{_of_history(worst)}: {worst['delta']:+.3f}{_interval_words(worst)}."
            )
    return found


def has_yardstick(usable: pd.DataFrame) -> bool:
    """Whether there is an F1 to reach: not where the local model finds nothing with its whole history."""
    return usable.empty or bool((usable["f1_needed"] > 0).all())


def _interval_words(difference: "pd.Series[Any]") -> str:
    """The interval in brackets; nothing where too few nodes have a test anomaly for one."""
    if np.isnan(difference["ci_low"]):
        return ""
    return f" [{difference['ci_low']:+.3f}, {difference['ci_high']:+.3f}]"


def _of_history(length: "pd.Series[Any]") -> str:
    return "the full history" if length["full"] else f"{length_words(length)} of history"


def length_words(length: "pd.Series[Any]") -> str:
    """A length of history in words; its real length for the whole of it."""
    return "full" if length["full"] else hours_words(float(length["asked_hours"]))


def hours_words(hours: float) -> str:
    """Hours, or days from two of them on; `never` for NaN."""
    if np.isnan(hours):
        return "never"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} d"


def _worst_auroc(differences: pd.DataFrame, dataset: str) -> "pd.Series[Any] | None":
    mine = differences[(differences["dataset"] == dataset) & (differences["arm"] == POLICY)]
    mine = mine[(mine["against"] == "local") & (mine["metric"] == "auroc")].dropna(subset="delta")
    return None if mine.empty else mine.iloc[int(mine["delta"].argmin())]


def _keys(usable: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(usable[[*FLEET, "arm"]].itertuples(index=False, name=None))


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}".removeprefix("0")
