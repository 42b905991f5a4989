import numpy as np
import pandas as pd
import pytest

from ftl.data.fleet_folder import FleetFolder
from ftl.data.layouts import layout_of, open_folder
from ftl.data.m100.aggregated import M100AggregatedSource
from ftl.data.simulation import SimulatedSource
from ftl.errors import ConfigError, TelemetryError


def node_table(folder, name="node-1.parquet", **columns):
    folder.mkdir(parents=True, exist_ok=True)
    start = pd.Timestamp("2021-03-01", tz="UTC")
    table = {"timestamp": start + pd.to_timedelta(15 * np.arange(4), unit="min"), "power": np.arange(4.0), **columns}
    pd.DataFrame(table).to_parquet(folder / name)
    return folder


def empty_file(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("file", "layout"),
    [
        ("year_month=21-03/plugin=ipmi_pub/metric=ambient/a_0.parquet", "m100_raw"),
        ("21-03.tar", "m100_raw"),
        ("17.tar", "m100_aggregated"),
        ("17/340.parquet", "m100_aggregated"),
        ("node_3_gzip.parquet", "m100_d1"),
        ("node-3.csv", "node_tables"),
        ("3.parquet", "node_tables"),
    ],
)
def test_a_layout_is_recognised_by_the_names_of_its_files(tmp_path, file, layout):
    assert layout_of(empty_file(tmp_path / "fleet", file)) == layout


def test_a_node_file_of_the_aggregated_release_is_recognised_by_its_columns(tmp_path):
    assert layout_of(node_table(tmp_path / "a", "3.parquet", value=0.0, ambient_avg=20.0)) == "m100_aggregated"
    assert layout_of(node_table(tmp_path / "b", "3.parquet", value=0.0)) == "node_tables"
    assert layout_of(node_table(tmp_path / "c", "3.parquet", label=0, ambient_avg=20.0)) == "node_tables"


def test_one_table_of_all_nodes_of_the_aggregated_release_is_recognised_by_its_columns(tmp_path):
    assert layout_of(node_table(tmp_path, "all.parquet", node=[3, 3, 4, 4], value=0.0, ambient_avg=20.0)) == (
        "m100_aggregated"
    )
    assert open_folder(tmp_path).node_ids() == ["3", "4"]


def test_a_folder_opens_as_what_it_looks_like(tmp_path):
    assert isinstance(open_folder(node_table(tmp_path / "mine")), FleetFolder)
    aggregated = open_folder(node_table(tmp_path / "rack", "3.parquet", value=2.0, ambient_avg=20.0))
    assert isinstance(aggregated, M100AggregatedSource)
    assert aggregated.name == "rack"


def test_fleet_yaml_names_the_source_and_its_settings(tmp_path):
    folder = node_table(tmp_path / "fleet", "3.parquet", value=2.0, ambient_avg=20.0)
    (folder / "fleet.yaml").write_text("name: rack-0\nsource: m100_aggregated\nsettings: {nodes: [3, 4]}\n")
    with pytest.raises(TelemetryError, match="4"):
        open_folder(folder)
    assert open_folder(folder, settings={"nodes": [3]}).node_ids() == ["3"]
    assert open_folder(folder, settings={"nodes": [3]}).name == "rack-0"


def test_a_folder_may_stand_for_a_simulated_fleet(tmp_path):
    (tmp_path / "fleet.yaml").write_text(
        "source: simulated\nsettings: {kind: d1, n_nodes: 2, n_windows: 96, seed: 3}\n"
    )
    source = open_folder(tmp_path)
    assert isinstance(source, SimulatedSource)
    assert source.node_ids() == ["node-000", "node-001"]


def test_the_source_that_is_asked_for_wins(tmp_path):
    folder = node_table(tmp_path / "fleet", "3.parquet", value=2.0, ambient_avg=20.0)
    assert isinstance(open_folder(folder, source="node_tables"), FleetFolder)


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("m100", {}, "source: unknown 'm100'; known: node_tables"),
        ("node_tables", {"months": ["21-03"]}, "months: unknown key of source node_tables; known: path"),
        ("m100_aggregated", {"racks": {"a": 1}}, "racks: must be a list of names"),
    ],
)
def test_a_wrong_source_or_setting_is_named_without_a_section_of_params(tmp_path, source, settings, message):
    with pytest.raises(ConfigError, match=message) as refused:
        open_folder(node_table(tmp_path / "fleet"), source=source, settings=settings)
    assert "datasets." not in str(refused.value)


def test_a_path_where_nothing_is_says_so(tmp_path):
    with pytest.raises(TelemetryError, match="no such folder"):
        open_folder(tmp_path / "nowhere")
