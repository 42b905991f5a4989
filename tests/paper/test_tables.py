"""The transcribed tables: complete, as in the source they were transcribed from, and with the totals of print."""

from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from ftl.paper.tables import cell_name, claimed, claims, cost, table_1, table_5, table_6, table_7, tables_2_to_4

TABLES = ("table_1.csv", "tables_2_3_4.csv", "table_5.csv", "table_6.csv", "table_7.csv")
SOURCE = Path(__file__).resolve().parents[3] / "shared/paper"


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_the_one_that_was_transcribed(name: str) -> None:
    if not (SOURCE / name).exists():
        pytest.skip("the transcribed tables are not at ../shared/paper")
    with (files("ftl.paper") / name).open(encoding="utf-8") as file:
        pd.testing.assert_frame_equal(pd.read_csv(file, comment="#"), pd.read_csv(SOURCE / name))


@pytest.mark.parametrize("name", [*TABLES, "claims.csv"])
def test_a_table_names_its_source(name: str) -> None:
    head = (files("ftl.paper") / name).read_text(encoding="utf-8").splitlines()[:2]
    assert head[0].startswith("# Farooq, Milano, Borghesi (2025)")
    assert head[1].startswith("# ")


def test_the_grid_is_complete() -> None:
    rows = tables_2_to_4()
    grid = rows.groupby(["paradigm", "dataset", "strategy"])["n"].apply(list)
    assert len(grid) == 3 * 2 * 2
    assert all(sizes == [3, 5, 10, 20, 25, 50] for sizes in grid)


def test_columns_have_the_totals_of_print() -> None:
    """Sums over all rows: one digit mistyped anywhere moves one of them."""
    totals = tables_2_to_4().select_dtypes("number").sum().round(2).to_dict()
    assert totals == {
        "n": 1356,
        "f1_local_participants": 41.98,
        "f1_federated_participants": 61.69,
        "n_targets": 5844,
        "precision_before": 24.24,
        "recall_before": 72.0,
        "tnr_before": 23.53,
        "f1_before": 26.66,
        "precision_after": 53.37,
        "recall_after": 72.0,
        "tnr_after": 54.0,
        "f1_after": 55.8,
        "delta_f1": 29.14,
    }
    assert round(table_5().select_dtypes("number").to_numpy().sum(), 2) == 4.68
    assert round(table_6()["cohens_d"].sum(), 2) == 19.03
    assert len(table_1()) == 7


def test_a_cost_is_one_end_of_a_printed_range() -> None:
    assert (cost("decoder_fine_tuning", "time_s", "low"), cost("decoder_fine_tuning", "time_s", "high")) == (8, 11)
    assert table_7().index[0] == "local_training_10_epochs"


def test_a_claim_has_a_section_and_a_number() -> None:
    table = claims()
    assert table["section"].astype(bool).all()
    assert table[["low", "high"]].notna().any(axis=1).all()
    assert claimed("anomaly_rate_D2") == 0.017


def test_a_caller_cannot_spoil_the_tables() -> None:
    mine = tables_2_to_4()
    mine["delta_f1"] = 0.0
    assert tables_2_to_4()["delta_f1"].gt(0).all()


def test_a_cell_is_named_in_words() -> None:
    row = tables_2_to_4().iloc[6]
    assert cell_name(row) == "semi-supervised D1 Random-N N=3"
