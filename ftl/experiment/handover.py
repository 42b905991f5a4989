"""What one training stage hands to the next: the files of a unit, and how they are read."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from ftl.models.state import StackedState

RANKING_FILE, LOCAL_FILE, LOCAL_LONG_FILE = "ranking.csv", "local.safetensors", "local_long.safetensors"
COHORTS_FILE, GLOBAL_FILE, CENTRALISED_FILE = "cohorts.json", "global.safetensors", "centralised.safetensors"
ROUNDS_FILE = "rounds.csv"


@dataclass(frozen=True)
class Cohort:
    """The participants of one federation: positions of nodes in the fleet."""

    policy: str
    n_participants: int
    draw: int
    participants: tuple[int, ...]

    def targets(self, n_nodes: int) -> list[int]:
        """All other nodes: the policy's own complement."""
        return [node for node in range(n_nodes) if node not in self.participants]


def unit_name(paradigm: str, seed: int) -> str:
    return f"{paradigm}-seed{seed}"


def read_local(folder: Path) -> StackedState:
    """The long-trained local models of a unit, one per node."""
    return load_file(folder / LOCAL_LONG_FILE)


def read_ranking(folder: Path) -> pd.DataFrame:
    """Columns node, f1 (NaN where undefined), loss: one row per node, in the fleet's order."""
    return pd.read_csv(folder / RANKING_FILE)


def read_cohorts(folder: Path) -> list[Cohort]:
    """The cohorts of a unit, in the order of their global models."""
    return [
        Cohort(one["policy"], one["n_participants"], one["draw"], tuple(one["participants"]))
        for one in json.loads((folder / COHORTS_FILE).read_text())
    ]


def read_global(folder: Path) -> StackedState:
    """The global models of a unit, one per cohort."""
    return load_file(folder / GLOBAL_FILE)


def read_centralised(folder: Path) -> StackedState:
    """The model trained on the pool of all rows, a stack of one."""
    return load_file(folder / CENTRALISED_FILE)
