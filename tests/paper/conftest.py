"""A small summary whose cells are easy to know again."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from ftl.evaluation.summary import SUMMARY_COLUMNS

Cells = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def summary_of() -> Cells:
    def make(dataset: str = "d1", sizes: tuple[int, ...] = (3, 10), **others: Any) -> pd.DataFrame:
        """Cells of transfer and zero_shot for all paradigms and both policies: ΔF1 = N / 100."""
        rows = [
            {
                "dataset": dataset,
                "protocol": "paper",
                "paradigm": paradigm,
                "policy": policy,
                "n_participants": n,
                "arm": arm,
                "f1_before": 0.6 - n / 100,
                "f1_after": 0.6,
                "delta_f1": n / 100,
                "cohens_d": 0.5,
                "n_nodes": 9,
                "significant": False,
                "significant_t": True,
                "p_t": 0.01,
            }
            for paradigm in ("semi_supervised", "supervised", "unsupervised")
            for policy in ("random_n", "top_n")
            for n in sizes
            for arm in ("transfer", "zero_shot")
        ]
        local = dict.fromkeys(("policy", "n_participants")) | {"arm": "local", "delta_f1": 0.0, "n_nodes": 10}
        rows.append({**rows[0], **local})
        frame = pd.DataFrame(rows).assign(**others).reindex(columns=SUMMARY_COLUMNS)
        frame["n_participants"] = frame["n_participants"].astype("Int64")
        counts = ["n_targets", "n_nodes", "n_without_anomalies", "n_precision_undefined"]
        frame[counts] = frame[counts].fillna(0).astype("int64")
        return frame

    return make
