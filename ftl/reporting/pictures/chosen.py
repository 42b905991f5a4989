"""The nodes whose scores were kept row by row, as the pictures of curves and timelines take them."""

from collections.abc import Iterator

import pandas as pd

from ftl.reporting.tables import PARADIGMS, ordered

ARMS = ("local", "transfer")  # in this order
MOST_NODES = 4


def paradigms_of(timelines: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The timelines of each paradigm, in the usual order."""
    if timelines.empty:
        return
    for paradigm in ordered(timelines["paradigm"], PARADIGMS):
        yield paradigm, timelines[timelines["paradigm"] == paradigm]


def chosen_nodes(table: pd.DataFrame) -> list[str]:
    """Its nodes in the order of the table, at most MOST_NODES."""
    return [str(node) for node in table["node"].drop_duplicates()[:MOST_NODES]]


def series_of(table: pd.DataFrame, node: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of a node by arm, local first, each in order of time; of several seeds or draws the first."""
    rows = table[table["node"] == node]
    for arm in ARMS:
        part = rows[rows["arm"] == arm]
        if part.empty:
            continue
        for name in ("seed", "draw"):
            if part[name].notna().any():
                part = part[part[name] == part[name].min()]
        yield arm, part.sort_values("time", kind="stable")


def why(table: pd.DataFrame, most: int) -> str:
    """How the nodes were chosen, for a caption."""
    more = table["node"].nunique() - most
    rest = f"; {more} more are in the table" if more > 0 else ""
    return (
        "The nodes were chosen for what they show (the most anomalous, the median, the largest loss and the largest "
        f"gain of F1), so they do not stand for the fleet{rest}."
    )
