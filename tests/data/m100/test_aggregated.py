import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftl.data.m100.aggregated import M100AggregatedSource
from ftl.data.node_table import ANOMALOUS, NORMAL, UNKNOWN
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.errors import ConfigError, TelemetryError
from tests.data.m100.aggregated_trees import (
    METRICS,
    STATISTICS,
    assert_same_tables,
    node_frame,
    parquet_bytes,
    write_files,
    write_tar,
)

NODES = {"2.parquet": node_frame(2), "3.parquet": node_frame(3, labels=[0, 2, 3, np.nan, 1, 0])}
RACK_1 = {"25.parquet": node_frame(25)}


def tars(folder: Path) -> Path:
    write_tar(folder / "0.tar", NODES)
    write_tar(folder / "1.tar", RACK_1)
    return folder


def tars_with_folders(folder: Path) -> Path:
    write_tar(folder / "0.tar", NODES, "./0/")
    write_tar(folder / "1.tar", RACK_1, "nodes/")
    return folder


def files(folder: Path) -> Path:
    return write_files(folder, {**RACK_1, **NODES})


def files_in_racks(folder: Path) -> Path:
    write_files(folder / "0", NODES)
    write_files(folder / "1", RACK_1)
    return folder


def tar_and_files(folder: Path) -> Path:
    write_tar(folder / "0.tar", NODES)
    return write_files(folder, RACK_1)


@pytest.mark.parametrize("layout", [tars_with_folders, files, files_in_racks, tar_and_files])
def test_every_packing_gives_the_same_fleet(tmp_path: Path, layout: Callable[[Path], Path]) -> None:
    one = M100AggregatedSource(tars(tmp_path / "tars"))
    other = M100AggregatedSource(layout(tmp_path / "other"))
    assert one.node_ids() == other.node_ids() == ["2", "3", "25"]
    assert one.fingerprint() == other.fingerprint()
    assert one.notes == other.notes == ()
    for node_id in one.node_ids():
        assert_same_tables(one.read_node(node_id), other.read_node(node_id))


def test_a_node_is_read_as_the_release_has_it(tmp_path: Path) -> None:
    source = M100AggregatedSource(tars(tmp_path / "m100"))
    table = source.read_node("3")
    assert (source.name, source.origin, source.time_unit, source.window_seconds()) == ("m100", "real", "seconds", 900)
    assert (source.rack_of("2"), source.rack_of("25")) == ("rack-0", "rack-1")
    assert table.features == tuple(f"{metric}_{statistic}" for metric in METRICS for statistic in STATISTICS)
    np.testing.assert_array_equal(table.time, 1583755200 + 900 * np.arange(6))
    np.testing.assert_array_equal(table.values[:, 4], (3100 + np.arange(6) / 8).astype(np.float32))
    np.testing.assert_array_equal(table.label, [NORMAL, ANOMALOUS, UNKNOWN, UNKNOWN, ANOMALOUS, NORMAL])
    assert [array.dtype.name for array in (table.time, table.values, table.label)] == ["int64", "float32", "int8"]
    assert (table.split, table.treatments) == (None, {})


def test_a_single_tar_or_file_is_a_fleet(tmp_path: Path) -> None:
    tars(tmp_path)
    assert M100AggregatedSource(tmp_path / "0.tar").node_ids() == ["2", "3"]
    write_files(tmp_path, RACK_1)
    assert M100AggregatedSource(tmp_path / "25.parquet").node_ids() == ["25"]


def test_state_3_is_an_anomaly_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = files(tmp_path / "m100")
    source = M100AggregatedSource(folder, unknown_is_anomalous=True)
    np.testing.assert_array_equal(source.read_node("3").label, [0, 1, 1, -1, 1, 0])
    assert source.fingerprint() != M100AggregatedSource(folder).fingerprint()


@pytest.mark.parametrize("statistics", [["avg"], ["std", "avg"], ["max", "min"]])
def test_only_the_wanted_statistics_are_read(tmp_path: Path, statistics: list[str]) -> None:
    folder = files(tmp_path / "m100")
    source = M100AggregatedSource(folder, statistics=statistics)
    features = source.read_node("2").features
    assert set(features) == {f"{metric}_{statistic}" for metric in METRICS for statistic in statistics}
    assert source.fingerprint() != M100AggregatedSource(folder).fingerprint()


def test_nodes_keep_their_own_sets_and_orders_of_columns(tmp_path: Path) -> None:
    frame = node_frame(5, metrics=["p0_core4_temp", "ambient"], statistics=["avg"])
    write_files(tmp_path, {"4.parquet": node_frame(4), "5.parquet": frame})
    assert M100AggregatedSource(tmp_path).read_node("5").features == ("p0_core4_temp_avg", "ambient_avg")


@pytest.mark.parametrize("wanted", [{"nodes": ["25", 2]}, {"nodes": (25, 2), "racks": [0, 1]}])
def test_a_choice_of_nodes(tmp_path: Path, wanted: dict[str, Any]) -> None:
    assert M100AggregatedSource(tars(tmp_path), **wanted).node_ids() == ["2", "25"]


def test_a_choice_of_racks_leaves_the_other_tars_closed(tmp_path: Path) -> None:
    folder = tars(tmp_path)
    (folder / "0.tar").write_bytes(b"damaged")
    assert M100AggregatedSource(folder, racks=["1"]).node_ids() == ["25"]
    assert M100AggregatedSource(folder, nodes=[25]).node_ids() == ["25"]


@pytest.mark.parametrize(
    "timestamp",
    [
        lambda time: time.astype("datetime64[ms, UTC]"),
        lambda time: time.astype("datetime64[s, UTC]"),
        lambda time: time.astype("datetime64[us, UTC]"),
        lambda time: time.dt.tz_localize(None),
        lambda time: time.dt.tz_convert("Europe/Rome"),
        lambda time: time.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        lambda time: time.dt.strftime("%Y-%m-%d %H:%M:%S+00:00").astype("category"),
    ],
    ids=["ms", "s", "us", "naive", "rome", "iso text", "iso text in a dictionary"],
)
def test_time_in_any_unit_or_as_text(tmp_path: Path, timestamp: Callable[[pd.Series], pd.Series]) -> None:
    frame = node_frame(2)
    write_files(tmp_path, {"2.parquet": frame.assign(timestamp=timestamp(frame["timestamp"]))})
    table = M100AggregatedSource(tmp_path).read_node("2")
    np.testing.assert_array_equal(table.time, 1583755200 + 900 * np.arange(6))


def test_stray_columns_are_counted_and_no_features(tmp_path: Path) -> None:
    stray = {"__index_level_0__": np.arange(6), "node": 2, "rack_id": 0, "New_label": 2, "value_avg": 1.0, "uptime": 5}
    frame = node_frame(2, metrics=["ambient"], statistics=["avg"]).assign(**stray)
    write_files(tmp_path, {"2.parquet": frame})
    table = M100AggregatedSource(tmp_path).read_node("2")
    assert table.features == ("ambient_avg",)
    assert table.treatments == {
        **{f"column '{name}' ignored: it could be a label, a time or an index": 1 for name in [*stray][:-1]},
        "column 'uptime' ignored: its name ends in none of _avg, _std, _min, _max": 1,
    }


def test_a_file_that_names_another_node_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {"2.parquet": node_frame(2).assign(node=3)})
    with pytest.raises(TelemetryError, match=r"2.parquet: node 2: its column 'node' names 3; see which node's"):
        M100AggregatedSource(tmp_path).read_node("2")


def test_duplicate_and_unordered_windows_are_counted(tmp_path: Path) -> None:
    frame = node_frame(2, labels=[0, 2, 0, 0, 0, 0])
    frame = frame.iloc[[0, 2, 1, 1, 3, 4, 5, 5]]
    write_tar(tmp_path / "0.tar", {"2.parquet": frame})
    table = M100AggregatedSource(tmp_path).read_node("2")
    np.testing.assert_array_equal(np.diff(table.time), [900] * 5)
    np.testing.assert_array_equal(table.label, [0, 1, 0, 0, 0, 0])
    assert table.treatments == {
        "rows out of time order sorted": 2,
        "duplicate time steps dropped": 2,
        "dropped duplicates labelled anomalous": 1,
    }


@pytest.mark.parametrize("labels", [[3] * 6, [np.nan] * 6, [3, np.nan] * 3])
def test_a_node_without_any_known_label_is_read(tmp_path: Path, labels: list[float]) -> None:
    write_files(tmp_path, {"2.parquet": node_frame(2, labels=labels)})
    np.testing.assert_array_equal(M100AggregatedSource(tmp_path).read_node("2").label, [UNKNOWN] * 6)


def test_a_file_without_labels_is_counted(tmp_path: Path) -> None:
    write_files(tmp_path, {"2.parquet": node_frame(2).drop(columns="value")})
    table = M100AggregatedSource(tmp_path).read_node("2")
    np.testing.assert_array_equal(table.label, [UNKNOWN] * 6)
    assert table.treatments == {"rows without a label: there is no column 'value'": 6}


def test_missing_values_stay_missing_and_infinite_ones_are_counted(tmp_path: Path) -> None:
    frame = node_frame(2, metrics=["ambient"], statistics=["avg"])
    frame["ambient_avg"] = [1, np.nan, np.inf, 4, 5, 6]
    write_files(tmp_path, {"2.parquet": frame})
    table = M100AggregatedSource(tmp_path).read_node("2")
    np.testing.assert_array_equal(table.values[:, 0], [1, np.nan, np.nan, 4, 5, 6])
    assert table.treatments == {"infinite values set to missing": 1}


@pytest.mark.parametrize("write", [write_files, lambda folder, nodes: write_tar(folder / "0.tar", nodes).parent])
def test_empty_files_give_nodes_without_rows(tmp_path: Path, write: Callable[[Path, dict[str, Any]], Path]) -> None:
    source = M100AggregatedSource(
        write(tmp_path, {"2.parquet": node_frame(2), "3.parquet": node_frame(3, 0), "4.parquet": b""})
    )
    assert [len(source.read_node(node_id).time) for node_id in source.node_ids()] == [6, 0, 0]
    assert len(source.notes) == 1
    assert source.notes[0].startswith("node files without a byte: ")
    assert "4.parquet" in source.notes[0]


def test_short_nodes_are_read_and_left_out_of_a_fleet(tmp_path: Path) -> None:
    """Eleven files of the release have 1 to 89 rows."""
    labels = [0] * 150 + [2] * 50
    nodes = {f"{node}.parquet": node_frame(node, 200, labels) for node in (2, 3)}
    write_tar(tmp_path / "0.tar", {**nodes, "4.parquet": node_frame(4, 1), "5.parquet": node_frame(5, 0)})
    source = M100AggregatedSource(tmp_path / "0.tar")
    assert len(source.read_node("4").time) == 1
    fleet = prepare_fleet(source, PrepareSettings(), "rigorous", tmp_path / "fleet")
    assert fleet.node_ids == ("2", "3")
    assert fleet.racks == ("rack-0", "rack-0")
    assert len(fleet.features) == 12


def test_a_source_can_be_read_in_another_process(tmp_path: Path) -> None:
    source = M100AggregatedSource(tars(tmp_path))
    assert_same_tables(source.read_node("3"), pickle.loads(pickle.dumps(source)).read_node("3"))


def test_units_follow_from_the_metrics(tmp_path: Path) -> None:
    units = M100AggregatedSource(files(tmp_path)).units
    assert (units["ambient_avg"], units["p0_power_std"], units["fan0_0_max"]) == ("degC", "W", "RPM")
    assert "gv100card0_avg" not in units
    assert set(M100AggregatedSource(tmp_path, statistics=["avg"]).units) == {
        key for key in units if key.endswith("avg")
    }


def test_files_that_are_no_nodes_are_named(tmp_path: Path) -> None:
    files(tmp_path)
    write_files(tmp_path, {"README.md": b"", "summary.parquet": b"", ".hidden.parquet": b""})
    write_files(tmp_path, {"SOURCE.json": b"{}", "7.tar.0a1b2c3d.part": b""})
    write_tar(tmp_path / "9.tar", {"readme.txt": b"nothing"})
    (tmp_path / "fleet.yaml").write_text("source: m100_aggregated")
    assert M100AggregatedSource(tmp_path).notes == (
        "files that are no node's: '9.tar (without node files)', 'README.md', 'summary.parquet'",
        "unfinished downloads, not read: '7.tar.0a1b2c3d.part'",
    )


# What is damaged


def cuts(content: bytes) -> dict[str, int]:
    """Where a tar of three members may be cut short: each place loses at least one node, or its tail."""
    second = content.index(b"3.parquet")
    return {
        "first header": 300,
        "first data": 1000,
        "before the second header": second,
        "inside the second header": second + 200,
        "inside the second data": second + 1500,
        "before the end": len(content.rstrip(b"\0")) // 512 * 512 + 512,
    }


@pytest.mark.parametrize("place", cuts(b"3.parquet"))
def test_a_tar_cut_short_anywhere_is_named(tmp_path: Path, place: str) -> None:
    path = write_tar(tmp_path / "0.tar", {**NODES, "4.parquet": node_frame(4)})
    content = path.read_bytes()
    path.write_bytes(content[: cuts(content)[place]])
    with pytest.raises(TelemetryError, match=r"0.tar: cannot be read as a tar .*cut short.*fetch it again"):
        M100AggregatedSource(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", parquet_bytes(node_frame(2))], ids=["empty", "text", "parquet"])
def test_a_file_that_is_no_tar_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0.tar").write_bytes(content)
    with pytest.raises(TelemetryError, match=r"0.tar: cannot be read as a tar"):
        M100AggregatedSource(tmp_path)


def test_a_damaged_header_inside_a_tar_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", NODES)
    content = bytearray(path.read_bytes())
    start = content.index(b"3.parquet")
    content[start : start + 512] = b"x" * 512
    path.write_bytes(content)
    with pytest.raises(TelemetryError, match=r"0.tar: cannot be read as a tar"):
        M100AggregatedSource(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_member_cut_short_is_named_and_the_others_are_read(tmp_path: Path, share: float) -> None:
    whole = parquet_bytes(node_frame(3))
    write_tar(tmp_path / "0.tar", {"2.parquet": node_frame(2), "3.parquet": whole[: int(share * len(whole))]})
    source = M100AggregatedSource(tmp_path)
    assert len(source.read_node("2").time) == 6
    with pytest.raises(TelemetryError, match=r"0.tar: 3.parquet: node 3: cannot be read .*damaged or cut short"):
        source.read_node("3")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"3.parquet": parquet_bytes(node_frame(3))[:-20]})
    with pytest.raises(TelemetryError, match=r"3.parquet: node 3: cannot be read"):
        M100AggregatedSource(tmp_path).read_node("3")


def test_a_node_that_has_two_files_is_refused(tmp_path: Path) -> None:
    write_files(tars(tmp_path), {"2.parquet": node_frame(2)})
    with pytest.raises(TelemetryError, match=r"two files of node 2: '0.tar: 2.parquet', '2.parquet'; keep one"):
        M100AggregatedSource(tmp_path)


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (node_frame(2).rename(columns={"timestamp": "time"}), {}, "no column 'timestamp' among 'time', 'ambient_avg'"),
        (node_frame(2, metrics=[]), {}, "no column ends in _avg, _std, _min, _max: 'timestamp', 'value'"),
        (
            node_frame(2, statistics=["avg"]),
            {"statistics": ["avg", "std"]},
            "no column ends in _std, which 'statistics",
        ),
        (
            node_frame(2).assign(ambient_avg="warm"),
            {},
            "feature column 'ambient_avg' holds text, first 'warm' in row 0",
        ),
        (node_frame(2, labels=[0, 7, 0, 0, 0, 0]), {}, "label column 'value' has the values 7.0; known: 0.0, 1.0"),
        (node_frame(2).assign(value="ok"), {}, "label column 'value' has the values 'ok'"),
        (node_frame(2).assign(timestamp=np.arange(6)), {}, "time column 'timestamp' holds plain numbers"),
        (node_frame(2).assign(timestamp="soon"), {}, "row 0 has 'soon', which is no ISO date"),
    ],
)
def test_a_table_of_another_kind_is_explained(
    tmp_path: Path, frame: pd.DataFrame, settings: dict[str, Any], message: str
) -> None:
    write_files(tmp_path, {"2.parquet": frame})
    with pytest.raises(TelemetryError, match=f"2.parquet: node 2: .*{message}"):
        M100AggregatedSource(tmp_path, **settings).read_node("2")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nodes": [2, 7]}, "no file of the nodes 7; the release lacks some"),
        ({"racks": [0, 3]}, "no file of any node of the racks 3"),
        ({"nodes": [2], "racks": [1]}, "no file of|no rack tar"),
    ],
)
def test_wanted_nodes_must_be_there(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TelemetryError, match=message):
        M100AggregatedSource(tars(tmp_path), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nodes": "17"}, r"nodes: must be a list of numbers such as \[5, 17\]; got '17'"),
        ({"nodes": ["r205n01"]}, r"nodes: must be a list of numbers .*'r205n01'"),
        ({"racks": []}, "racks: must be a list of numbers"),
        ({"racks": [-1]}, "racks: must be a list of numbers"),
        ({"statistics": ["mean"]}, "statistics: must be a list out of avg, std, min, max; got"),
        ({"statistics": "avg"}, "statistics: must be a list"),
    ],
)
def test_a_wrong_setting_is_explained(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"m100_aggregated: {message}"):
        M100AggregatedSource(tars(tmp_path), **settings)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: None, "nowhere: no such folder"),
        (lambda path: path.mkdir(), "nowhere: no rack tar .* no node file"),
    ],
)
def test_a_folder_without_nodes_is_explained(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(tmp_path / "nowhere")
    with pytest.raises(TelemetryError, match=message):
        M100AggregatedSource(tmp_path / "nowhere")


# One file with the rows of all nodes


def test_one_file_with_a_node_column_reads_as_a_file_per_node(tmp_path: Path) -> None:
    frames = {node: node_frame(node, labels=[0, 2, 3, np.nan, 1, 0]) for node in (2, 3, 25)}
    apart = M100AggregatedSource(
        write_files(tmp_path / "apart", {f"{node}.parquet": frame for node, frame in frames.items()})
    )
    long = pd.concat([frame.assign(node=node) for node, frame in frames.items()]).sample(frac=1, random_state=0)
    together = M100AggregatedSource(write_files(tmp_path / "together", {"rack.parquet": long}))
    assert together.node_ids() == apart.node_ids()
    for node_id in apart.node_ids():
        one, other = apart.read_node(node_id), together.read_node(node_id)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.label, other.label)
        assert one.features == other.features
    assert M100AggregatedSource(tmp_path / "together", racks=[1]).node_ids() == ["25"]
    assert M100AggregatedSource(tmp_path / "together" / "rack.parquet", nodes=[3]).node_ids() == ["3"]


# Real bytes and real numbers


def test_the_real_sample_of_rack_0_is_read(checkout: Path) -> None:
    sample = checkout.parent / "shared" / "data" / "m100_rack0_sample"
    if not sample.is_dir():
        pytest.skip("the sample of Marconi100's rack 0 is not beside this checkout")
    source = M100AggregatedSource(sample)
    frame = pd.read_parquet(sample / "rack0_10windows_avg.parquet")
    assert source.node_ids() == [str(node) for node in (*range(2, 12), 13, 14, 16, 17, 18, 19)]
    for node_id in source.node_ids():
        table = source.read_node(node_id)
        rows = frame[frame["node"] == int(node_id)]
        assert table.values.shape == (10, 88)
        assert source.rack_of(node_id) == "rack-0"
        np.testing.assert_array_equal(np.diff(table.time), [900] * 9)
        assert table.time[0] == 1583755200
        np.testing.assert_array_equal(table.label, [UNKNOWN] * 10)
        np.testing.assert_array_equal(table.values, rows[list(table.features)].to_numpy(np.float32))
        assert table.treatments == {"column 'rack_id' ignored: it could be a label, a time or an index": 1}
    unitless = [feature for feature in table.features if feature not in source.units]
    assert unitless == [f"gv100card{card}_avg" for card in (0, 1, 3, 4)]


def test_the_real_label_counts_come_back_through_the_reader(checkout: Path, tmp_path: Path) -> None:
    """Every 20th node of the release, its counts divided by 100, in tars of its racks."""
    path = checkout.parent / "shared" / "data" / "m100_label_stats" / "label_counts_per_node.csv"
    if not path.is_file():
        pytest.skip("the label counts of Marconi100's nodes are not beside this checkout")
    counts = pd.read_csv(path).set_index("node").iloc[::20] // 100
    expected = counts[["state0_rows", "state2_rows", "unknown_rows"]].astype(int)
    rng = np.random.default_rng(0)
    for rack, nodes in expected.groupby(expected.index // 20):
        members = {}
        for node, (normal, critical, unknown) in zip(nodes.index, nodes.to_numpy(), strict=True):
            labels = [0.0] * normal + [2.0] * critical + [3.0, np.nan] * (unknown // 2) + [3.0] * (unknown % 2)
            frame = node_frame(node, len(labels), rng.permutation(labels), ["ambient"], ["avg"])
            members[f"{node}.parquet"] = frame
        write_tar(tmp_path / f"{rack}.tar", members)
    source = M100AggregatedSource(tmp_path)
    assert source.node_ids() == [str(node) for node in expected.index]
    for node, wanted in expected.iterrows():
        label = source.read_node(str(node)).label
        assert [int((label == code).sum()) for code in (NORMAL, ANOMALOUS, UNKNOWN)] == wanted.tolist()
