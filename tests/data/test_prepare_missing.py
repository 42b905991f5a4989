from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftl.data.alignment import ALIGNMENTS
from ftl.data.cleaning import MISSING_POLICIES
from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet
from ftl.data.node_table import NodeTable
from ftl.data.prepare_report import describe_report
from ftl.errors import TelemetryError
from tests.data.small_fleet import FEATURES, prepare, table, with_missing


def test_columns_missing_too_often_in_training_are_dropped_before_rows(tmp_path: Path) -> None:
    tables = [with_missing(table("n1"), slice(0, 50), 0), with_missing(table("n2"), [10, 11], 1)]
    fleet = prepare(tmp_path, tables, max_missing=0.2)
    assert fleet.features == ("b", "c")
    assert fleet.report["dropped_features"] == {"a": "missing in 31.2% of the training rows"}
    assert len(fleet.rows(0, TRAIN, VALIDATION, TEST, GAP)) == 100
    assert fleet.report["nodes"]["n2"]["removed_rows"] == 2
    assert fleet.report["nodes"]["n2"]["removed_anomalous_rows"] == 1


def test_a_column_missing_in_the_test_period_is_kept(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), with_missing(table("n2"), slice(90, 100), 0)], max_missing=0.0)
    assert fleet.features == FEATURES
    assert fleet.report["removed_rows"] == 10


def test_rows_without_any_value_cost_no_column(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), with_missing(table("n2"), slice(0, 40), slice(None))], max_missing=0.0)
    assert fleet.features == FEATURES
    assert fleet.report["removed_rows"] == 40


def test_drop_rows_keeps_every_column_and_counts_the_anomalies_it_costs(tmp_path: Path) -> None:
    tables = [table("n1"), with_missing(table("n2"), slice(0, 40), 0)]
    fleet = prepare(tmp_path, tables, missing="drop_rows", max_missing=0.0)
    assert fleet.features == FEATURES
    assert (fleet.report["removed_rows"], fleet.report["removed_anomalous_rows"]) == (40, 3)
    assert not np.isnan(fleet.x).any()


GAPS = {"clip_low": -1e6, "clip_high": 1e6, "transform": "none", "max_missing": 0.9}


def raw(fleet: Fleet, node: int = 0) -> np.ndarray:
    """The node's rows in the units of the source."""
    x = fleet.x[fleet.start[node] : fleet.start[node + 1]]
    return x * fleet.scale[node] + fleet.offset[node]


def test_forward_fill_carries_values_within_its_limit_and_drops_the_rest(tmp_path: Path) -> None:
    gappy = with_missing(with_missing(table("n1"), slice(10, 17), 0), slice(30, 32), slice(None))
    fleet = prepare(tmp_path, [gappy], missing="forward_fill", fill_limit=4, **GAPS)
    assert fleet.report["nodes"]["n1"]["removed_rows"] == 3
    assert fleet.report["nodes"]["n1"]["filled_cells"] == 4 + 2 * 3
    assert set(range(0, 90000, 900)) - set(fleet.time.tolist()) == {900 * row for row in (14, 15, 16)}
    found = raw(fleet)
    np.testing.assert_allclose(found[10:14, 0], gappy.values[9, 0], atol=1e-5)
    np.testing.assert_allclose(found[27:29, :3], gappy.values[[29, 29]], atol=1e-5)
    assert any("10 missing values filled (prepare.missing: forward_fill)" in n for n in describe_report(fleet.report))


def test_forward_fill_does_not_cross_a_gap_in_time(tmp_path: Path) -> None:
    plain = with_missing(table("n1"), [50, 51], 0)
    time = plain.time.copy()
    time[51:] += 900 * 3
    fleet = prepare(tmp_path, [replace(plain, time=time)], missing="forward_fill", fill_limit=3, **GAPS)
    assert fleet.report["nodes"]["n1"]["filled_cells"] == 1
    assert 900 * 50 in fleet.time
    assert 900 * 54 not in fleet.time


def test_what_comes_later_has_no_influence_on_what_is_filled(tmp_path: Path) -> None:
    plain = with_missing(table("n1"), slice(78, 83), 0)  # the test part begins after row 79
    changed = replace(plain, values=np.where(np.arange(100)[:, None] > 79, plain.values + 7, plain.values))
    first = prepare(tmp_path, [plain], missing="forward_fill", fill_limit=9, **GAPS)
    second = prepare(tmp_path, [changed], missing="forward_fill", fill_limit=9, **GAPS)
    np.testing.assert_array_equal(first.x[:83, 0], second.x[:83, 0])
    assert not np.array_equal(first.x[83:], second.x[83:])


def test_forward_fill_says_what_was_missing(tmp_path: Path) -> None:
    gappy = with_missing(with_missing(table("n1"), slice(10, 13), 0), slice(30, 32), slice(None))
    named = [replace(each, features=("power_avg", "power_std", "fan")) for each in (gappy, table("n2"))]
    fleet = prepare(tmp_path, named, missing="forward_fill", **GAPS)
    assert fleet.features == ("power_avg", "power_std", "fan", "missing:power", "missing:row")
    assert fleet.report["indicators"] == ["missing:power", "missing:row"]
    assert np.flatnonzero(fleet.x[:100, 3]).tolist() == [10, 11, 12, 30, 31]
    assert np.flatnonzero(fleet.x[:100, 4]).tolist() == [30, 31]
    assert set(np.unique(fleet.x[:, 3:])) == {0, 1}
    assert not fleet.muted[0, 3:].any()


@pytest.mark.parametrize("missing", sorted({*MISSING_POLICIES} - {"forward_fill"}))
def test_other_policies_add_no_feature(tmp_path: Path, missing: str) -> None:
    gappy = with_missing(table("n1"), slice(10, 13), 0)
    assert prepare(tmp_path, [gappy, table("n2")], missing=missing).features == FEATURES


def test_an_indicator_may_not_take_the_name_of_a_column(tmp_path: Path) -> None:
    gappy = with_missing(table("n1", features=("a", "missing:a", "c")), slice(10, 30), 0)
    with pytest.raises(TelemetryError, match="column 'missing:a' has the name of an indicator"):
        prepare(tmp_path, [gappy], missing="forward_fill")


def test_zero_removes_no_row_and_fills_in_raw_units(tmp_path: Path) -> None:
    plain = table("n1", values=table("n1").values + 50)
    gappy = with_missing(with_missing(plain, slice(0, 40), 0), slice(90, 95), slice(None))
    fleet = prepare(tmp_path, [gappy], missing="zero", **GAPS)
    assert len(fleet.x) == 100
    np.testing.assert_allclose(raw(fleet), np.nan_to_num(gappy.values), atol=1e-4)
    assert fleet.report["nodes"]["n1"]["filled_cells"] == 55


def gappy_fleet() -> list[NodeTable]:
    """Three nodes of nine features; gaps of all kinds, most of them where a node is anomalous."""
    random = np.random.default_rng(5)
    tables = []
    for node in range(3):
        values = random.normal(size=(120, 9)).astype(np.float32)
        label = (random.random(120) < 0.15).astype(np.int8)
        values[random.random((120, 9)) < np.where(label, 0.3, 0.01)[:, None]] = np.nan
        values[random.random(120) < 0.04] = np.nan
        values[:70, 4] = np.nan
        names = tuple(f"p0_core{core}_temp" for core in sorted(random.choice(24, 5, replace=False))) + tuple("wxyz")
        tables.append(NodeTable(f"n{node}", 900 * np.arange(120), values, names, label, None, {}))
    return tables


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("missing", MISSING_POLICIES)
def test_the_costs_of_a_rule_are_what_choosing_it_costs(tmp_path: Path, alignment: str, missing: str) -> None:
    tables = gappy_fleet()
    chosen = prepare(tmp_path, tables, alignment=alignment, missing=missing, min_train_rows=2)
    elsewhere = prepare(tmp_path, tables, alignment=alignment, min_train_rows=2)
    costs = elsewhere.report["costs"]["missing"][missing]
    assert costs == chosen.report["costs"]["missing"][missing]
    nodes = chosen.report["nodes"].values()
    assert costs["rows_removed"] == chosen.report["removed_rows"]
    assert costs["anomalous_rows_removed"] == chosen.report["removed_anomalous_rows"]
    assert costs["cells_filled"] == sum(node["filled_cells"] for node in nodes)
    assert costs["anomalous_rows"] == sum(int((table.label == 1).sum()) for table in tables)
    kept = chosen.report["costs"]["alignment"][alignment]
    assert kept == prepare(tmp_path, tables, missing=missing).report["costs"]["alignment"][alignment]
    n_indicators = len(chosen.report["indicators"])
    assert len(chosen.features) == kept["features"] - costs["columns_removed"] + n_indicators
    assert len(set(chosen.features)) == len(chosen.features)
    imputed = {node_id: len(node["imputed"]) for node_id, node in chosen.report["nodes"].items() if node["imputed"]}
    assert costs["columns_removed"] or kept["imputed"] == imputed
    assert np.isfinite(chosen.x).all()


def test_a_node_that_a_policy_would_lose_is_among_its_costs(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), with_missing(table("n2"), slice(0, 75), 0)], max_missing=0.1)
    costs = fleet.report["costs"]["missing"]
    assert {name: cost["nodes_lost"] for name, cost in costs.items()} == {
        "drop_columns_then_rows": 0,
        "drop_rows": 1,
        "forward_fill": 0,
        "zero": 0,
    }
    assert any(
        "drop_rows would remove 75 rows (5 of 12 anomalous windows), lose 1 node;" in n
        for n in describe_report(fleet.report)
    )


def test_the_costs_are_said(tmp_path: Path) -> None:
    tables = [with_missing(table("n1"), slice(0, 50), 0), with_missing(table("n2"), [10, 11], 1)]
    lines = describe_report(prepare(tmp_path, tables).report)
    assert next(line for line in lines if line.startswith("Missing")) == (
        "Missing values (prepare.missing): drop_columns_then_rows removes 2 rows (1 of 12 anomalous windows) and "
        "1 column; drop_rows would remove 52 rows (4 of 12 anomalous windows); forward_fill would remove no row and "
        "1 column, fill 2 cells; zero would remove no row, fill 52 cells."
    )
    assert not any("prepare.alignment" in line for line in lines)
