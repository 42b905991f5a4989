"""What the paper prints: its Tables 1 to 7, transcribed, and the numbers that its text states beside them.

Source: E. Farooq, M. Milano, A. Borghesi (2025), "Federated transfer learning for anomaly detection in HPC systems:
First real-world validation on a tier-0 supercomputer". Facts only; each csv file beside this module names its tables.

Words as in the rest of the package: paradigm unsupervised | semi_supervised | supervised, strategy top_n | random_n.
"Before" is a target's own local model, "after" the transferred one. Numbers have the two decimals of print.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

PRINTED = 0.005
"""Half a unit of the last digit printed: what rounding alone can move a number."""
EXACT = 1e-9
CELL = ("paradigm", "dataset", "strategy", "n")
POLICY_NAMES = {"top_n": "Top-N", "random_n": "Random-N"}


def tables_2_to_4() -> pd.DataFrame:
    """72 rows, one per (paradigm, dataset, strategy, n): F1 of the participants' local (AE) and global (FL) models, and
    precision, recall, TNR, F1 of the n_targets targets before and after, delta_f1, significant (the asterisk)."""
    return _read("tables_2_3_4.csv").copy()


def table_1() -> pd.DataFrame:
    """Columns hyperparameter, value (text as printed), applies_to."""
    return _read("table_1.csv").copy()


def table_5() -> pd.DataFrame:
    """Mean gain in F1 by paradigm and dataset: columns top_n_delta_f1, random_n_delta_f1."""
    return _read("table_5.csv").copy()


def table_6() -> pd.DataFrame:
    """Cohen's d at n = 10: columns paradigm, dataset, strategy, n, cohens_d."""
    return _read("table_6.csv").copy()


def table_7() -> pd.DataFrame:
    """Costs by stage (the index), low and high end: time_s_, memory_gb_, energy_wh_; the FedAvg round is for all."""
    return _read("table_7.csv").set_index("stage")


def claims() -> pd.DataFrame:
    """What the text states, by claim (the index): columns section, low, high; NaN where it names one end only."""
    return _read("claims.csv").set_index("claim")


def claimed(claim: str, end: str = "high") -> float:
    """One number of the text."""
    return _claims()[claim, end]


def cost(stage: str, quantity: str, end: str) -> float:
    """One end, low or high, of a printed range: cost("decoder_fine_tuning", "time_s", "low")."""
    return _costs()[stage, f"{quantity}_{end}"]


def cell_name(row: "Mapping[Any, Any] | pd.Series[Any]") -> str:
    """A row of Tables 2 to 4 in words: ``supervised D2 Random-N N=50``."""
    words = str(row["paradigm"]), str(row["dataset"]), POLICY_NAMES[str(row["strategy"])]
    return " ".join([words[0].replace("_", "-"), *words[1:], f"N={row['n']}"])


def _claims() -> dict[tuple[str, str], float]:
    return {(row["claim"], end): float(row[end]) for row in _rows("claims.csv") for end in ("low", "high")}


def _costs() -> dict[tuple[str, str], float]:
    return {
        (row["stage"], name): float(value)
        for row in _rows("table_7.csv")
        for name, value in row.items()
        if name != "stage"
    }


def _rows(name: str) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in _read(name).to_dict("records")]


@cache
def _read(name: str) -> pd.DataFrame:
    with (files(__package__) / name).open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")
