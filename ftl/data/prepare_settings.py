"""How a fleet is prepared: the section `prepare` of params.yaml."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

from ftl.data.alignment import ALIGNMENTS
from ftl.data.cleaning import MISSING_POLICIES
from ftl.data.counters import COUNTER_RULES
from ftl.data.rebasing import REBASE_RULES
from ftl.data.scaling import CONSTANTS, SCALERS, TRANSFORMS
from ftl.data.split import SPLITS
from ftl.errors import ConfigError


@dataclass(frozen=True)
class PrepareSettings:
    """The section `prepare` of params.yaml.

    Raises:
        ConfigError: If a value is unknown or out of range.
    """

    alignment: str = "intersection"
    min_node_share: float = 0.5  # of the fleet's nodes that must have a column for alignment `union` to keep it
    missing: str = "forward_fill"
    max_missing: float = 0.2  # share of the fleet's training rows above which a column is given up (not by drop_rows)
    fill_limit: int = 96  # windows over which forward_fill carries a value
    counters: str = "increase"  # columns that only grow: their increase per window, or kept as they are
    transform: str = "auto"
    rebase: str = "none"  # nodes whose rows are read as the distance to their own trailing median
    rebase_hours: float = 24.0  # how far it looks back
    drift_share: float = 0.06  # share of later train rows above the p98 of earlier ones, above which a node drifts
    scaler: str = "node_minmax"
    constant: str = "fleet_range"  # columns constant on a node's train rows: measured in the fleet's range, or muted
    clip_low: float = -4.0
    clip_high: float = 5.0
    split: str = "protocol"  # the source's own split where it has one, else what the protocol says
    test_fraction: float = 0.2
    validation_fraction: float = 0.1  # of the train part
    gap: int = 4  # rows of each node left out after the cut of a chronological split
    lend_fraction: float = 0.4  # of a node's test rows, where labels must be borrowed
    min_train_rows: int = 20
    split_seed: int = 0

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            kinds = {"int": (int,), "float": (int, float)}.get(str(setting.type), (str,))
            if isinstance(value, bool) or not isinstance(value, kinds) or value in (float("inf"), float("-inf")):
                raise ConfigError(f"prepare.{setting.name}: must be of type {setting.type} and finite; got {value!r}")
        choices: dict[str, Collection[str]] = {
            "alignment": ALIGNMENTS,
            "missing": MISSING_POLICIES,
            "counters": COUNTER_RULES,
            "transform": TRANSFORMS,
            "rebase": REBASE_RULES,
            "scaler": SCALERS,
            "constant": CONSTANTS,
            "split": ("protocol", *SPLITS),
        }
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise ConfigError(f"prepare.{key}: unknown {getattr(self, key)!r}; known: {', '.join(known)}")
        ranges = {
            "min_node_share": (0 < self.min_node_share <= 1, "in (0, 1]"),
            "max_missing": (0 <= self.max_missing < 1, "in [0, 1)"),
            "fill_limit": (self.fill_limit >= 1, "at least 1 window"),
            "rebase_hours": (self.rebase_hours > 0, "positive"),
            "drift_share": (0 < self.drift_share < 1, "in (0, 1)"),
            "clip_low": (self.clip_low <= 0, "at most 0"),
            "clip_high": (self.clip_high >= 1, "at least 1, so that train rows are not clipped"),
            "test_fraction": (0 < self.test_fraction < 1, "in (0, 1)"),
            "validation_fraction": (0 <= self.validation_fraction < 1, "in [0, 1)"),
            "gap": (self.gap >= 0, "at least 0"),
            "lend_fraction": (0 < self.lend_fraction < 1, "in (0, 1)"),
            "min_train_rows": (self.min_train_rows >= 2, "at least 2"),
        }
        for key, (holds, must) in ranges.items():
            if not holds:
                raise ConfigError(f"prepare.{key}: must be {must}; got {getattr(self, key)!r}")
