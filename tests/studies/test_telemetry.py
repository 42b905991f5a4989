"""A prepared fleet as studies read it: the raw values again, up to one affine map that all nodes share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.data.fleet import TEST, read_fleet
from ftl.data.scaling import signed_log1p
from ftl.sharing import FleetScale
from ftl.studies.telemetry import FleetTelemetry, NodeTelemetry, drifting_share, without_level

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tables(study_tables: Callable[..., Tables]) -> Tables:
    return study_tables(unlike=2.0)


@pytest.fixture(scope="module")
def telemetry(unlike_fleet: Path) -> FleetTelemetry:
    return FleetTelemetry(read_fleet(unlike_fleet))


def raw_rows(telemetry: FleetTelemetry, tables: Tables, node: int, times: np.ndarray) -> np.ndarray:
    """The rows of the node's table at these times, after the fleet's signed logarithm."""
    fleet = telemetry.fleet
    raw = (
        tables[fleet.node_ids[node]].set_index("step").loc[times, list(fleet.features)].to_numpy(np.float64, copy=True)
    )
    logarithmic = [fleet.features.index(name) for name in fleet.signed_log]
    raw[:, logarithmic] = signed_log1p(raw[:, logarithmic])
    return raw


def test_values_are_the_raw_ones_up_to_one_affine_map_of_all_nodes(telemetry, tables) -> None:
    nodes = telemetry.nodes(range(telemetry.n_nodes))
    assert telemetry.fleet.signed_log == ("traffic",)  # the map is of what preparing transforms
    for feature in (0, 1, 2, 3):
        units = np.concatenate([np.r_[node.history[:, feature], node.test[:, feature]] for node in nodes])
        raw = np.concatenate(
            [
                raw_rows(telemetry, tables, node.node, np.r_[node.history_time, node.test_time])[:, feature]
                for node in nodes
            ]
        )
        slope, intercept = np.polyfit(raw, units, 1)
        assert slope > 0
        np.testing.assert_allclose(units, slope * raw + intercept, atol=1e-5 * np.ptp(units))
    own = np.stack([telemetry.fleet.scale[node][:3] for node in range(4)])
    assert (own.max(axis=0) > 1.9 * own.min(axis=0)).all()  # else one map would be no wonder


def test_a_feature_that_all_hold_constant_is_muted_and_0(telemetry) -> None:
    idle = telemetry.fleet.features.index("idle")
    for node in telemetry.nodes(range(4)):
        assert node.muted.tolist() == [feature == idle for feature in range(5)]
        assert not node.history[:, idle].any()
        assert not node.test[:, idle].any()
        scaled = node.scaled(node.history, FleetScale(np.full(5, -7.0), np.ones(5), -40.0, 40.0))
        assert not scaled[:, idle].any()
        assert scaled[:, :4].all()


def test_a_feature_that_a_node_lacks_is_muted_there_alone(study_tables, study_fleet) -> None:
    tables = study_tables()
    tables["n2"] = tables["n2"].drop(columns="fan")
    telemetry = FleetTelemetry(read_fleet(study_fleet(tables, "prepare.alignment=union", "prepare.transform=none")))
    fan = telemetry.fleet.features.index("fan")
    assert [bool(node.muted[fan]) for node in telemetry.nodes(range(4))] == [False, False, True, False]
    lacking = telemetry.node(2)
    assert not lacking.history[:, fan].any()
    assert not lacking.test[:, fan].any()
    zero = telemetry.node(0)
    raw = tables["n0"].set_index("step").loc[zero.history_time, "fan"].to_numpy()
    assert abs(np.corrcoef(raw, zero.history[:, fan])[0, 1]) > 1 - 1e-6


def test_the_history_has_no_labelled_anomaly_and_no_test_row(telemetry, tables) -> None:
    for node in telemetry.nodes(range(4)):
        table = tables[f"n{node.node}"].set_index("step")
        anomalous = table.index[table["label"] == 1]
        assert not set(node.history_time) & set(anomalous)
        assert anomalous[anomalous < node.test_time[0]].size  # there was something to leave out
        test = telemetry.fleet.time[telemetry.fleet.rows(node.node, TEST)]
        np.testing.assert_array_equal(node.test_time, test)
        assert node.history_time[-1] < node.test_time[0]
        np.testing.assert_array_equal(node.test_label, table.loc[test, "label"])


def test_rows_of_unknown_label_are_history(study_tables, study_fleet) -> None:
    tables = study_tables()
    for table in tables.values():
        table["label"] = table["label"].astype("Int8").mask(table["step"].between(10, 19))
    node = FleetTelemetry(read_fleet(study_fleet(tables))).node(1)
    assert set(range(10, 20)) <= set(node.history_time)


def node_of(time: list[int], rows: np.ndarray | None = None) -> NodeTelemetry:
    history = np.zeros((len(time), 1), np.float32) if rows is None else rows
    none = np.zeros((0, history.shape[1]), np.float32)
    return NodeTelemetry(0, history, np.array(time), none, np.zeros(0, int), np.zeros(0, int), np.zeros(1, bool))


def test_the_first_hours_are_counted_by_time_and_not_by_rows() -> None:
    node = node_of([10, 11, 12, 30, 31, 50])
    assert [node.first(duration) for duration in (0.5, 1, 3, 20, 20.5, 21, 41, 1e9)] == [1, 1, 3, 3, 4, 4, 6, 6]
    assert node.first(None) == 6


def test_steps_take_the_length_that_the_fleet_gives(like_telemetry) -> None:
    assert (like_telemetry.window_is_known, like_telemetry.seconds_per_unit) == (True, 1800.0)
    assert (like_telemetry.units_of(4), like_telemetry.windows_of(60)) == (8.0, 2.0)


def test_steps_of_unknown_length_take_window_minutes(like_telemetry) -> None:
    silent = replace(like_telemetry.fleet, window_seconds=None)
    telemetry = FleetTelemetry(silent, window_minutes=15.0)
    assert (telemetry.window_is_known, telemetry.seconds_per_unit) == (False, 900.0)
    assert (telemetry.units_of(4), telemetry.windows_of(60)) == (16.0, 4.0)


def test_seconds_are_seconds_whatever_window_minutes_says(like_telemetry) -> None:
    fleet = replace(like_telemetry.fleet, time_unit="seconds", time=np.asarray(like_telemetry.fleet.time) * 600)
    telemetry = FleetTelemetry(fleet, window_minutes=99.0)
    assert (telemetry.window_is_known, telemetry.seconds_per_unit, telemetry.window) == (True, 1.0, 600.0)
    assert (telemetry.units_of(2), telemetry.windows_of(30)) == (7200.0, 3.0)


def test_a_row_without_its_level_knows_no_later_row(like_telemetry) -> None:
    node = like_telemetry.node(0)
    plain = without_level(node, 20.0)
    cut = 100
    spoilt = replace(node, history=np.r_[node.history[:cut], 9 * node.history[cut:] + 1], test=node.test - 40)
    changed = without_level(spoilt, 20.0)
    np.testing.assert_array_equal(changed.history[:cut], plain.history[:cut])
    assert not np.array_equal(changed.history[cut:], plain.history[cut:])
    behind = without_level(replace(node, test=np.r_[node.test[:5], node.test[5:] - 40]), 20.0)
    np.testing.assert_array_equal(behind.test[:5], plain.test[:5])


def test_the_share_of_drifting_nodes_is_counted() -> None:
    random = np.random.default_rng(0)
    still = random.normal(size=(800, 1)).astype(np.float32)
    moved = still + np.where(np.arange(800) > 600, 20, 0)[:, None].astype(np.float32)
    time = list(range(800))
    nodes = [node_of(time, still), node_of(time, moved), node_of(time, moved), node_of([0, 1], still[:2])]
    assert drifting_share(nodes, 0.06) == 0.5
    assert drifting_share(nodes[:1], 0.06) == 0.0
