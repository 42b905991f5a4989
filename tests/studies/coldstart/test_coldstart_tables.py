"""Hours until usable, and the other tables of a cold start, on rows with known answers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.studies.coldstart.arms import ALL_ARMS
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.coldstart.tables import tables_of, usable, write_tables
from ftl.studies.coldstart.words import sentences, terminal_tables

SETTINGS = ColdStartSettings(max_fpr=0.05, share_of_full=0.9)
FULL = 200.0


def summary_of(arms: Mapping[str, Mapping[float, tuple[float, float]]]) -> pd.DataFrame:
    """(F1, false-positive rate) by arm and hours; FULL hours are the whole history."""
    return pd.DataFrame(
        [
            {
                "dataset": "f", "protocol": "rigorous", "full": hours == FULL,
                "asked_hours": np.nan if hours == FULL else hours, "hours": hours, "arm": arm, "f1": f1, "fpr": fpr,
            }
            for arm, of in arms.items()
            for hours, (f1, fpr) in of.items()
        ]
    )  # fmt: skip


LOCAL = {2.0: (0.1, 0.6), 24.0: (0.3, 0.2), FULL: (0.5, 0.04)}  # 0.45 is needed


def usable_hours(**arms: Mapping[float, tuple[float, float]]) -> dict[str, float]:
    table = usable(summary_of({"local": LOCAL, **arms}), SETTINGS)
    return dict(zip(table["arm"], table["hours_until_usable"], strict=True))


def test_usable_means_there_and_at_every_longer_history() -> None:
    found = usable_hours(
        zero_shot={2.0: (0.46, 0.05), 24.0: (0.45, 0.01), FULL: (0.6, 0.0)},
        transfer={2.0: (0.9, 0.0), 24.0: (0.44, 0.0), FULL: (0.9, 0.0)},
        selective={2.0: (0.9, 0.0), 24.0: (0.9, 0.06), FULL: (0.9, 0.01)},
        few_steps={2.0: (0.44, 0.0), 24.0: (0.9, 0.01), FULL: (0.9, 0.01)},
    )
    assert found == {"local": FULL, "zero_shot": 2.0, "transfer": FULL, "selective": FULL, "few_steps": 24.0}


def test_never_is_nan() -> None:
    table = usable(
        summary_of({"local": LOCAL, "pca": {2.0: (0.9, 0.01), 24.0: (0.9, 0.01), FULL: (0.9, 0.2)}}), SETTINGS
    )
    row = table.set_index("arm").loc["pca"]
    assert np.isnan([row["hours_until_usable"], row["f1"], row["fpr"]]).all()
    assert (row["f1_needed"], row["fpr_allowed"]) == (pytest.approx(0.45), 0.05)


def test_a_length_of_history_is_told_as_it_was_asked_for() -> None:
    summary = summary_of({"local": LOCAL, "pca": {24.0: (0.9, 0.0), FULL: (0.9, 0.0)}})
    summary.loc[summary["asked_hours"] == 24.0, "hours"] = 23.6  # the last rows of a node's day are labelled anomalous
    assert usable(summary, SETTINGS).set_index("arm").loc["pca", "hours_until_usable"] == 24.0


def test_the_order_of_rows_has_no_say() -> None:
    summary = summary_of({"local": LOCAL, "pca": {2.0: (0.9, 0.9), 24.0: (0.9, 0.01), FULL: (0.9, 0.0)}})
    for seed in range(5):
        mixed = usable(summary.sample(frac=1, random_state=seed), SETTINGS).set_index("arm")
        assert mixed.loc["pca", "hours_until_usable"] == 24.0


def test_each_fleet_has_its_own_yardstick() -> None:
    one = summary_of({"local": {2.0: (0.5, 0.0), FULL: (0.5, 0.0)}})
    other = summary_of({"local": {2.0: (0.5, 0.0), FULL: (0.9, 0.0)}}).assign(dataset="g")
    table = usable(pd.concat([one, other]), SETTINGS).set_index("dataset")
    assert table["hours_until_usable"].to_dict() == {"f": 2.0, "g": FULL}


def test_a_fleet_whose_f1_is_undefined_is_never_usable() -> None:
    table = usable(summary_of({"local": {2.0: (np.nan, 0.0), FULL: (np.nan, 0.0)}}), SETTINGS)
    assert table["hours_until_usable"].isna().all()


def test_nothing_is_usable_where_the_local_model_finds_nothing() -> None:
    table = usable(summary_of({"local": {2.0: (0.0, 0.0), FULL: (0.0, 0.0)}, "pca": {2.0: (0.3, 0.0)}}), SETTINGS)
    assert table["hours_until_usable"].isna().all()


@pytest.fixture(scope="module")
def tables(like_replay):
    rows = like_replay.rows.copy()
    for number, (name, value) in enumerate({"dataset": "small", "protocol": "rigorous", "seed": 0, "fold": 0}.items()):
        rows.insert(number, name, value)
    return tables_of(rows, SETTINGS, {"small": {"n1": "a", "n3": "b"}})


def test_the_summary_has_every_arm_at_every_length(tables) -> None:
    summary = tables.summary
    assert len(summary) == len(ALL_ARMS) * 3
    assert summary["arm"].tolist() == [*ALL_ARMS] * 3  # ordered by length, then as arms are listed
    assert summary["hours"].is_monotonic_increasing
    row = summary[(summary["arm"] == "local") & (summary["asked_hours"] == 4)].iloc[0]
    mine = tables.rows.query("arm == 'local' and asked_hours == 4")
    assert row["f1"] == pytest.approx(mine["f1"].mean())
    assert (row["n_nodes"], row["history_rows"], row["full"]) == (2, 8, False)


def test_every_arm_is_held_against_local_and_the_policy_against_all_references(tables) -> None:
    compared = tables.differences.groupby("against")["arm"].agg(set)
    assert compared["local"] == set(ALL_ARMS) - {"local"}
    for against in ("local_fleet", "local_rehearsed", "federated_pca"):
        assert compared[against] == {"transfer_policy"}
    row = tables.differences.query(
        "arm == 'pca' and against == 'local' and metric == 'auroc' and asked_hours == 4"
    ).iloc[0]
    pivot = tables.rows.query("asked_hours == 4").pivot(index="node", columns="arm", values="auroc")
    assert row["delta"] == pytest.approx((pivot["pca"] - pivot["local"]).mean())


def test_written_tables_are_whole_and_read_back(tables, tmp_path: Path) -> None:
    write_tables(tmp_path, tables)
    write_tables(tmp_path, tables)
    names = {"coldstart.parquet", "coldstart_summary.csv", "coldstart_differences.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names | {"coldstart_usable.csv", "coldstart_decisions.csv"}
    read = pd.read_csv(tmp_path / "coldstart_summary.csv")
    np.testing.assert_allclose(read["f1"], tables.summary["f1"])
    assert len(pd.read_csv(tmp_path / "coldstart_decisions.csv")) == 6
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "coldstart.parquet"), tables.rows)


def test_the_terminal_names_every_arm_and_says_what_was_bought(tables) -> None:
    for table in (shown := list(terminal_tables(tables))):
        assert list(table.columns[0].cells) == list(ALL_ARMS)
        assert [column.header for column in table.columns] == ["arm", "4 h", "24 h", "full", "usable from"]
    assert len(shown) == 2
    said = sentences(tables)
    assert len(said) == 2
    assert "usable (F1 at least" in said[0]
    assert "AUROC minus the local autoencoder's is lowest" in said[1]


def test_a_missing_yardstick_and_a_missing_interval_are_told(tables) -> None:
    alone = replace(
        tables,
        usable=tables.usable.assign(f1_needed=0.0, hours_until_usable=np.nan),
        differences=tables.differences.assign(ci_low=np.nan, ci_high=np.nan),
    )
    of_usable, of_auroc = sentences(alone)
    assert "cannot be said, since the yardstick" in of_usable
    assert "nan" not in of_auroc
