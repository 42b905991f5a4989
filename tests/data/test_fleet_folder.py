import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from ftl.data.fleet_folder import FleetFolder
from ftl.data.sources import open_source
from ftl.errors import ConfigError, TelemetryError

WriteNode = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "fleet"
    path.mkdir()
    return path


@pytest.fixture
def node(folder: Path) -> WriteNode:
    """Writes a node table of 6 steps with features a and b; keyword arguments add or replace columns (None removes)."""

    def write(file: str = "n1.parquet", **columns: Any) -> Path:
        content = {"step": np.arange(6), "a": np.linspace(0, 1, 6), "b": np.linspace(5, 6, 6), **columns}
        table = pd.DataFrame({name: column for name, column in content.items() if column is not None})
        path = folder / file
        table.to_parquet(path, index=False) if file.endswith("parquet") else table.to_csv(path, index=False)
        return path

    return write


def describe(folder: Path, **content: Any) -> None:
    (folder / "fleet.yaml").write_text(json.dumps(content))  # JSON is YAML


@pytest.mark.parametrize("file", ["n1.parquet", "n1.csv", "n1.csv.gz"])
def test_parquet_and_csv_give_the_same_table(folder: Path, node: WriteNode, file: str) -> None:
    node(file, label=[0, 0, 1, 1, None, 0], split=["train"] * 4 + ["test"] * 2, on=[True, False] * 3)
    table = FleetFolder(folder).read_node("n1")
    assert table.features == ("a", "b", "on")
    np.testing.assert_array_equal(table.time, np.arange(6))
    np.testing.assert_allclose(table.values[:, 1], np.linspace(5, 6, 6), rtol=1e-6)
    np.testing.assert_array_equal(table.values[:, 2], [1, 0] * 3)
    np.testing.assert_array_equal(table.label, [0, 0, 1, 1, -1, 0])
    np.testing.assert_array_equal(table.split, [0, 0, 0, 0, 1, 1])
    assert [array.dtype.name for array in (table.time, table.values, table.label)] == ["int64", "float32", "int8"]
    assert table.treatments == {"columns of true and false read as 1 and 0": 1}


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2020-03-09 12:00", periods=6, freq="15min", tz="UTC"),
        pd.date_range("2020-03-09 12:00", periods=6, freq="15min"),
        pd.date_range("2020-03-09 13:00", periods=6, freq="15min", tz="Europe/Rome"),
        pd.date_range("2020-03-09 12:00", periods=6, freq="15min", tz="UTC").astype("datetime64[ms, UTC]"),
        pd.date_range("2020-03-09 12:00:00.7", periods=6, freq="15min"),
        [f"2020-03-09T{12 + quarter // 4}:{quarter % 4 * 15:02}:00+00:00" for quarter in range(6)],
        [f"2020-03-09 {13 + quarter // 4}:{quarter % 4 * 15:02}:00+01:00" for quarter in range(6)],
    ],
    ids=["utc", "naive is utc", "zone", "milliseconds", "fraction", "iso text", "iso text with zone"],
)
@pytest.mark.parametrize("file", ["n1.parquet", "n1.csv"])
def test_dates_become_epoch_seconds_utc(folder: Path, node: WriteNode, file: str, column: Any) -> None:
    node(file, step=None, timestamp=column)
    source = FleetFolder(folder)
    assert source.time_unit == "seconds"
    np.testing.assert_array_equal(source.read_node("n1").time, 1583755200 + 900 * np.arange(6))


def test_nodes_come_in_natural_order(folder: Path, node: WriteNode) -> None:
    for name in ("omi-10.csv", "omi-2.parquet", "omi-1.csv.gz"):
        node(name)
    assert FleetFolder(folder).node_ids() == ["omi-1", "omi-2", "omi-10"]


def test_other_files_are_named(folder: Path, node: WriteNode) -> None:
    node()
    (folder / "README.md").write_text("telemetry")
    (folder / "old").mkdir()
    assert FleetFolder(folder).notes == ("files that are no node tables: README.md, old",)


def test_fleet_yaml_says_what_differs(folder: Path, node: WriteNode) -> None:
    node(step=None, at=np.arange(6) * 900_000, value=[0, 2, 3, None, 0, 0], host=["r1"] * 6, part=["train", "test"] * 3)
    describe(
        folder,
        name="rack-4",
        time="at",
        time_unit="milliseconds",
        label={"column": "value", "anomalous": [2], "unknown": [3]},
        split="part",
        ignore=["host"],
        window_minutes=15,
        racks={"n1": "r205"},
    )
    source = FleetFolder(folder)
    table = source.read_node("n1")
    assert (source.name, source.origin, source.time_unit, source.window_seconds()) == ("rack-4", "real", "seconds", 900)
    assert (source.rack_of("n1"), source.rack_of("n2")) == ("r205", None)
    assert table.features == ("a", "b")
    np.testing.assert_array_equal(table.time, 900 * np.arange(6))
    np.testing.assert_array_equal(table.label, [0, 1, -1, -1, 0, 0])
    np.testing.assert_array_equal(table.split, [0, 1] * 3)
    assert table.treatments == {"column 'host' ignored as fleet.yaml says": 1}


@pytest.mark.parametrize(
    "name",
    ["value", "New_label", "new_label", "state", "nagiosdrained", "node", "rack_id", "__index_level_0__", "Unnamed: 0"],
)
def test_a_column_that_could_be_a_label_is_no_feature(folder: Path, node: WriteNode, name: str) -> None:
    node(**{name: np.full(6, 2)})
    table = FleetFolder(folder).read_node("n1")
    assert table.features == ("a", "b")
    assert table.treatments == {f"column '{name}' ignored: it could be a label, a time or an index": 1}


def test_labels_given_as_text_can_be_mapped(folder: Path, node: WriteNode) -> None:
    node("n1.csv", health=["ok", "down", "ok", "", "odd", "ok"])
    describe(folder, label={"column": "health", "normal": ["ok"], "anomalous": ["down"], "unknown": ["odd"]})
    np.testing.assert_array_equal(FleetFolder(folder).read_node("n1").label, [0, 1, 0, -1, -1, 0])


def test_without_a_label_column_every_label_is_unknown(folder: Path, node: WriteNode) -> None:
    node()
    np.testing.assert_array_equal(FleetFolder(folder).read_node("n1").label, [-1] * 6)


def test_unordered_time_is_sorted_and_the_first_of_equal_steps_kept(folder: Path, node: WriteNode) -> None:
    node(step=[0, 2, 1, 3, 3, None], a=[0.0, 20, 10, 30, 31, 99], label=[0, 0, 0, 1, 0, 0])
    table = FleetFolder(folder).read_node("n1")
    np.testing.assert_array_equal(table.time, [0, 1, 2, 3])
    np.testing.assert_array_equal(table.values[:, 0], [0, 10, 20, 30])
    np.testing.assert_array_equal(table.label, [0, 0, 0, 1])
    assert table.treatments == {
        "rows without a time dropped": 1,
        "rows out of time order sorted": 1,
        "duplicate time steps dropped": 1,
        "dropped duplicates that differ from the row kept, the first of their time": 1,
    }


def test_the_first_of_equal_steps_is_the_first_of_the_file(folder: Path, node: WriteNode) -> None:
    node(step=np.tile(np.arange(300)[::-1], 2), a=np.arange(600.0), b=np.zeros(600))
    table = FleetFolder(folder).read_node("n1")
    np.testing.assert_array_equal(table.values[:, 0], np.arange(300)[::-1])
    assert table.treatments == {
        "rows out of time order sorted": 598,
        "duplicate time steps dropped": 300,
        "dropped duplicates that differ from the row kept, the first of their time": 300,
    }


def test_infinite_values_become_missing_and_are_counted(folder: Path, node: WriteNode) -> None:
    node(a=[0.0, np.inf, -np.inf, 1e300, np.nan, 1])
    table = FleetFolder(folder).read_node("n1")
    np.testing.assert_array_equal(np.isnan(table.values[:, 0]), [False, True, True, True, True, False])
    assert table.treatments == {"infinite values set to missing": 3}


def test_text_that_is_all_numbers_is_read_and_counted(folder: Path, node: WriteNode) -> None:
    node(a=["1", " 2.5", "", None, "nan", "-3e1"])
    table = FleetFolder(folder).read_node("n1")
    np.testing.assert_array_equal(table.values[:, 0], np.array([1, 2.5, np.nan, np.nan, np.nan, -30], np.float32))
    assert table.treatments == {"columns of text read as numbers": 1}


def test_a_table_without_rows_gives_a_node_without_rows(folder: Path, node: WriteNode) -> None:
    node("n1.parquet")
    pd.DataFrame({"step": [], "a": []}).to_parquet(folder / "n2.parquet")
    (folder / "n3.csv").write_text("step,a\n")
    (folder / "n4.csv").write_text("")
    source = FleetFolder(folder)
    assert [len(source.read_node(name).time) for name in source.node_ids()] == [6, 0, 0, 0]


def test_fingerprint_follows_the_content(folder: Path, node: WriteNode) -> None:
    node()
    before = FleetFolder(folder).fingerprint()
    assert FleetFolder(folder).fingerprint() == before
    describe(folder, window_minutes=5)
    described = FleetFolder(folder).fingerprint()
    node(a=np.ones(6))
    assert len({before, described, FleetFolder(folder).fingerprint()}) == 3


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="nowhere: no such folder"):
        FleetFolder(tmp_path / "nowhere")


def test_a_file_is_no_folder(node: WriteNode) -> None:
    with pytest.raises(TelemetryError, match="n1.parquet: is a file; give the folder"):
        FleetFolder(node())


def test_an_empty_folder_is_named(folder: Path) -> None:
    with pytest.raises(TelemetryError, match="fleet: no node table .*, nothing in it"):
        FleetFolder(folder)


def test_a_folder_without_tables_says_what_it_holds(folder: Path) -> None:
    (folder / "notes.txt").write_text("")
    with pytest.raises(TelemetryError, match=r"no node table .*only 'notes.txt' in it"):
        FleetFolder(folder)


def test_a_folder_whose_tables_are_all_empty_is_refused(folder: Path) -> None:
    (folder / "n1.csv").write_text("step,a\n")
    with pytest.raises(TelemetryError, match="none of the 1 node tables has a row"):
        FleetFolder(folder)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_parquet_file_is_named(folder: Path, node: WriteNode, share: float) -> None:
    node("n1.parquet")
    path = node("n2.parquet")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(TelemetryError, match=r"n2.parquet: node n2: cannot be read .*copy it again"):
        FleetFolder(folder).read_node("n2")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("n1.csv", b"step,a,b\n0,1,2\n1,1\n"),
        ("n1.csv", b"step,a\n0,1\n1,1,7\n"),
        ("n1.csv.gz", gzip.compress(b"step,a\n0,1\n1,1\n")[:-9]),
        ("n1.csv.gz", b"step,a\n0,1\n"),
        ("n1.parquet", b"step,a\n0,1\n"),
    ],
    ids=["line cut short", "line too long", "gzip cut short", "no gzip", "no parquet"],
)
def test_a_damaged_file_is_named(folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(TelemetryError, match=f"{file}: node n1: cannot be read"):
        FleetFolder(folder).read_node("n1")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"step": None}, "no time column 'timestamp' or 'step' among 'a', 'b'; .*'time' in fleet.yaml"),
        ({"a": None, "b": None}, "no numeric feature column among 'step'"),
        ({"a": None, "b": None, "value": [0] * 6}, "no numeric feature column among 'step', 'value'"),
        (
            {"a": ["1", "x7", "2", "3", "4", "5"]},
            "feature column 'a' holds text, first 'x7' in row 1; add it to 'ignore'",
        ),
        ({"a": pd.date_range("2020", periods=6)}, "feature column 'a' holds timestamp.*add it to 'ignore'"),
        ({"a": [[1]] * 6}, "feature column 'a' holds list.*add it to 'ignore'"),
        ({"label": [0, 1, 2, 5, 0, 0]}, r"label column 'label' has the values 2, 5; known: 0.0, 1.0.*fleet.yaml"),
        ({"split": ["train"] * 5 + ["valid"]}, "split column 'split' must hold train or test.*got 'valid'"),
        ({"split": ["train"] * 5 + [None]}, r"split column 'split' must hold train or test.*got '\(empty\)'"),
        ({"step": [0, 1, 2, 3, 4, 5.5]}, "time column 'step' must hold whole numbers; row 5 has 5.5"),
        (
            {"step": None, "timestamp": ["2020-01-01"] * 5 + ["soon"]},
            "'timestamp': row 5 has 'soon', which is no ISO date",
        ),
        ({"step": None, "timestamp": np.arange(6)}, "time column 'timestamp' holds plain numbers; .*'time_unit'"),
    ],
)
@pytest.mark.parametrize("file", ["n1.parquet", "n1.csv"])
def test_a_table_that_cannot_be_used_is_explained(
    folder: Path, node: WriteNode, file: str, columns: dict[str, Any], message: str
) -> None:
    if file.endswith("csv") and "holds" in message and "text" not in message and "plain" not in message:
        columns, message = {"a": ["[1]"] * 6}, "feature column 'a' holds text"
    node(file, **columns)
    with pytest.raises(TelemetryError, match=f"{file}: node n1: .*{message}"):
        FleetFolder(folder).read_node("n1")


def test_two_files_of_one_node_are_refused(folder: Path, node: WriteNode) -> None:
    node("n1.csv")
    node("n1.parquet")
    with pytest.raises(TelemetryError, match="two tables of node n1: n1.csv and n1.parquet"):
        FleetFolder(folder)


def test_opening_a_folder_reads_no_table(folder: Path, node: WriteNode) -> None:
    """What is damaged behind a whole footer, or late in a long csv file, shows when its node is read."""
    (folder / "n1.csv").write_text("step,a\n" + "".join(f"{step},1\n" for step in range(300_000)) + "300000,1,1\n")
    path = node("n2.parquet")
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    node("n3.parquet")
    source = FleetFolder(folder)
    assert len(source.read_node("n3").time) == 6
    for broken in ("n1.csv: node n1", "n2.parquet: node n2"):
        with pytest.raises(TelemetryError, match=f"{broken}: cannot be read"):
            source.read_node(broken[-2:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"step;a\n0;1,5\n", "its columns are separated by semicolons; write it with commas"),
        (b"step\ta\n0\t1\n", "its columns are separated by tabs"),
        ("step,a\n0,1\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("step,Lüfter\n0,1\n".encode("latin-1"), "cannot be read .*save it as UTF-8"),
    ],
    ids=["semicolons", "tabs", "utf-16", "latin-1"],
)
def test_a_csv_file_of_another_kind_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / "n1.csv").write_bytes(content)
    with pytest.raises(TelemetryError, match=f"n1.csv: node n1: {message}"):
        FleetFolder(folder)


def test_a_byte_order_mark_belongs_to_no_column(folder: Path) -> None:
    (folder / "n1.csv").write_bytes("step,a\n0,1\n1,2\n".encode("utf-8-sig"))
    assert FleetFolder(folder).read_node("n1").features == ("a",)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([True] * 6), "holds bool, which is no date"),
        (pa.array([[1]] * 6), "holds list.*, which is no date"),
        (pa.array([2**64 - 1] * 6, pa.uint64()), "must hold whole numbers; row 0 has"),
        (pa.array([1.6e12 + 900e3 * row for row in range(6)]), "most rows lie after the year 2100.*'time_unit'"),
    ],
    ids=["bool", "list", "too large", "milliseconds as seconds"],
)
def test_a_time_column_of_a_wrong_type_is_named(folder: Path, column: pa.Array, message: str) -> None:
    pa.parquet.write_table(pa.table({"at": column, "a": [1.0] * 6}), folder / "n1.parquet")
    describe(folder, time="at", time_unit="seconds")
    with pytest.raises(TelemetryError, match=f"n1.parquet: node n1: .*'at' .*{message}"):
        FleetFolder(folder).read_node("n1")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([18330 + day for day in range(6)], pa.date32()),
        pa.array([f"2020-03-{day:02}" for day in range(9, 15)]).dictionary_encode(),
        pa.array([None, *(f"2020-03-{day:02}" for day in range(9, 15)), ""]),
    ],
    ids=["date", "dictionary", "empty cells"],
)
def test_time_may_be_any_kind_of_date(folder: Path, column: pa.Array) -> None:
    pa.parquet.write_table(pa.table({"timestamp": column, "a": [1.0] * len(column)}), folder / "n1.parquet")
    table = FleetFolder(folder).read_node("n1")
    np.testing.assert_array_equal(table.time, 1583712000 + 86400 * np.arange(6))
    assert table.treatments == ({"rows without a time dropped": 2} if len(column) == 8 else {})


def test_a_node_without_any_time_loses_its_rows_and_hinders_no_other(folder: Path, node: WriteNode) -> None:
    node("n1.csv", step=[None] * 6)
    node("n2.csv")
    source = FleetFolder(folder)
    assert source.time_unit == "steps"
    assert len(source.read_node("n1").time) == 0
    assert source.read_node("n1").treatments == {"rows without a time dropped": 6}
    assert len(source.read_node("n2").time) == 6


def test_the_first_time_may_come_late_in_a_long_file(folder: Path) -> None:
    rows = "".join(f"{step if step > 200_000 else ''},1.25\n" for step in range(250_000))
    (folder / "n1.csv").write_text(f"step,a\n{rows}")
    assert FleetFolder(folder).time_unit == "steps"


def test_a_clock_that_jumped_far_is_counted_and_its_rows_kept(folder: Path, node: WriteNode) -> None:
    dates = ["2020-03-09", "1970-01-01", "2020-03-10", "2106-02-07", "2020-03-11", "2020-03-12"]
    node(step=None, timestamp=pd.to_datetime(dates, utc=True))
    table = FleetFolder(folder).read_node("n1")
    assert table.time[0] == 0
    assert len(table.time) == 6
    assert table.treatments == {
        "rows out of time order sorted": 3,
        "rows dated over 10 years from the node's median time kept": 2,
    }


def test_a_clock_set_back_gives_duplicates_that_are_counted(folder: Path, node: WriteNode) -> None:
    hours = [0, 1, 2, 1, 2, 3]
    node(step=None, timestamp=pd.Timestamp("2020-03-09", tz="UTC") + pd.to_timedelta(hours, unit="h"))
    table = FleetFolder(folder).read_node("n1")
    np.testing.assert_array_equal(np.diff(table.time), [3600] * 3)
    assert table.treatments == {
        "rows out of time order sorted": 1,
        "duplicate time steps dropped": 2,
        "dropped duplicates that differ from the row kept, the first of their time": 2,
    }


@pytest.mark.parametrize("labels", [[3] * 6, [None] * 6, [3, None, np.nan, "", " ", "3"]], ids=["3", "none", "mixed"])
def test_labels_that_are_all_unknown_are_no_error(folder: Path, node: WriteNode, labels: list[Any]) -> None:
    if "" in labels:
        labels = [None if label is np.nan else str(label) if label == 3 else label for label in labels]
    node(value=labels)
    describe(folder, label={"column": "value", "anomalous": [2], "unknown": [3]})
    np.testing.assert_array_equal(FleetFolder(folder).read_node("n1").label, [-1] * 6)


def test_units_are_those_of_fleet_yaml(folder: Path, node: WriteNode) -> None:
    node()
    describe(folder, units={"a": "W", "p": "degC"}, racks={"n1": "r1", "n7": "r2"})
    source = FleetFolder(folder)
    assert source.units == {"a": "W", "p": "degC"}
    assert source.notes == (
        "units in fleet.yaml of columns that the first table lacks: p",
        "racks in fleet.yaml of nodes that have no table: 'n7'",
    )


def test_a_folder_can_be_read_in_another_process(folder: Path, node: WriteNode) -> None:
    node(host=["n1"] * 6)
    describe(folder, node="host")
    source = pickle.loads(pickle.dumps(FleetFolder(folder)))
    assert len(source.read_node("n1").time) == 6


def test_a_folder_of_another_source_is_refused(folder: Path, node: WriteNode) -> None:
    node()
    describe(folder, source="m100_raw", settings={"months": ["21-03"]})
    with pytest.raises(ConfigError, match=r"fleet.yaml: source: is 'm100_raw', whose layout is not node_tables"):
        FleetFolder(folder)


# One file with the rows of all nodes


@pytest.mark.parametrize("file", ["all.parquet", "all.csv", "all.csv.gz"])
def test_a_file_of_all_nodes_reads_as_a_file_per_node_does(folder: Path, node: WriteNode, file: str) -> None:
    times = np.tile(np.arange(3), 2)
    label = [0, 1, None, 0, 0, 1]
    node(file, step=times, host=["n2", "n10"] * 3, a=[0, 1, 2, 3, 4, None], label=label, b=["1", "x"] * 3)
    describe(folder, node="host", ignore=["b"])
    source = FleetFolder(folder)
    assert source.node_ids() == ["n2", "n10"]
    first, second = (source.read_node(node_id) for node_id in source.node_ids())
    np.testing.assert_array_equal(first.values, [[0], [4], [2]])
    np.testing.assert_array_equal(second.values, [[3], [1], [np.nan]])
    np.testing.assert_array_equal(first.time, [0, 1, 2])
    np.testing.assert_array_equal(second.label, [0, 1, 1])
    assert first.features == second.features == ("a",)
    assert first.treatments == {
        "column 'b' ignored as fleet.yaml says": 1,
        "rows out of time order sorted": 1,
    }


@pytest.mark.parametrize(
    "hosts",
    [
        pa.array([7, 8, None, 7]),
        pa.array([7.0, 8.0, None, 7.0]),
        pa.array(["7", " 8", None, "7 "]),
        pa.array(["7", "8", "", "7"]).dictionary_encode(),
    ],
    ids=["int", "float", "text", "dictionary"],
)
@pytest.mark.parametrize("file", ["all.parquet", "all.csv"])
def test_nodes_may_be_named_by_text_or_number(folder: Path, file: str, hosts: pa.Array) -> None:
    table = pa.table({"step": [0, 0, 1, 1], "host": hosts, "a": [1.0, 2.0, 3.0, 4.0]})
    if file == "all.csv":
        pa.csv.write_csv(table.set_column(1, "host", hosts.cast(pa.string())), folder / file)
    else:
        pa.parquet.write_table(table, folder / file, row_group_size=2)
    describe(folder, node="host")
    source = FleetFolder(folder)
    assert source.node_ids() == ["7", "8"]
    np.testing.assert_array_equal(source.read_node("7").values[:, 0], [1, 4])
    assert source.notes == ("rows that name no node dropped: 1",)


@pytest.mark.parametrize("file", ["all.parquet", "all.csv.gz"])
def test_a_damaged_file_of_all_nodes_is_named(folder: Path, node: WriteNode, file: str) -> None:
    path = node(file, host=["n1", "n2"] * 3)
    path.write_bytes(path.read_bytes()[:-12])
    describe(folder, node="host")
    with pytest.raises(TelemetryError, match=f"{file}: cannot be read .*copy it again"):
        FleetFolder(folder)


def test_two_files_of_all_nodes_are_refused(folder: Path, node: WriteNode) -> None:
    node("a.csv")
    node("b.csv")
    describe(folder, node="host")
    with pytest.raises(TelemetryError, match="column 'host' of one file names the node, but there are 2 tables"):
        FleetFolder(folder)


def test_the_column_that_names_the_node_must_be_there(folder: Path, node: WriteNode) -> None:
    node()
    describe(folder, node="host")
    with pytest.raises(TelemetryError, match="n1.parquet: no column 'host' that names the node; columns: 'step', 'a'"):
        FleetFolder(folder)


def test_a_file_of_all_nodes_is_not_taken_for_one(folder: Path, node: WriteNode) -> None:
    node(node=[1, 2] * 3)
    with pytest.raises(TelemetryError, match=r"column 'node' names 2 nodes; .*'node: node' in fleet.yaml"):
        FleetFolder(folder).read_node("n1")
    describe(folder, ignore=["node"])
    assert FleetFolder(folder).read_node("n1").features == ("a", "b")


def test_a_column_that_occurs_twice_is_refused(folder: Path) -> None:
    (folder / "n1.csv").write_text("step,a,a\n0,1,2\n")
    with pytest.raises(TelemetryError, match="column 'a' occurs more than once"):
        FleetFolder(folder)


def test_nodes_cannot_mix_steps_and_dates(folder: Path, node: WriteNode) -> None:
    node("n1.parquet")
    node("n2.parquet", step=None, timestamp=pd.date_range("2020", periods=6))
    with pytest.raises(TelemetryError, match="n2.parquet: .*counts seconds, in the first node steps"):
        FleetFolder(folder).read_node("n2")


def test_a_declared_column_must_exist(folder: Path, node: WriteNode) -> None:
    node()
    describe(folder, label="value")
    with pytest.raises(TelemetryError, match="n1.parquet: node n1: no column 'value', which fleet.yaml names"):
        FleetFolder(folder).read_node("n1")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"path": "x"}, r"datasets.d1.source: unknown None; known: node_tables, "),
        ({"source": "csv"}, r"datasets.d1.source: unknown 'csv'"),
        ({"source": "node_tables", "path": "x", "seed": 1}, r"datasets.d1.seed: unknown key of source node_tables"),
        ({"source": "node_tables"}, r"datasets.d1.path: missing"),
        ({"source": "node_tables", "path": 5}, r"datasets.d1.path: must be the path of a folder; got 5"),
    ],
)
def test_a_wrong_source_section_is_explained(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source("d1", spec)


def test_a_source_takes_the_name_of_its_dataset(folder: Path, node: WriteNode) -> None:
    node()
    describe(folder, name="other")
    assert open_source("d1", {"source": "node_tables", "path": str(folder)}).name == "d1"


def test_a_published_fleet_reads_as_its_manifest_says(checkout: Path) -> None:
    asd = checkout.parent / "shared" / "data" / "asd"
    if not asd.is_dir():
        pytest.skip("the Application Server Dataset is not beside this checkout")
    source = FleetFolder(asd)
    manifest = {entry["node"]: entry for entry in json.loads((asd / "manifest.json").read_text())}
    assert source.node_ids() == [f"omi-{number}" for number in range(1, 13)]
    assert source.notes == ("files that are no node tables: README.md, manifest.json",)
    for node_id in source.node_ids():
        table = source.read_node(node_id)
        assert table.split is not None
        assert table.values.shape[1] == manifest[node_id]["features"]
        assert (table.split == 0).sum() == manifest[node_id]["train_rows"]
        assert (table.label[table.split == 1] == 1).sum() == manifest[node_id]["test_anomaly_rows"]
        assert table.treatments == {}


def test_a_damaged_first_table_is_an_error_once_it_is_read(folder: Path, node: WriteNode) -> None:
    node("n1.parquet").write_bytes(b"PAR1 cut short")
    node("n2.parquet")
    source = FleetFolder(folder)
    assert source.node_ids() == ["n1", "n2"]
    with pytest.raises(TelemetryError, match="damaged or cut short"):
        source.read_node("n1")


def test_files_of_a_fetch_are_no_strangers(folder: Path, node: WriteNode) -> None:
    node()
    (folder / "SOURCE.json").write_text("{}")
    (folder / "n2.parquet.0a1b2c3d.part").write_bytes(b"half of it")
    assert FleetFolder(folder).notes == ("unfinished downloads, not read: n2.parquet.0a1b2c3d.part",)
    (folder / "n1.parquet").unlink()
    with pytest.raises(TelemetryError, match=r"'n2.parquet.0a1b2c3d.part' is not fetched to its end; run the same"):
        FleetFolder(folder)


def test_duplicates_that_differ_or_are_anomalous_are_counted(folder: Path, node: WriteNode) -> None:
    node(
        step=[0, 0, 1, 1, 2, 2],
        a=[1.0, 1, None, None, 4, 5],
        b=[1.0, 1, 2, 2, 3, 3],
        label=[0, 0, 0, 1, 1, 1],
    )
    table = FleetFolder(folder).read_node("n1")
    np.testing.assert_array_equal(table.label, [0, 0, 1])
    assert table.treatments == {
        "duplicate time steps dropped": 3,
        "dropped duplicates that differ from the row kept, the first of their time": 2,
        "dropped duplicates labelled anomalous": 2,
    }
