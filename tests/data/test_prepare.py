import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet
from ftl.data.fleet_folder import FleetFolder
from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.prepare_report import describe_report
from ftl.data.scaling import SCALERS, TRANSFORMS
from ftl.data.split import SPLITS
from ftl.errors import ConfigError, TelemetryError

FEATURES = ("a", "b", "c")


@dataclass
class Tables:
    """A source in memory."""

    tables: list[NodeTable]
    name: str = "toy"
    origin: str = "simulated"
    time_unit: str = "seconds"
    window: float | None = None
    racks: dict[str, str] = field(default_factory=dict)

    def node_ids(self) -> list[str]:
        return [table.node_id for table in self.tables]

    def rack_of(self, node_id: str) -> str | None:
        return self.racks.get(node_id)

    def window_seconds(self) -> float | None:
        return self.window

    def read_node(self, node_id: str) -> NodeTable:
        return next(table for table in self.tables if table.node_id == node_id)

    def fingerprint(self) -> str:
        return "tables"


def table(node_id: str, n_rows: int = 100, **changes: Any) -> NodeTable:
    """A node of three noisy features with an anomaly in row 5 and in every 20th row from 10."""
    rng = np.random.default_rng(sum(map(ord, node_id)))
    label = np.zeros(n_rows, np.int8)
    label[5:6] = label[10::20] = 1
    values = rng.normal(size=(n_rows, 3)).astype(np.float32)
    plain = NodeTable(node_id, 900 * np.arange(n_rows), values, FEATURES, label, None, {})
    return replace(plain, **changes)


def later(plain: NodeTable, n_windows: int) -> NodeTable:
    return replace(plain, time=plain.time + 900 * n_windows)


def with_missing(plain: NodeTable, rows: Any, columns: Any) -> NodeTable:
    values = plain.values.copy()
    values[rows, columns] = np.nan
    return replace(plain, values=values)


def prepare(tmp_path: Path, tables: list[NodeTable], protocol: str = "rigorous", **settings: Any) -> Fleet:
    return prepare_fleet(Tables(tables), PrepareSettings(**settings), protocol, tmp_path / "fleet")


@pytest.mark.parametrize("protocol", ["rigorous", "paper"])
def test_the_parts_partition_the_rows_of_every_node(tmp_path: Path, protocol: str) -> None:
    tables = [table("n1"), later(table("n2", 60), 50), table("n3", 110)]
    fleet = prepare(tmp_path, tables, protocol)
    assert fleet.start.tolist() == [0, 100, 160, 270]
    for node, source in enumerate(tables):
        rows = [fleet.rows(node, part) for part in (TRAIN, VALIDATION, TEST, GAP)]
        every = np.sort(np.concatenate(rows))
        np.testing.assert_array_equal(every, np.arange(fleet.start[node], fleet.start[node + 1]))
        np.testing.assert_array_equal(fleet.time[every], source.time)
        np.testing.assert_array_equal(fleet.label[every], source.label)


def test_a_rigorous_fleet_is_cut_at_one_time_for_all_nodes(tmp_path: Path) -> None:
    tables = [table("n1"), later(table("n2", 60), 55), table("n3", 140)]
    fleet = prepare(tmp_path, tables, gap=3, test_fraction=0.25)
    cut = fleet.report["split"]["cut_time"]
    for node in range(3):
        assert fleet.time[fleet.rows(node, TRAIN, VALIDATION)].max() <= cut < fleet.time[fleet.rows(node, GAP)].min()
        assert fleet.time[fleet.rows(node, GAP)].max() < fleet.time[fleet.rows(node, TEST)].min()
        assert len(fleet.rows(node, GAP)) == 3
    assert (fleet.time > cut).mean() == pytest.approx(0.25, abs=0.01)


def test_the_paper_protocol_splits_at_random(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), table("n2")], "paper", validation_fraction=0.0)
    assert fleet.report["split"] == {"rule": "random", "cut_time": None}
    test = fleet.rows(0, TEST)
    assert len(test) == 20
    assert test.min() < fleet.rows(0, TRAIN).max()


@pytest.mark.parametrize("protocol", ["rigorous", "paper"])
def test_a_published_split_is_respected_under_both_protocols(tmp_path: Path, protocol: str) -> None:
    published = np.repeat([0, 1], [30, 70]).astype(np.int8)
    fleet = prepare(tmp_path, [table("n1", split=published), table("n2", split=published)], protocol)
    np.testing.assert_array_equal(fleet.part[:100], [TRAIN] * 27 + [VALIDATION] * 3 + [TEST] * 70)


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("split", SPLITS)
def test_test_rows_do_not_touch_the_scaler(tmp_path: Path, scaler: str, transform: str, split: str) -> None:
    published = np.repeat([0, 1], [80, 20]).astype(np.int8)
    tables = [table(name, split=published) for name in ("n1", "n2", "n3")]
    settings: dict[str, Any] = {"scaler": scaler, "transform": transform, "split": split}
    first = prepare(tmp_path, tables, **settings)
    seen = np.isin(first.part, (TRAIN,)).reshape(3, 100)
    changed = [
        replace(plain, values=np.where(seen[node][:, None], plain.values, plain.values * 1e4 + 50))
        for node, plain in enumerate(tables)
    ]
    second = prepare(tmp_path, changed, **settings)
    np.testing.assert_array_equal(first.offset, second.offset)
    np.testing.assert_array_equal(first.scale, second.scale)
    train = first.part == TRAIN
    np.testing.assert_array_equal(first.x[train], second.x[train])
    assert (first.x[~train] != second.x[~train]).any()


def test_x_is_the_fleets_own_scaling_of_the_raw_rows(tmp_path: Path) -> None:
    tables = [table("n1"), later(table("n2", 60), 40)]
    fleet = prepare(tmp_path, tables, transform="signed_log1p")
    for node, source in enumerate(tables):
        first, last = fleet.start[node], fleet.start[node + 1]
        np.testing.assert_array_equal(fleet.x[first:last], fleet.scaling()(source.values, node))


def test_columns_are_aligned_by_name(tmp_path: Path) -> None:
    other = table("n2", features=("c", "d", "a"))
    fleet = prepare(tmp_path, [table("n1"), other], clip_low=-1e6, clip_high=1e6)
    assert fleet.features == ("a", "c")
    np.testing.assert_allclose(fleet.x[100:] * fleet.scale[1] + fleet.offset[1], other.values[:, [2, 0]], atol=1e-5)
    assert fleet.report["nodes"]["n1"]["dropped_columns"] == ["b"]
    assert fleet.report["nodes"]["n2"]["dropped_columns"] == ["d"]
    assert fleet.report["dropped_features"]["b"] == "absent or empty in 1 of 2 nodes, first n2"


def test_an_all_nan_column_counts_as_absent(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), with_missing(table("n2"), slice(None), 1)])
    assert fleet.features == ("a", "c")
    assert "absent or empty in 1 of 2 nodes, first n2" in fleet.report["dropped_features"]["b"]


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


def test_a_constant_column_is_reported(tmp_path: Path) -> None:
    values = table("n1").values.copy()
    values[:80, 2] = 3.0
    fleet = prepare(tmp_path, [table("n1", values=values), table("n2")])
    lines = describe_report(fleet.report)
    assert fleet.report["nodes"]["n1"]["constant"] == ["c"]
    assert fleet.report["nodes"]["n2"]["constant"] == []
    assert not fleet.muted.any()
    assert any(
        "1 column constant in training on 1 node, first 'c' on n1: changes are measured" in line for line in lines
    )


def test_a_column_constant_on_a_node_is_zero_everywhere_on_request(tmp_path: Path) -> None:
    values = table("n1").values.copy()
    values[:80, 2] = 3.0
    fleet = prepare(tmp_path, [table("n1", values=values), table("n2")], constant="mute")
    assert not fleet.x[:100, 2].any()
    assert fleet.muted.tolist() == [[False, False, True], [False, False, False]]
    assert fleet.report["nodes"]["n1"]["muted"] == ["c"]
    assert any(
        "1 constant column set to 0 on 1 node, first 'c' on n1" in line for line in describe_report(fleet.report)
    )


def test_clipped_test_values_are_counted(tmp_path: Path) -> None:
    values = table("n1").values.copy()
    values[[2, 95, 96], 0] = [0, 1e6, -1e6]
    fleet = prepare(tmp_path, [table("n1", values=values), table("n2")], transform="none")
    assert fleet.x.max() == 5
    assert fleet.x.min() == -4
    assert fleet.report["nodes"]["n1"]["clipped_test_values"] == 2
    assert fleet.report["nodes"]["n2"]["clipped_test_values"] == 0


def test_a_node_with_ten_rows_is_left_out_and_costs_the_others_nothing(tmp_path: Path) -> None:
    short = replace(table("n2", 10), features=("x", "y", "z"))
    fleet = prepare(tmp_path, [table("n1"), short, table("n3")])
    assert fleet.node_ids == ("n1", "n3")
    assert fleet.features == FEATURES
    assert fleet.report["nodes_read"] == 3
    assert fleet.report["excluded"] == {"n2": "only 10 rows; at least 20 must train"}
    assert "Node n2 is left out: only 10 rows; at least 20 must train." in describe_report(fleet.report)


def test_nodes_without_enough_train_or_test_rows_are_left_out_with_a_reason(tmp_path: Path) -> None:
    early, late = table("early", 60), later(table("late", 60), 75)
    holes = with_missing(table("holes"), np.arange(5, 80), 0)
    empty = NodeTable("empty", np.empty(0, np.int64), np.empty((0, 0), np.float32), (), np.empty(0, np.int8), None, {})
    tables = [table("n1"), early, late, holes, empty]
    fleet = prepare(tmp_path, tables, missing="drop_rows")
    assert fleet.node_ids == ("n1",)
    assert list(fleet.report["excluded"]) == ["empty", "early", "late", "holes"]
    reasons = fleet.report["excluded"]
    assert reasons["empty"] == "no rows"
    assert reasons["early"] == "no test rows"
    assert "train rows, 20 needed" in reasons["late"]
    assert "75 incomplete rows removed" in reasons["holes"]


def test_a_fleet_without_a_usable_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match=r"none of the 2 nodes can be used \(n1: only 9 rows"):
        prepare(tmp_path, [table("n1", 9), table("n2", 8)])
    assert not (tmp_path / "fleet").exists()


def test_a_fleet_without_a_column_filled_often_enough_is_refused(tmp_path: Path) -> None:
    plain = table("n1")
    gappy = replace(plain, values=np.where(np.arange(300).reshape(100, 3) % 4 < 2, np.nan, plain.values))
    with pytest.raises(TelemetryError, match=r"all 3 common columns are missing in more than 10%.*prepare.max_missing"):
        prepare(tmp_path, [gappy], max_missing=0.1)


def test_a_node_without_anomalies_is_kept_and_named(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), table("n2", label=np.zeros(100, np.int8))])
    assert fleet.node_ids == ("n1", "n2")
    assert any("1 node without a test anomaly, first n2" in line for line in describe_report(fleet.report))


def test_labels_are_lent_where_only_test_rows_have_anomalies(tmp_path: Path) -> None:
    label = np.zeros(100, np.int8)
    label[95] = 1
    fleet = prepare(tmp_path, [table("n1", label=label), table("n2", label=label)], lend_fraction=0.5)
    assert fleet.labels_borrowed
    np.testing.assert_array_equal(np.flatnonzero(fleet.lent[:100]), np.arange(84, 92))
    assert any("No anomaly precedes the test part" in line for line in describe_report(fleet.report))


def test_labels_are_not_lent_where_train_rows_have_anomalies(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), table("n2")])
    assert not fleet.labels_borrowed
    assert not fleet.lent.any()


def test_the_report_counts_every_part_and_every_treatment(tmp_path: Path) -> None:
    label = table("n1").label.copy()
    label[50] = -1
    tables = [table("n1", label=label, treatments={"duplicate time steps dropped": 3})]
    tables.append(table("n2", treatments={"duplicate time steps dropped": 4}))
    report = prepare(tmp_path, tables).report
    assert report["nodes"]["n1"]["rows"] == {"train": 72, "validation": 8, "test": 16, "gap": 4}
    assert report["nodes"]["n1"]["anomalies"] == {"train": 4, "validation": 0, "test": 1, "gap": 0}
    assert report["nodes"]["n1"]["unknown_labels"] == 1
    assert report["treatments"] == {"duplicate time steps dropped": 7}
    assert json.loads(json.dumps(report)) == report
    lines = describe_report(report)
    assert "On reading: duplicate time steps dropped: 7." in lines
    assert "1 row without a known label; they are not scored." in lines


def test_the_window_is_found_from_the_times_where_it_is_not_declared(tmp_path: Path) -> None:
    assert prepare(tmp_path, [table("n1")]).window_seconds == 900
    declared = Tables([table("n1")], window=60.0)
    assert prepare_fleet(declared, PrepareSettings(), "rigorous", tmp_path / "fleet").window_seconds == 60
    steps = Tables([table("n1")], time_unit="steps")
    assert prepare_fleet(steps, PrepareSettings(), "rigorous", tmp_path / "fleet").window_seconds is None


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    tables = [table("n1"), table("n2")]
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        prepare_fleet(Tables(tables), PrepareSettings(), "paper", folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_the_fingerprint_follows_settings_and_protocol(tmp_path: Path) -> None:
    tables = [table("n1")]
    prints = {prepare(tmp_path, tables).fingerprint, prepare(tmp_path, tables).fingerprint}
    assert len(prints) == 1
    prints |= {prepare(tmp_path, tables, gap=5).fingerprint, prepare(tmp_path, tables, "paper").fingerprint}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alignment": "union"}, "prepare.alignment: unknown 'union'; known: intersection"),
        ({"missing": "drop"}, "prepare.missing: unknown 'drop'; known: drop_columns_then_rows, drop_rows"),
        ({"transform": "log"}, "prepare.transform: unknown 'log'; known: none, signed_log1p, auto"),
        ({"scaler": "standard"}, "prepare.scaler: unknown 'standard'; known: node_minmax, fleet_quantile"),
        ({"split": "temporal"}, "prepare.split: unknown 'temporal'; known: protocol, chronological, random, given"),
        ({"test_fraction": 1.0}, r"prepare.test_fraction: must be in \(0, 1\); got 1.0"),
        ({"test_fraction": "20%"}, "prepare.test_fraction: must be of type float and finite; got '20%'"),
        ({"validation_fraction": -0.1}, "prepare.validation_fraction: must be in"),
        ({"max_missing": 1.5}, "prepare.max_missing: must be in"),
        ({"gap": -1}, "prepare.gap: must be at least 0; got -1"),
        ({"gap": 1.5}, "prepare.gap: must be of type int"),
        ({"clip_low": 1}, "prepare.clip_low: must be at most 0; got 1"),
        ({"clip_high": 0.5}, "prepare.clip_high: must be at least 1"),
        ({"clip_high": float("inf")}, "prepare.clip_high: .*finite; got inf"),
        ({"lend_fraction": 0}, "prepare.lend_fraction: must be in"),
        ({"min_train_rows": 1}, "prepare.min_train_rows: must be at least 2"),
        ({"split_seed": True}, "prepare.split_seed: must be of type int"),
        ({"scaler": ["node_minmax"]}, "prepare.scaler: must be of type str"),
    ],
)
def test_a_wrong_setting_is_explained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PrepareSettings(**settings)


def test_an_unknown_protocol_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="protocol: unknown 'strict'; known: rigorous, paper"):
        prepare(tmp_path, [table("n1")], "strict")


def test_a_published_fleet_is_prepared_as_published(tmp_path: Path, checkout: Path) -> None:
    asd = checkout.parent / "shared" / "data" / "asd"
    if not asd.is_dir():
        pytest.skip("the Application Server Dataset is not beside this checkout")
    fleet = prepare_fleet(FleetFolder(asd), PrepareSettings(), "rigorous", tmp_path / "fleet")
    assert (len(fleet.node_ids), len(fleet.features), len(fleet.x)) == (12, 19, 154171)
    assert fleet.report["split"]["rule"] == "given"
    assert fleet.labels_borrowed
    np.testing.assert_allclose([fleet.lent[fleet.rows(node, TEST)].mean() for node in range(12)], 0.4)
    assert (fleet.part == TEST).sum() == 12 * 4320
    lines = describe_report(fleet.report)
    assert any("README.md, manifest.json" in line for line in lines)
