"""What one training stage hands to the next: the files of a unit, and how they are read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ftl.models.state import StackedState

RANKING_FILE, LOCAL_FILE, LOCAL_LONG_FILE = "ranking.csv", "local.safetensors", "local_long.safetensors"
COHORTS_FILE, GLOBAL_FILE, CENTRALISED_FILE = "cohorts.json", "global.safetensors", "centralised.safetensors"
ROUNDS_FILE = "rounds.csv"
PERSONALISED_FILE = "personalised.safetensors"


@dataclass(frozen=True)
class Cohort:
    """One federation: positions of nodes in the fleet.

    Attributes:
        policy, n_participants, draw: The cohort's place in the results table. Where a policy trains several global
            models for one choice of participants (clustered), their federations have the same place, and
            ``n_participants`` counts them all; under ``all``, it is the smaller of the halves.
        participants: The nodes that train this federation's global model.
        served: The nodes that receive it; None: all that do not train it.
    """

    policy: str
    n_participants: int
    draw: int
    participants: tuple[int, ...]
    served: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if trained := set(self.participants).intersection(self.served or ()):
            raise ValueError(f"no target may train the model it receives; of {self.policy} nodes {sorted(trained)} do")

    @property
    def place(self) -> tuple[str, int, int]:
        """What federations of one choice of participants have in common."""
        return (self.policy, self.n_participants, self.draw)

    def targets(self, n_nodes: int) -> list[int]:
        """The nodes that are served: all other nodes (the policy's own complement), unless the cohort says which."""
        if self.served is not None:
            return list(self.served)
        return [node for node in range(n_nodes) if node not in self.participants]


def headline(cohorts: Sequence[Cohort]) -> list[int]:
    """The numbers of the federations whose personalised models are kept, to be looked at or put to work.

    Of policy top_n (else the first that was run), the middle number of participants (the lower of two), the first draw:
    one federation, or under clustered one per cluster. Together they have all nodes, as participants or as targets.
    """
    policies = [cohort.policy for cohort in cohorts]
    policy = "top_n" if "top_n" in policies else policies[0]
    counts = sorted({cohort.n_participants for cohort in cohorts if cohort.policy == policy})
    wanted = (policy, counts[(len(counts) - 1) // 2])
    first = next(cohort for cohort in cohorts if (cohort.policy, cohort.n_participants) == wanted)
    return [number for number, cohort in enumerate(cohorts) if cohort.place == first.place]


def unit_name(paradigm: str, seed: int) -> str:
    return f"{paradigm}-seed{seed}"


def read_local(folder: Path) -> StackedState:
    """The long-trained local models of a unit, one per node."""
    return load_file(folder / LOCAL_LONG_FILE)


def read_ranking(folder: Path) -> pd.DataFrame:
    """Columns node, f1 (NaN where undefined), loss: one row per node, in the fleet's order."""
    return pd.read_csv(folder / RANKING_FILE)


def write_cohorts(folder: Path, cohorts: Sequence[Cohort]) -> None:
    """Write the cohorts of a unit, in the order of their global models; ``served`` where it is said."""
    rows = [{name: value for name, value in vars(cohort).items() if value is not None} for cohort in cohorts]
    (folder / COHORTS_FILE).write_text(json.dumps(rows, indent=0) + "\n")


def read_cohorts(folder: Path) -> list[Cohort]:
    """The cohorts of a unit, in the order of their global models."""
    rows = json.loads((folder / COHORTS_FILE).read_text())
    return [
        Cohort(
            one["policy"],
            one["n_participants"],
            one["draw"],
            tuple(one["participants"]),
            None if one.get("served") is None else tuple(one["served"]),
        )
        for one in rows
    ]


def read_global(folder: Path) -> StackedState:
    """The global models of a unit, one per cohort."""
    return load_file(folder / GLOBAL_FILE)


def write_personalised(folder: Path, states: Mapping[str, StackedState]) -> None:
    """Keep the models that the targets of the headline cohort made, by arm; federation by federation, in the order of
    their targets."""
    save_file(
        {f"{arm}/{name}": value.contiguous() for arm, state in states.items() for name, value in state.items()},
        folder / PERSONALISED_FILE,
    )


def read_personalised(folder: Path, arm: str) -> StackedState:
    """The models of the headline cohort's targets under an arm, federation by federation, in the order of their
    targets.

    Raises:
        FileNotFoundError: If the unit kept none: only those of the first seed do.
        KeyError: If the arm was not run.
    """
    if not (folder / PERSONALISED_FILE).exists():
        raise FileNotFoundError(folder / PERSONALISED_FILE)
    with safe_open(folder / PERSONALISED_FILE, framework="pt") as file:
        # An open safetensors file has keys, and is no mapping that could be iterated over.
        names = [name for name in file.keys() if name.startswith(f"{arm}/")]  # noqa: SIM118
        if not names:
            raise KeyError(arm)
        return {name.removeprefix(f"{arm}/"): file.get_tensor(name) for name in names}


def read_centralised(folder: Path) -> StackedState:
    """The model trained on the pool of all rows, a stack of one."""
    return load_file(folder / CENTRALISED_FILE)
