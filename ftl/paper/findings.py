"""A finding: one statement about the printed tables, checked by computing it from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

HOLDS, DOES_NOT_HOLD, CANNOT_BE_DECIDED = "holds", "does not hold", "cannot be decided"
VERDICTS = (HOLDS, DOES_NOT_HOLD, CANNOT_BE_DECIDED)


@dataclass(frozen=True)
class Finding:
    """What was checked, and what came out.

    Attributes:
        id: A short name that stays.
        where: Tables and sections of the paper.
        checked: The statement, as it would have to be true.
        verdict: Whether the tables bear it out: one of VERDICTS.
        says: What the tables say, in sentences made of the numbers.
        numbers: The numbers, in full.
        rows: The rows at fault, or that the finding is about; empty where it is about all.
    """

    id: str
    where: str
    checked: str
    verdict: str
    says: str
    numbers: Mapping[str, float | int]
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}; got {self.verdict!r}")

    def as_json(self) -> dict[str, Any]:
        """Plain values only; a number that is undefined is null."""
        return {
            **{name: getattr(self, name) for name in ("id", "where", "checked", "verdict", "says")},
            "numbers": {name: _plain(value) for name, value in self.numbers.items()},
            "rows": [{name: _plain(value) for name, value in row.items()} for row in self.rows.to_dict("records")],
        }


def verdict(holds: bool) -> str:
    return HOLDS if holds else DOES_NOT_HOLD


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value != value else value
