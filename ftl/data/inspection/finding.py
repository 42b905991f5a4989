"""One thing worth saying about a fleet, and what the rules that say it look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from ftl.data.inspection.heterogeneity import NodePositions
from ftl.data.inspection.survey import Inspection

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Finding:
    """One thing worth saying about a fleet."""

    level: str  # one of LEVELS
    what: str
    where: str = ""  # the first place
    count: int = 1  # how many places
    advice: str = ""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at."""

    inspection: Inspection
    features: pd.DataFrame  # of tables.feature_table
    positions: NodePositions
    n_participants: tuple[int, ...] = ()  # of the cohorts that a run would train


Rule = Callable[[Evidence], Iterator[Finding]]
