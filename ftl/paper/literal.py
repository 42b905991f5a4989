"""What the paper's recipe does when it is carried out word for word: tables from the results of a run of it.

Thresholds that flag nothing or everything, how far a learning rate can carry a weight, and what a decoder made anew
costs. Everything is computed from the results table, the summary and the dumped scores of one run.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

MODEL = ["dataset", "paradigm", "arm"]
ARMS = ("untrained", "local", "local_long", "zero_shot", "transfer", "full_fine_tune", "single_source", "centralised")


def what_thresholds_do(results: pd.DataFrame) -> pd.DataFrame:
    """How the thresholds divide the test rows, by (dataset, paradigm, arm); participants' rows are left out.

    Returns:
        n_models (node and cohort), flags_nothing and flags_everything (shares of them), rows_flagged (mean share of a
        node's test rows), threshold (median), and over models with test anomalies n_with_anomalies and the means of
        recall, f1, auroc, auprc; tnr is over all. Arms in the order of ARMS, others after them.
    """
    rows = results[(results["role"] != "participant").to_numpy(dtype=bool)].copy()
    rows["rows_flagged"] = (rows["tp"] + rows["fp"]) / rows["n_test_rows"]
    rows["flags_nothing"] = (rows["rows_flagged"] == 0).astype(float)
    rows["flags_everything"] = (rows["rows_flagged"] == 1).astype(float)
    groups = rows.groupby(MODEL, sort=True)
    shares = ["flags_nothing", "flags_everything", "rows_flagged", "recall", "tnr", "f1", "auroc", "auprc"]
    table = groups[shares].mean()
    table.insert(0, "n_models", groups.size())
    table.insert(1, "n_with_anomalies", groups["f1"].count())
    table.insert(2, "threshold", groups["threshold"].median())
    return _arms_in_order(table.reset_index())


def sum_of_squares_rule(scores: pd.DataFrame, n_features: Mapping[str, int], threshold: float) -> pd.DataFrame:
    """The same threshold on the sum, not the mean, of squared errors: the mean times the number of features.

    Args:
        scores: Dumped scores of a run with score mse, columns as of scores.parquet; rows without label are left out.
        n_features: Number of features by dataset.
        threshold: The paper's 0.5.

    Returns:
        By (dataset, paradigm, arm), reconstructing paradigms only: mse_normal (median over normal rows), mse_largest,
        and recall and tnr of sum > threshold over all rows of all nodes.
    """
    known = scores[(scores["paradigm"] != "supervised") & scores["label"].notna() & scores["arm"].isin(ARMS)]
    known = known.astype(dict.fromkeys(MODEL, "str"))
    total = known["score"] * known["dataset"].map(dict(n_features))
    flagged, anomalous = total > threshold, known["label"] == 1
    table = known[MODEL].assign(
        score=known["score"],
        mse_normal=known["score"].where(~anomalous),
        recall=flagged.astype(float).where(anomalous),
        tnr=(~flagged).astype(float).where(~anomalous),
    )
    columns = {"score": "max", "mse_normal": "median", "recall": "mean", "tnr": "mean"}
    found = table.groupby(MODEL, sort=True).agg(columns).rename(columns={"score": "mse_largest"})
    return _arms_in_order(found.reset_index())


def reach(params: Mapping[str, Any], results: pd.DataFrame) -> pd.DataFrame:
    """How far RMSprop can carry a weight: about the learning rate per step, whatever the gradient's size.

    Returns:
        By (dataset, stage): steps (mean over nodes) and reach = steps x learning rate, of the local training, of the
        federated training of one participant (the steps of local_long without those of fine-tuning), and of
        fine-tuning.
    """
    steps = results.groupby(["dataset", "arm"])["n_train_steps"].mean().unstack("arm").astype(float)
    stages = {
        "local": steps["local"],
        "federated": steps["local_long"] - steps["transfer"],
        "fine-tuning": steps["transfer"],
    }
    rate = float(params["optimizer"]["learning_rate"])
    wide = pd.DataFrame(stages).rename_axis(index="dataset").reset_index()
    table = wide.melt("dataset", var_name="stage", value_name="steps").sort_values(
        "dataset", kind="stable", ignore_index=True
    )
    return table.assign(reach=table["steps"] * rate)


def decoder_effect(reinitialised: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The arm transfer of two runs that differ in transfer.decoder_init alone, paired by cohort and node.

    Returns:
        By (dataset, paradigm): n_pairs, and the means of threshold, f1, auroc, auprc with either decoder.
    """
    keys = ["dataset", "paradigm", "policy", "n_participants", "draw", "seed", "node"]
    metrics = ["threshold", "f1", "auroc", "auprc"]
    pairs = _transfer(reinitialised)[keys + metrics].merge(
        _transfer(kept)[keys + metrics], on=keys, suffixes=("_reinitialised", "_kept"), validate="1:1"
    )
    pairs = pairs.dropna(subset=["f1_reinitialised", "f1_kept"])
    columns = [f"{name}_{decoder}" for name in metrics for decoder in ("reinitialised", "kept")]
    groups = pairs.groupby(["dataset", "paradigm"], sort=True)
    table = groups[columns].mean()
    table.insert(0, "n_pairs", groups.size())
    return table.reset_index()


def _transfer(results: pd.DataFrame) -> pd.DataFrame:
    return results[((results["arm"] == "transfer") & (results["role"] == "target")).to_numpy(dtype=bool)]


def _arms_in_order(table: pd.DataFrame) -> pd.DataFrame:
    place = {arm: number for number, arm in enumerate(ARMS)}
    order = table["arm"].map(place).fillna(len(ARMS))
    table = table.assign(order=order).sort_values(["dataset", "paradigm", "order", "arm"], ignore_index=True)
    return table.drop(columns="order")
