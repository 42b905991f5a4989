import json
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION
from ftl.data.fleet_folder import FleetFolder
from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.prepare_report import describe_report
from ftl.data.scaling import CONSTANTS, SCALERS, TRANSFORMS
from ftl.data.split import SPLITS
from ftl.errors import ConfigError, TelemetryError
from tests.data.small_fleet import FEATURES, Tables, later, prepare, table, with_missing


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


def test_cores_are_aligned_by_slot(tmp_path: Path) -> None:
    tables = [
        table("n1", features=("p0_core3_temp_avg", "power", "p0_core8_temp_avg")),
        table("n2", features=("p0_core21_temp_avg", "power", "p0_core20_temp_avg")),
    ]
    fleet = prepare(tmp_path, tables, alignment="slots", clip_low=-1e6, clip_high=1e6)
    assert fleet.features == ("p0_c00_temp_avg", "power", "p0_c01_temp_avg")
    raw = fleet.x[100:] * fleet.scale[1] + fleet.offset[1]
    np.testing.assert_allclose(raw, tables[1].values[:, [2, 1, 0]], atol=1e-5)
    costs = fleet.report["costs"]["alignment"]
    assert (costs["intersection"]["features"], costs["intersection"]["lost_columns"]) == (1, 4)
    assert any(
        "slots keeps 3 features and loses 0 columns; intersection would keep 1 feature and lose 4 columns" in line
        for line in describe_report(fleet.report)
    )


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_feature_that_a_node_lacks_is_muted_there_and_says_nothing_about_the_others(
    tmp_path: Path, scaler: str, constant: str
) -> None:
    """Under union; the other nodes are scaled as if the node were not there."""
    settings: dict[str, Any] = {"alignment": "union", "scaler": scaler, "constant": constant}
    others = [table("n1"), table("n2"), replace(table("n3"), values=table("n3").values * 1e5)]
    lacking = table("poor", features=("a", "c", "only here"))
    fleet = prepare(tmp_path, [*others, lacking], **settings)
    assert fleet.features == FEATURES
    assert not fleet.x[300:, 1].any()
    assert fleet.muted[3].tolist() == [False, True, False]
    assert len(fleet.x) == 400  # and costs no row
    assert fleet.report["nodes"]["poor"]["imputed"] == ["b"]
    assert fleet.report["nodes"]["n1"]["imputed"] == []
    assert fleet.report["dropped_features"] == {"only here": "absent or empty in 3 of 4 nodes, first n1"}
    assert any(
        "1 column made up on 1 node without them, 0 in every row: first 'b' on poor" in n
        for n in describe_report(fleet.report)
    )
    without = prepare(tmp_path / "without", others, **settings)
    np.testing.assert_array_equal(fleet.scale[:3, 1], without.scale[:, 1])
    np.testing.assert_array_equal(fleet.x[:300, 1], without.x[:, 1])


def test_a_node_with_none_of_the_unions_features_is_left_out(tmp_path: Path) -> None:
    strange = table("strange", features=("x", "y", "z"))
    fleet = prepare(tmp_path, [table("n1"), table("n2"), strange], alignment="union", min_node_share=0.6)
    assert fleet.report["excluded"] == {"strange": "has none of the 3 features that the fleet keeps"}


def test_a_report_of_an_earlier_version_is_still_described(tmp_path: Path) -> None:
    report = prepare(tmp_path, [table("n1")]).report
    old = {key: value for key, value in report.items() if key not in ("costs", "indicators")}
    for node in old["nodes"].values():
        del node["imputed"], node["filled_cells"]
    assert describe_report(old)


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
    assert "75 incomplete rows removed (75 of them lack 'a')" in reasons["holes"]


def test_a_fleet_without_a_usable_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match=r"none of the 2 nodes can be used \(n1: only 9 rows"):
        prepare(tmp_path, [table("n1", 9), table("n2", 8)])
    assert not (tmp_path / "fleet").exists()


@pytest.mark.parametrize(
    ("rows", "missing", "helps"),
    [
        (slice(80, 100), "drop_columns_then_rows", r"zero\), which removes no row; or a fleet without 'b'$"),
        (slice(0, 75), "drop_columns_then_rows", r"a fleet without 'b'; or a prepare.max_missing below 0.937, with"),
        (slice(0, 75), "drop_rows", r"a fleet without 'b'$"),
    ],
)
def test_a_column_that_costs_every_node_its_rows_is_named_with_what_helps(
    tmp_path: Path, rows: slice, missing: str, helps: str
) -> None:
    tables = [with_missing(with_missing(table(f"n{k}"), rows, 1), 3, 0) for k in range(7)]
    with pytest.raises(TelemetryError, match=helps) as told:
        prepare(tmp_path, tables, missing=missing, max_missing=0.96)
    assert "of them lack 'b')" in str(told.value)
    assert "; and 2 more); 'b' costs them most rows: what helps is prepare.missing: zero" in str(told.value)
    assert prepare(tmp_path, tables, missing="zero").node_ids == tuple(f"n{k}" for k in range(7))


def test_a_fleet_without_a_column_filled_often_enough_is_refused(tmp_path: Path) -> None:
    plain = table("n1")
    gappy = replace(plain, values=np.where(np.arange(300).reshape(100, 3) % 4 < 2, np.nan, plain.values))
    with pytest.raises(TelemetryError, match=r"all 3 common columns are missing in more than 10%.*prepare.max_missing"):
        prepare(tmp_path, [gappy], max_missing=0.1)


def test_a_node_without_any_value_is_left_out_and_costs_the_others_nothing(tmp_path: Path) -> None:
    fleet = prepare(tmp_path, [table("n1"), with_missing(table("mute"), slice(None), slice(None)), table("n3")])
    assert fleet.node_ids == ("n1", "n3")
    assert fleet.features == FEATURES
    assert fleet.report["excluded"] == {"mute": "none of its 3 feature columns holds a value"}


def test_a_node_that_is_anomalous_all_through_training_is_left_out(tmp_path: Path) -> None:
    label = np.repeat([1, 0], [80, 20]).astype(np.int8)
    fleet = prepare(tmp_path, [table("n1"), table("ill", label=label)])
    assert fleet.node_ids == ("n1",)
    reason = fleet.report["excluded"]["ill"]
    assert reason == "all 72 train rows are labelled anomalous; nothing normal to learn from"


def test_an_unreadable_node_is_no_reason_to_leave_it_out(tmp_path: Path) -> None:
    class Damaged(Tables):
        def read_node(self, node_id: str) -> NodeTable:
            if node_id == "n2":
                raise TelemetryError("n2.parquet: cannot be read")
            return super().read_node(node_id)

    with pytest.raises(TelemetryError, match="n2.parquet: cannot be read"):
        prepare_fleet(Damaged([table("n1"), table("n2")]), PrepareSettings(), "rigorous", tmp_path / "fleet")
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("settings", [{}, {"missing": "forward_fill", "alignment": "union"}], ids=["default", "filled"])
def test_memory_does_not_grow_with_the_number_of_nodes(
    tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten more nodes need no room for another node's table."""

    @dataclass
    class Generated(Tables):
        n_nodes: int = 0

        def node_ids(self) -> list[str]:
            return [f"n{node}" for node in range(self.n_nodes)]

        def read_node(self, node_id: str) -> NodeTable:
            values = np.random.default_rng(0).normal(size=(3000, 60)).astype(np.float32)
            values[::50, :40] = np.nan
            features = tuple(f"f{number}" for number in range(60))
            return NodeTable(node_id, 900 * np.arange(3000), values, features, np.zeros(3000, np.int8), None, {})

    monkeypatch.setenv("FTL_WORKERS", "1")
    peaks = []
    for n_nodes in (2, 12):
        tracemalloc.start()
        source = Generated([], n_nodes=n_nodes)
        prepare_fleet(source, PrepareSettings(**settings), "rigorous", tmp_path / "fleet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 3000 * 60 * 4


def test_the_fingerprint_follows_settings_and_protocol(tmp_path: Path) -> None:
    tables = [table("n1")]
    prints = {prepare(tmp_path, tables).fingerprint, prepare(tmp_path, tables).fingerprint}
    assert len(prints) == 1
    prints |= {prepare(tmp_path, tables, gap=5).fingerprint, prepare(tmp_path, tables, "paper").fingerprint}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alignment": "outer"}, "prepare.alignment: unknown 'outer'; known: intersection, slots, union"),
        (
            {"missing": "drop"},
            "prepare.missing: unknown 'drop'; known: drop_columns_then_rows, drop_rows, forward_fill, zero",
        ),
        ({"transform": "log"}, "prepare.transform: unknown 'log'; known: none, signed_log1p, auto"),
        ({"scaler": "standard"}, "prepare.scaler: unknown 'standard'; known: node_minmax, fleet_quantile"),
        ({"split": "temporal"}, "prepare.split: unknown 'temporal'; known: protocol, chronological, random, given"),
        ({"test_fraction": 1.0}, r"prepare.test_fraction: must be in \(0, 1\); got 1.0"),
        ({"test_fraction": "20%"}, "prepare.test_fraction: must be of type float and finite; got '20%'"),
        ({"validation_fraction": -0.1}, "prepare.validation_fraction: must be in"),
        ({"max_missing": 1.5}, "prepare.max_missing: must be in"),
        ({"min_node_share": 0}, r"prepare.min_node_share: must be in \(0, 1\]; got 0"),
        ({"fill_limit": 0}, "prepare.fill_limit: must be at least 1 window; got 0"),
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
