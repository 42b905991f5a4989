"""The source m100_raw on small trees in the release's layout, against plain pandas."""

import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ftl.data.m100.raw import M100RawSource
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.errors import ConfigError, TelemetryError
from tests.data.m100.conftest import OpenRaw
from tests.data.m100.exadata import (
    DAY,
    metric_folder,
    month_start,
    pack_month,
    samples,
    write_metric,
    write_month,
    write_states,
)

START = month_start("21-03")
ALL = ("avg", "std", "min", "max", "count")


def plain_windows(path: Path, node: int) -> pd.DataFrame:
    """One node's windows as the publishers compute them: pandas' resample of its samples, std of the population."""
    table = pd.read_parquet(path)
    table = table[table["node"].astype(str) == str(node)].drop_duplicates(["timestamp", "value"])
    bins = table.set_index("timestamp")["value"].sort_index().resample("15min", origin="start_day")
    plain = pd.DataFrame({"avg": bins.mean(), "std": bins.std(ddof=0), "min": bins.min(), "max": bins.max()})
    plain["count"] = bins.count().astype(float)
    return plain[plain["count"] > 0]


def gappy(rng: np.random.Generator, nodes: list[int], step: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Irregular samples with gaps, in no order, some of them twice."""
    time, node, value = samples(nodes, START, DAY // 2, step, rng, jitter=7)
    keep = (rng.random(len(time)) < 0.9) & ~((time > START + 9000) & (time < START + 16000) & (node == nodes[0]))
    rows = np.flatnonzero(keep)
    rows = rng.permutation(np.concatenate([rows, rows[::50]]))
    return time[rows], node[rows], value[rows]


def one_metric(tree: Path, value, metric: str = "p0_power", node: int = 5, **settings) -> Path:
    """A metric of one node, a sample every 20 s."""
    n = len(value)
    return write_metric(tree, "21-03", metric, START + 20 * np.arange(n), np.full(n, node), value, **settings)


@pytest.mark.parametrize("tidy", [True, False], ids=["in order", "in no order, some twice"])
def test_windows_equal_pandas_resample(tree: Path, raw: OpenRaw, tidy: bool) -> None:
    rng, nodes = np.random.default_rng(1), [3, 17, 979]
    content = samples(nodes, START, DAY // 2, 20, rng) if tidy else gappy(rng, nodes)
    path = write_metric(tree, "21-03", "total_power", *content, row_group_size=1000)
    source = raw(statistics=ALL)
    assert source.node_ids() == ["3", "17", "979"]
    for node in nodes:
        table, plain = source.read_node(str(node)), plain_windows(path, node)
        assert table.features == tuple(f"total_power_{name}" for name in ALL)
        np.testing.assert_array_equal(table.time, plain.index.as_unit("s").astype("int64"))
        np.testing.assert_allclose(table.values, plain.to_numpy(), rtol=1e-5, atol=1e-5)
        assert [array.dtype.name for array in (table.time, table.values, table.label)] == ["int64", "float32", "int8"]
        assert ("repeated samples left out" in table.treatments) is not tidy


def test_order_and_parts_of_a_file_make_no_difference(tree: Path, raw: OpenRaw, tmp_path: Path) -> None:
    time, node, value = samples([1, 2], START, 20_000, 20, np.random.default_rng(0))
    write_metric(tree, "21-03", "ambient", time, node, value)
    order = np.random.default_rng(1).permutation(len(time))
    for number, part in enumerate(np.split(order, 4)):
        write_metric(
            tmp_path / "other", "21-03", "ambient", time[part], node[part], value[part], file=f"a_{number}.parquet"
        )
    one, other = raw(), raw(tmp_path / "other")
    for node_id in ("1", "2"):
        np.testing.assert_array_equal(other.read_node(node_id).time, one.read_node(node_id).time)
        np.testing.assert_allclose(other.read_node(node_id).values, one.read_node(node_id).values, rtol=1e-6)


def test_a_node_has_the_windows_in_which_any_metric_has_a_sample(tree: Path, raw: OpenRaw) -> None:
    write_metric(tree, "21-03", "p0_power", [START, START + 2000], [4, 4], np.array([10, 20]))
    write_metric(tree, "21-03", "cpu_user", [START + 2000, START + 5000], [4, 4], np.array([1.0, 2.0]), "ganglia_pub")
    table = raw(statistics=["avg"]).read_node("4")
    assert table.features == ("p0_power_avg", "cpu_user_avg")
    np.testing.assert_array_equal(table.time - START, [0, 1800, 4500])
    np.testing.assert_array_equal(table.values, [[10, np.nan], [20, 1], [np.nan, 2]])


def test_samples_counted_twice_or_at_one_time_are_counted(tree: Path, raw: OpenRaw) -> None:
    write_metric(tree, "21-03", "ambient", START + np.array([0, 0, 0, 20, 20]), [7] * 5, np.array([1, 1, 1, 4, 7]))
    table = raw(statistics=["avg", "count"]).read_node("7")
    np.testing.assert_array_equal(table.values, [[4, 3]])
    assert table.treatments == {
        "repeated samples left out": 2,
        "samples of one time with unlike values, all kept": 1,
    }


def test_a_clock_that_jumps_back_changes_no_window(tree: Path, raw: OpenRaw) -> None:
    time = START + np.array([0, 20, 40, 2000, 60, 80, 1990, 2010, -5000, 10**9])
    write_metric(tree, "21-03", "ambient", time, [7] * 10, np.arange(10))
    table = raw(statistics=["avg", "count"]).read_node("7")
    np.testing.assert_allclose(table.values, [[12 / 5, 5], [16 / 3, 3]], rtol=1e-6)
    assert table.treatments == {"rows outside their month left out": 2}


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, 2, 6], np.int32),
        np.array([1, 2, 6], np.float32),
        np.array([1, 2, 6], np.float64),
        np.array([1, 2, 6], np.uint8),
        pa.array(["1", " 2.0", "6e0"]),
        pa.array(["1", "2", "6"]).dictionary_encode(),
        pa.array([1, 2, 6], pa.decimal128(10, 2)),
    ],
    ids=lambda value: str(getattr(value, "type", getattr(value, "dtype", ""))),
)
def test_whatever_the_type_of_the_values_they_are_numbers(tree: Path, raw: OpenRaw, value) -> None:
    one_metric(tree, value)
    np.testing.assert_allclose(raw(statistics=ALL).read_node("5").values, [[3, np.std([1, 2, 6]), 1, 6, 3]], rtol=1e-6)


def test_values_that_are_none_are_left_out_and_counted(tree: Path, raw: OpenRaw) -> None:
    one_metric(tree, pa.array([1.0, None, np.nan, np.inf, -np.inf, 1e300, 3.0]))
    one_metric(tree, pa.array([1, None, 3], pa.int32()), "ambient")
    one_metric(tree, pa.array(["5", "off", None, "nan", "inf", "1_0"]), "pcie")
    table = raw(statistics=["avg"]).read_node("5")
    np.testing.assert_array_equal(table.values, [[2, 2, 5]])
    assert table.features == ("ambient_avg", "p0_power_avg", "pcie_avg")
    assert table.treatments == {
        "samples without a value left out": 5,
        "infinite samples set to missing": 4,
        "samples of text that is no number set to missing": 2,
    }


def test_metrics_of_text_and_metrics_without_samples_are_left_out_and_named(tree: Path, raw: OpenRaw) -> None:
    one_metric(tree, np.ones(3))
    one_metric(tree, pa.array(["Linux"] * 3), "os_name", plugin="ganglia_pub")
    one_metric(tree, np.full(3, np.nan), "fan0_0")
    one_metric(tree, np.empty(0, np.int32), "fan1_0")
    source = raw()
    assert source.read_node("5").features == ("p0_power_avg", "p0_power_std")
    assert "metrics of text left out: os_name" in source.notes
    assert "metrics without any sample left out: fan0_0, fan1_0" in source.notes
    assert "os_name" not in str(source.read_node("5").treatments)


def test_a_metric_that_could_be_a_label_is_never_a_feature(tree: Path, raw: OpenRaw) -> None:
    one_metric(tree, np.ones(3))
    one_metric(tree, np.ones(3), "state")
    source = raw()
    assert source.read_node("5").features == ("p0_power_avg", "p0_power_std")
    assert "metrics left out, they could be labels: state" in source.notes


def test_login_nodes_are_left_out_unless_they_are_named(tree: Path, raw: OpenRaw) -> None:
    write_metric(tree, "21-03", "cpu_user", [START] * 3, [979, 980, 987], np.arange(3.0), "ganglia_pub")
    source = raw()
    assert source.node_ids() == ["979"]
    assert any(note.startswith("2 nodes beyond the compute nodes (0 to 979) left out") for note in source.notes)
    login = raw(nodes=["987", 980])
    assert login.node_ids() == ["980", "987"]
    assert login.read_node("987").values[0, 0] == 2
    assert (source.rack_of("979"), login.rack_of("980")) == ("rack-48", None)


def test_nodes_missing_in_a_plugin_or_without_windows_are_named(tree: Path, raw: OpenRaw) -> None:
    write_metric(tree, "21-03", "p0_power", [START] * 3, [1, 2, 3], np.array([1.0, 2.0, np.nan]))
    write_metric(tree, "21-03", "cpu_user", [START], [2], np.array([5.0]), "ganglia_pub")
    source = raw(statistics=["avg"])
    assert source.node_ids() == ["1", "2"]
    assert "1 nodes without any window left out: 3" in source.notes
    assert any(note.startswith("1 of 2 nodes have no sample of plugin ganglia") for note in source.notes)
    np.testing.assert_array_equal(source.read_node("1").values, [[1, np.nan]])
    assert "1 nodes without any window left out: 5" in raw(nodes=["1", "5"]).notes


def test_rows_without_a_node_or_a_time_are_counted(tree: Path, raw: OpenRaw) -> None:
    path = one_metric(tree, np.arange(6))
    table = pa.parquet.read_table(path)
    stamps = table["timestamp"].to_pylist()
    stamps[3] = None
    table = table.set_column(0, "timestamp", pa.array(stamps, table.schema.field("timestamp").type))
    nodes = pa.array(["5", None, "switch-1", "5", "5", "5"]).dictionary_encode()
    pa.parquet.write_table(table.set_column(2, "node", nodes), path)
    source = raw(statistics=["count"])
    np.testing.assert_array_equal(source.read_node("5").values, [[3]])
    assert "rows without a time left out: 1 in 1 metrics, first 21-03 ipmi p0_power" in source.notes
    assert "rows without a node number left out: 2 in 1 metrics, first 21-03 ipmi p0_power" in source.notes


@pytest.mark.parametrize("store_schema", [True, False], ids=["dictionary", "plain text"])
@pytest.mark.parametrize("kind", ["s", "us", "ns"])
def test_times_and_nodes_of_other_types_are_read_alike(tree: Path, raw: OpenRaw, kind: str, store_schema: bool) -> None:
    path = one_metric(tree, np.arange(100))
    wanted = raw().read_node("5")
    table = pa.parquet.read_table(path)
    stamps = table["timestamp"].cast(pa.timestamp(kind, "UTC"))
    pa.parquet.write_table(table.set_column(0, "timestamp", stamps), path, store_schema=store_schema)
    np.testing.assert_array_equal(raw().read_node("5").time, wanted.time)
    integers = pa.array([5] * 100, pa.int32())
    pa.parquet.write_table(table.set_column(2, "node", integers), path)
    np.testing.assert_array_equal(raw().read_node("5").values, wanted.values)


def test_months_follow_one_another_and_what_one_lacks_is_missing_there(tree: Path, raw: OpenRaw) -> None:
    write_month(tree, "21-03", ["p0_power", "ambient"], nodes=[1, 2], days=0.1, step=60)
    write_month(tree, "21-04", ["p0_power"], nodes=[1, 2], days=0.1, step=60)
    source = raw()
    table = source.read_node("1")
    assert source.months == ("21-03", "21-04")
    assert (np.diff(table.time) > 0).all()
    april = table.time >= month_start("21-04")
    assert (april.sum(), (~april).sum()) == (10, 10)
    assert np.isnan(table.values[april][:, :2]).all()
    assert not np.isnan(table.values[:, 2:]).any()
    assert "21-04: 1 of 2 metrics of ipmi absent, missing values there: ambient" in source.notes
    assert raw(months=["21-04"]).read_node("1").features == ("p0_power_avg", "p0_power_std")


def test_metrics_plugins_and_nodes_can_be_chosen(tree: Path, raw: OpenRaw) -> None:
    for metric in ("p0_core10_temp", "p0_core2_temp", "p1_core2_temp", "ambient"):
        one_metric(tree, np.ones(3), metric)
    one_metric(tree, np.ones(3), "load_one", plugin="ganglia_pub")
    chosen = raw(metrics=["p0_core*_temp", "load_one"], statistics=["avg"]).read_node("5").features
    assert chosen == ("p0_core2_temp_avg", "p0_core10_temp_avg", "load_one_avg")
    assert raw(plugins=["ganglia_pub"], statistics=["max"]).read_node("5").features == ("load_one_max",)
    assert raw(metrics=["ambient"]).units == {"ambient_avg": "degC", "ambient_std": "degC"}


def test_a_metric_of_both_plugins_is_refused(tree: Path, raw: OpenRaw) -> None:
    for plugin in ("ipmi_pub", "ganglia_pub"):
        one_metric(tree, np.ones(3), "ambient", plugin=plugin)
    with pytest.raises(ConfigError, match="'ambient' is a metric of ipmi and of ganglia; choose one plugin"):
        raw()
    assert raw(plugins=["ipmi"]).node_ids() == ["5"]


def test_windows_of_another_length(tree: Path, raw: OpenRaw) -> None:
    one_metric(tree, np.arange(360))
    source = raw(window_minutes=60, statistics=["count"])
    np.testing.assert_array_equal(source.read_node("5").values.ravel(), [180, 180])
    assert source.window_seconds() == 3600


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"statistics": ["median"]}, "statistics: median"),
        ({"statistics": []}, "statistics: none given"),
        ({"plugins": ["nagios"]}, "plugins: nagios: must be out of ipmi, ganglia"),
        ({"metrics": ["p7_*"]}, "'p7_*' matches no metric"),
        ({"months": ["2021/3"]}, "months: must be written like 21-03"),
        ({"months": ["21-05..21-03"]}, "months: '21-05..21-03' runs backwards; write 21-03..21-05"),
        ({"months": "21-03..21-04..21-05"}, "a range is written 20-03..20-06"),
        ({"nodes": ["node-1"]}, "nodes: must be node numbers"),
        ({"window_minutes": 7}, "divide a day"),
    ],
)
def test_a_wrong_setting_is_refused(tree: Path, raw: OpenRaw, settings: dict, says: str) -> None:
    one_metric(tree, np.ones(3))
    with pytest.raises(ConfigError) as error:
        raw(**settings)
    assert says in str(error.value)


def test_nodes_without_telemetry_are_refused(tree: Path, raw: OpenRaw) -> None:
    one_metric(tree, np.ones(3))
    with pytest.raises(TelemetryError, match="nodes: 6 has no samples of the 1 chosen metrics in 21-03; there are 5"):
        raw(nodes=["6"]).node_ids()
    with pytest.raises(TelemetryError, match="no node '6' with telemetry"):
        raw().read_node("6")


def test_equal_fingerprints_mean_equal_telemetry(tree: Path, raw: OpenRaw, tmp_path: Path) -> None:
    write_month(tree, "21-03", ["ambient"], nodes=[1, 2], days=0.2, step=60)
    packed = pack_month(tree, "21-03", tmp_path / "packed")
    base = raw().fingerprint()
    assert raw(packed, cache=tmp_path / "elsewhere").fingerprint() == base
    path = metric_folder(tree, "21-03", "ambient") / "a_0.parquet"
    table = pd.read_parquet(path)
    table.loc[5, "value"] += 2
    table.to_parquet(path)
    assert raw().fingerprint() != base
    others = [{"nodes": ["1"]}, {"statistics": ["avg"]}, {"window_minutes": 30}, {"label": "worst"}]
    others.append({"unknown_is_anomalous": True})
    assert len({raw(packed, **settings).fingerprint() for settings in others} | {base}) == 6


def test_a_source_reads_alike_in_other_processes(tree: Path, raw: OpenRaw) -> None:
    write_month(tree, "21-03", ["ambient"], nodes=[1, 2, 3], days=0.2, step=60)
    source = raw()
    copy: M100RawSource = pickle.loads(pickle.dumps(source))
    source.materialise()
    assert len(pickle.dumps(source)) < 20_000
    with ProcessPoolExecutor(2) as pool:
        tables = list(pool.map(source.read_node, source.node_ids()))
    for table in tables:
        np.testing.assert_array_equal(copy.read_node(table.node_id).values, table.values)


def test_a_generated_month_becomes_a_fleet(tree: Path, raw: OpenRaw, tmp_path: Path) -> None:
    write_month(tree, "21-03", nodes=range(5), days=2, step=60, anomalous_share=0.1)
    fleet = prepare_fleet(raw(), PrepareSettings(), "rigorous", tmp_path / "fleet")
    assert fleet.origin == "real"
    assert fleet.racks == ("rack-0",) * 5
    assert fleet.window_seconds == 900
    assert fleet.x.shape == (5 * 192, 6)
    assert set(np.unique(fleet.label)) == {0, 1}


def test_the_cache_lies_in_the_working_folder_and_never_in_the_telemetry(
    tree: Path, tmp_path: Path, monkeypatch
) -> None:
    one_metric(tree, np.ones(3))
    before = sorted(tree.rglob("*"))
    monkeypatch.chdir(tmp_path)
    M100RawSource(tree).node_ids()
    assert sorted(tree.rglob("*")) == before
    assert (tmp_path / "work" / "m100_raw").is_dir()
    shutil.rmtree(tmp_path / "work")


def test_labels_come_by_node_and_window(tree: Path, raw: OpenRaw) -> None:
    one_metric(tree, np.ones(200))
    write_states(tree, "21-03", [START + 10, START + 910, START + 2710], [5, 5, 5], [0, 2, 3])
    np.testing.assert_array_equal(raw().read_node("5").label, [0, 1, -1, -1, -1])
    np.testing.assert_array_equal(raw(unknown_is_anomalous=True).read_node("5").label, [0, 1, -1, 1, -1])


def test_nodes_that_are_not_there_are_named_beside_those_that_are_whatever_nagios_reports(
    tree: Path, raw: OpenRaw
) -> None:
    write_month(tree, "21-03", ["ambient"], nodes=[0, 1, 2, 9], days=0.1, step=60)
    with pytest.raises(TelemetryError, match="nodes: 98-99 have no samples .* in 21-03; there are 0-2, 9"):
        raw(nodes=[98, 99]).node_ids()


@pytest.mark.parametrize(("n_outside", "suspicious"), [(1, False), (2, True)])
def test_a_file_whose_samples_lie_outside_its_month_is_said_to_be_damaged_perhaps(
    tree: Path, raw: OpenRaw, n_outside: int, suspicious: bool
) -> None:
    time = START + 20 * np.arange(100)
    time[:n_outside] += 40 * DAY
    write_metric(tree, "21-03", "ambient", time, np.full(100, 5), np.arange(100))
    one_metric(tree, np.ones(9))
    said = [note for note in raw().notes if "damaged" in note]
    assert len(said) == suspicious
    for note in said:
        assert note.startswith("21-03 ipmi ambient: 2 samples (2.0%) lie outside 21-03 and were left out; ")
        assert "metric=ambient/a_0.parquet may be damaged" in note


def test_the_place_of_the_windows_is_told(tree: Path, raw: OpenRaw, tmp_path: Path) -> None:
    one_metric(tree, np.ones(3))
    source = raw(cache=tmp_path / "windows")
    source.node_ids()
    assert source.cache.parent == tmp_path / "windows"
    assert list(source.cache.glob("*.npy"))
