"""Whatever the reader, and however the column is written: a label is no feature."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.data.column_readers import INDEX_LIKE, LABEL_LIKE
from ftl.data.fleet_folder import FleetFolder
from ftl.data.m100.aggregated import M100AggregatedSource
from ftl.data.m100.d1 import M100D1Source
from ftl.data.node_table import TelemetrySource
from tests.data.m100.aggregated_trees import node_frame, write_files

FEATURE = "p0_power_avg"
Open = Callable[[Path, pd.DataFrame], TelemetrySource]


def node_tables(folder: Path, frame: pd.DataFrame) -> TelemetrySource:
    return FleetFolder(write_files(folder, {"2.parquet": frame.drop(columns="value")}))


def csv_node_tables(folder: Path, frame: pd.DataFrame) -> TelemetrySource:
    return FleetFolder(write_files(folder, {"2.csv": frame.drop(columns="value").to_csv(index=False).encode()}))


def declared_node_tables(folder: Path, frame: pd.DataFrame) -> TelemetrySource:
    write_files(folder, {"2.parquet": frame, "fleet.yaml": json.dumps({"label": "value"}).encode()})
    return FleetFolder(folder)


def long_node_tables(folder: Path, frame: pd.DataFrame) -> TelemetrySource:
    write_files(folder, {"all.parquet": frame.assign(of="2"), "fleet.yaml": b"node: of\nignore: [value]"})
    return FleetFolder(folder)


def aggregated(folder: Path, frame: pd.DataFrame) -> TelemetrySource:
    return M100AggregatedSource(write_files(folder, {"2.parquet": frame}))


def d1(folder: Path, frame: pd.DataFrame) -> TelemetrySource:
    return M100D1Source(write_files(folder, {"2.gzip": frame.rename(columns={"value": "New_label"})}))


READERS = {
    reader.__name__: reader
    for reader in (node_tables, csv_node_tables, declared_node_tables, long_node_tables, aggregated, d1)
}
ROLES = {"timestamp", "value", "label", "New_label", "split", "node", "node_id"}  # read as such where written like this


def frame_with(names: list[str]) -> pd.DataFrame:
    frame = node_frame(2, labels=[0, 1, 0, 0, 1, 0], metrics=["p0_power"], statistics=["avg"])
    return frame.assign(**{name: [0, 1, 0, 0, 1, 0] for name in names})


@st.composite
def written_labels(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(LABEL_LIKE + INDEX_LIKE))
    name = draw(st.sampled_from([str, str.upper, str.lower, str.title]))(name)
    statistic = draw(st.sampled_from(["", "_avg", "_std", "_min", "_max", "_mean"]))
    blank = draw(st.sampled_from(["", " "]))
    return f"{blank}{name}{statistic}{blank}"


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@settings(max_examples=25)
@given(names=st.lists(written_labels().filter(lambda name: name not in ROLES), min_size=1, max_size=5, unique=True))
def test_no_column_like_a_label_is_a_feature(
    tmp_path_factory: pytest.TempPathFactory, reader: Open, names: list[str]
) -> None:
    table = reader(tmp_path_factory.mktemp("fleet"), frame_with(names)).read_node("2")
    assert table.features == (FEATURE,)
    assert all(any(repr(name) in treatment for treatment in table.treatments) for name in names)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", sorted(ROLES - {"timestamp", "value", "New_label"}))
def test_no_column_with_a_role_is_a_feature(tmp_path: Path, reader: Open, name: str) -> None:
    content: dict[str, Any] = {"split": ["train"] * 6, "node": [2] * 6, "node_id": [2] * 6, "label": [0] * 6}
    table = reader(tmp_path, frame_with([]).assign(**{name: content[name]})).read_node("2")
    assert table.features == (FEATURE,)
