"""Training loss by round: written by federated training, read by evaluation."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ftl.experiment.handover import ROUNDS_FILE
from ftl.experiment.units import unit_folders


def read_rounds(federated: Mapping[str, Path]) -> pd.DataFrame:
    """Training loss by round of every cohort, all datasets."""
    tables = [
        pd.read_csv(folder / ROUNDS_FILE).assign(dataset=dataset)
        for dataset, stage in federated.items()
        for folder in unit_folders(stage)
    ]
    return pd.concat(tables, ignore_index=True)
