"""What the literal recipe does, in tables: thresholds, reach and decoders, on a few rows that one can check by hand."""

import math
from typing import Any

import pandas as pd
import pytest

from ftl.paper.literal import decoder_effect, reach, sum_of_squares_rule, what_thresholds_do


def row(arm: str, node: str, tp: int, fp: int, tn: int, fn: int, **others: Any) -> dict[str, Any]:
    some = tp + fn > 0
    return {
        "dataset": "d1",
        "paradigm": "unsupervised",
        "policy": None,
        "n_participants": None,
        "draw": None,
        "seed": 0,
        "arm": arm,
        "node": node,
        "role": None,
        "threshold": 0.5,
        "tp": tp,
        "fp": fp,
        "n_test_rows": tp + fp + tn + fn,
        "recall": tp / (tp + fn) if some else math.nan,
        "tnr": tn / (tn + fp),
        "f1": 2 * tp / (2 * tp + fp + fn) if some else math.nan,
        "auroc": 0.9 if some else math.nan,
        "auprc": 0.5 if some else math.nan,
        "n_train_steps": 0,
        **others,
    }


def test_silence_and_noise_are_told_apart() -> None:
    results = pd.DataFrame(
        [
            row("local", "a", 0, 0, 8, 2),  # flags nothing
            row("local", "b", 2, 8, 0, 0),  # flags everything
            row("local", "c", 0, 5, 5, 0),  # half, and no anomaly to find
            row("untrained", "a", 1, 0, 8, 1),
        ]
    )
    table = what_thresholds_do(results)
    assert table["arm"].to_list() == ["untrained", "local"]
    local = table.iloc[1]
    assert (local["n_models"], local["n_with_anomalies"]) == (3, 2)
    assert (local["flags_nothing"], local["flags_everything"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert local["rows_flagged"] == pytest.approx(0.5)
    assert local["recall"] == pytest.approx(0.5)
    assert local["tnr"] == pytest.approx(0.5)


def test_participants_do_not_count() -> None:
    results = pd.DataFrame([row("zero_shot", "a", 1, 0, 9, 0, role="target"), row("zero_shot", "b", 0, 0, 9, 1)])
    results.loc[1, "role"] = "participant"
    assert what_thresholds_do(results).iloc[0]["recall"] == 1.0


def test_the_sum_is_the_mean_times_the_features() -> None:
    scores = pd.DataFrame(
        {
            "dataset": "d1",
            "paradigm": pd.Categorical(["unsupervised"] * 4 + ["supervised"]),
            "arm": "local",
            "score": [0.01, 0.06, 0.2, 0.04, 0.9],
            "label": [0.0, 0.0, 1.0, math.nan, 1.0],
        }
    )
    table = sum_of_squares_rule(scores, {"d1": 10}, 0.5)
    assert len(table) == 1
    found = table.iloc[0]
    assert (found["mse_largest"], found["mse_normal"], found["recall"], found["tnr"]) == pytest.approx(
        (0.2, 0.035, 1.0, 0.5)
    )


def test_reach_is_steps_times_learning_rate() -> None:
    results = pd.DataFrame(
        [
            row(arm, node, 0, 0, 1, 0, n_train_steps=steps)
            for arm, steps in (("local", 10), ("local_long", 1010), ("transfer", 10))
            for node in "ab"
        ]
    )
    table = reach({"optimizer": {"learning_rate": 1e-3}}, results)
    assert dict(zip(table["stage"], table["steps"], strict=True)) == {"local": 10, "federated": 1000, "fine-tuning": 10}
    assert table["reach"].to_list() == pytest.approx([0.01, 1.0, 0.01])


def test_decoders_are_compared_on_the_same_pairs() -> None:
    target = {"role": "target", "policy": "top_n", "n_participants": 3, "draw": 0}
    anew = pd.DataFrame([row("transfer", "a", 1, 1, 8, 1, **target), row("transfer", "b", 0, 0, 9, 0, **target)])
    kept = pd.DataFrame([row("transfer", "b", 0, 0, 9, 0, **target), row("transfer", "a", 2, 0, 9, 0, **target)])
    table = decoder_effect(anew, kept)
    assert (table["n_pairs"].item(), table["f1_reinitialised"].item(), table["f1_kept"].item()) == (1, 0.5, 1.0)
