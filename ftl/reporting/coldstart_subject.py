"""One dataset of a cold start: its tables cut to it, and what every caption says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ftl.reporting.formats import count

if TYPE_CHECKING:  # the study imports torch
    from ftl.studies.coldstart.tables import ColdStartTables


@dataclass(frozen=True)
class ColdSubject:
    """The cold start of a dataset under a protocol.

    Attributes:
        tables: Only of this dataset; one that the folder lacks is empty, without columns.
        racks: Of each node, where known.
    """

    dataset: str
    protocol: str
    origin: str
    tables: "ColdStartTables"
    n_features: int | None = None
    racks: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def n_nodes(self) -> int:
        """Nodes that joined."""
        for table in (self.tables.rows, self.tables.decisions):
            if len(table):
                return int(table["node"].nunique())
        return int(self.tables.summary["n_nodes"].max())

    @property
    def where(self) -> str:
        """``d1 (simulated, 20 nodes), rigorous protocol``"""
        return f"{self.dataset} ({self.origin}, {count(self.n_nodes, 'node')}), {self.protocol} protocol"

    def caption(self, what: str) -> str:
        return f"{what}. Dataset {self.where}."

    @property
    def lengths(self) -> pd.DataFrame:
        """Every length of history that was tried, shortest first: asked_hours (NaN: the whole), hours (mean real
        length), full; the whole history stands last."""
        summary = self.tables.summary
        lengths = summary.groupby(["full", "asked_hours"], dropna=False)["hours"].mean().reset_index()
        return lengths.sort_values(["full", "asked_hours"], ignore_index=True)[["asked_hours", "hours", "full"]]

    @property
    def shortest(self) -> "pd.Series[Any]":
        """The shortest length of :attr:`lengths`."""
        return self.lengths.iloc[0]

    def at(self, table: pd.DataFrame, length: "pd.Series[Any]") -> pd.DataFrame:
        """Rows of a table that belong to a length of history."""
        if table.empty:
            return table
        if "full" not in table:  # decisions: only the asked length tells
            return table[
                table["asked_hours"].isna() if length["full"] else table["asked_hours"] == length["asked_hours"]
            ]
        if length["full"]:
            return table[table["full"].astype(bool)]
        return table[
            ~table["full"].astype(bool) & np.isclose(table["asked_hours"].astype(float), length["asked_hours"])
        ]


def cold_subjects(
    tables: "ColdStartTables | None",
    fleets: Mapping[str, Mapping[str, Any]],
    racks: Mapping[str, Mapping[str, str | None]],
    unknown: str,
) -> list[ColdSubject]:
    """Every dataset and protocol of a cold start, in its order.

    Args:
        fleets: dataset -> what is known of it.
        racks: dataset -> node -> rack.
        unknown: The origin of a dataset of which it is not known.
    """
    if tables is None:
        return []
    pairs = tables.summary[["dataset", "protocol"]].drop_duplicates().astype(str).itertuples(index=False, name=None)
    found = []
    for dataset, protocol in pairs:
        card = fleets.get(dataset, {})
        cut = {of.name: _cut(getattr(tables, of.name), dataset, protocol) for of in fields(tables)}
        found.append(
            ColdSubject(
                dataset, protocol, str(card.get("origin", unknown)), replace(tables, **cut), card.get("n_features"),
                racks.get(dataset, {}),
            )
        )  # fmt: skip
    return found


def _cut(table: Any, dataset: str, protocol: str) -> Any:
    if not isinstance(table, pd.DataFrame) or "dataset" not in table:
        return table
    same = table["dataset"] == dataset
    if "protocol" in table:  # decisions have none
        same &= table["protocol"] == protocol
    return table[same].reset_index(drop=True)
