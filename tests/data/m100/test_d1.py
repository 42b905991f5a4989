import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftl.data.m100.d1 import M100D1Source
from ftl.errors import ConfigError, TelemetryError
from tests.data.m100.aggregated_trees import START, parquet_bytes, write_files


def frame(n_rows: int = 6, **more: Any) -> pd.DataFrame:
    """A node of the dump: windows of 15 minutes, features, the older and the refined annotation."""
    columns = {
        "timestamp": START + pd.to_timedelta(15 * np.arange(n_rows), unit="min"),
        "avg:total_power": np.linspace(300, 400, n_rows),
        "var:cpu_idle": np.linspace(0, 1, n_rows),
        "label": np.arange(n_rows) % 2,
        "New_label": np.arange(n_rows) % 3 % 2 * 2,
        **more,
    }
    return pd.DataFrame({name: column for name, column in columns.items() if column is not None})


def gzip_bytes(table: pd.DataFrame) -> bytes:
    return parquet_bytes(table, "gzip")


def test_a_dump_is_read_with_its_refined_labels(tmp_path: Path) -> None:
    write_files(tmp_path, {"10.parquet.gzip": gzip_bytes(frame()), "9.parquet.gzip": gzip_bytes(frame())})
    source = M100D1Source(tmp_path, name="d1")
    table = source.read_node("9")
    assert (source.name, source.origin, source.time_unit, source.window_seconds()) == ("d1", "real", "seconds", 900)
    assert source.node_ids() == ["9", "10"]
    assert source.rack_of("9") is None
    assert table.features == ("avg:total_power", "var:cpu_idle")
    np.testing.assert_array_equal(table.time, 1583755200 + 900 * np.arange(6))
    np.testing.assert_array_equal(table.label, [0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(table.values[:, 1], np.linspace(0, 1, 6).astype(np.float32))
    assert table.treatments == {"column 'label' ignored: it could be a label, a time or an index": 1}


def test_the_older_annotation_can_be_chosen(tmp_path: Path) -> None:
    write_files(tmp_path, {"10.gzip": gzip_bytes(frame())})
    source = M100D1Source(tmp_path, label_column="label")
    table = source.read_node("10")
    np.testing.assert_array_equal(table.label, [0, 1, 0, 1, 0, 1])
    assert table.features == ("avg:total_power", "var:cpu_idle")
    assert source.fingerprint() != M100D1Source(tmp_path).fingerprint()


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["node_7_gzip.parquet", "node_12_gzip.parquet"], ["7", "12"]),
        (["007.gzip", "12.gzip"], ["7", "12"]),
        (["m100_a_gzip.parquet", "m100_b_gzip.parquet"], ["m100_a_gzip", "m100_b_gzip"]),
        (["r205n01.parquet.gzip", "r205n02.parquet.gzip"], ["r205n01", "r205n02"]),
        (["login.gzip"], ["login"]),
    ],
)
def test_node_ids_come_from_the_file_names(tmp_path: Path, names: list[str], ids: list[str]) -> None:
    write_files(tmp_path, {name: gzip_bytes(frame()) for name in names})
    assert M100D1Source(tmp_path).node_ids() == ids


def test_two_files_of_one_node_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {"7.gzip": b"", "7.parquet.gzip": b""})
    with pytest.raises(TelemetryError, match=r"two files of node 7: '7.gzip', '7.parquet.gzip'; keep one"):
        M100D1Source(tmp_path)


def test_empty_files_give_nodes_without_rows(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.gzip": gzip_bytes(frame()), "2.gzip": gzip_bytes(frame(0)), "3.gzip": b""})
    write_files(tmp_path, {"README.md": b"", "4.parquet": b"", "SOURCE.json": b"", "5.gzip.part": b""})
    source = M100D1Source(tmp_path)
    assert [len(source.read_node(node_id).time) for node_id in source.node_ids()] == [6, 0, 0]
    assert source.notes == (
        "files without 'gzip' in their names: '4.parquet', 'README.md'",
        "unfinished downloads, not read: '5.gzip.part'",
        "node files without a byte: '3.gzip'",
    )


def test_labels_3_and_empty_are_unknown(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.gzip": gzip_bytes(frame(New_label=[3, np.nan] * 3))})
    np.testing.assert_array_equal(M100D1Source(tmp_path).read_node("1").label, [-1] * 6)


def test_duplicate_and_unordered_windows_are_counted(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.gzip": gzip_bytes(frame().iloc[[1, 0, 2, 2, 3, 4, 5]])})
    table = M100D1Source(tmp_path).read_node("1")
    np.testing.assert_array_equal(np.diff(table.time), [900] * 5)
    assert table.treatments["rows out of time order sorted"] == 1
    assert table.treatments["duplicate time steps dropped"] == 1


def test_columns_of_text_can_be_ignored(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.gzip": gzip_bytes(frame(os_name="Linux"))})
    with pytest.raises(TelemetryError, match=r"1.gzip: node 1: feature column 'os_name' holds text, first 'Linux'"):
        M100D1Source(tmp_path).read_node("1")
    assert M100D1Source(tmp_path, ignore=["os_name"]).read_node("1").features == ("avg:total_power", "var:cpu_idle")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip_bytes(frame())[:-30], "cannot be read .*damaged or cut short"),
        (b"hello", "cannot be read"),
        (gzip_bytes(frame(New_label=None)), "no column 'New_label' among 'timestamp'"),
        (gzip_bytes(frame(timestamp=None)), "no column 'timestamp' among"),
        (gzip_bytes(frame(New_label=[0, 5] * 3)), "label column 'New_label' has the values 5"),
        (gzip_bytes(frame()[["timestamp", "label", "New_label"]]), "no numeric feature column"),
    ],
    ids=["cut short", "no parquet", "no label", "no time", "odd label", "no feature"],
)
def test_a_file_that_cannot_be_used_is_explained(tmp_path: Path, content: bytes, message: str) -> None:
    write_files(tmp_path, {"1.gzip": content, "2.gzip": gzip_bytes(frame())})
    source = M100D1Source(tmp_path)
    assert len(source.read_node("2").time) == 6
    with pytest.raises(TelemetryError, match=f"1.gzip: node 1: {message}"):
        source.read_node("1")


def test_a_folder_without_such_files_is_explained(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.parquet": b""})
    with pytest.raises(TelemetryError, match="no file with 'gzip' in its name, only '1.parquet'"):
        M100D1Source(tmp_path)
    with pytest.raises(TelemetryError, match="nowhere: no such folder"):
        M100D1Source(tmp_path / "nowhere")


@pytest.mark.parametrize("column", ["avg:total_power", "timestamp", None])
def test_a_feature_cannot_be_the_label(tmp_path: Path, column: Any) -> None:
    with pytest.raises(ConfigError, match="m100_d1: label_column: must be New_label or label; got"):
        M100D1Source(tmp_path, label_column=column)


def test_a_dump_can_be_read_in_another_process(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.gzip": gzip_bytes(frame())})
    source = pickle.loads(pickle.dumps(M100D1Source(tmp_path)))
    assert len(source.read_node("1").time) == 6
