"""Advice names the settings that a source has, not those of another kind of source."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ftl.data.inspection import Description, inspect_fleet
from ftl.data.inspection.advice import advice_for
from ftl.data.m100.aggregated import M100AggregatedSource
from ftl.data.m100.d1 import M100D1Source
from ftl.data.m100.raw import M100RawSource
from ftl.data.sources import open_source
from tests.data.m100 import aggregated_trees, exadata

METRICS = ("p0_power", "total_power")


def advice_of(source, words: str) -> str:
    found = [f for f in Description(inspect_fleet(source)).findings if words in f.what]
    assert len(found) == 1
    return found[0].advice


@pytest.fixture
def month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where the reader keeps its windows
    exadata.write_month(tmp_path / "raw", "21-03", METRICS, range(2), days=1, anomalous_share=0.1)
    return tmp_path / "raw"


def test_labels_of_raw_months_are_mended_by_settings_of_their_reader(month: Path) -> None:
    drained = M100RawSource(month, name="raw", label="nagiosdrained")
    assert "--with label=" in advice_of(drained, "no row is labelled anomalous")
    shutil.rmtree(month / "year_month=21-03" / "plugin=nagios_pub")
    advice = advice_of(M100RawSource(month, name="raw"), "no row has a known label")
    assert "fetch the nagios plugin" in advice
    assert "unknown_is_anomalous=true" in advice


def test_no_public_release_is_sent_to_fleet_yaml(month: Path, tmp_path: Path) -> None:
    aggregated_trees.write_files(tmp_path / "agg", {"1.parquet": aggregated_trees.node_frame(1, 48)})
    (tmp_path / "d1").mkdir()
    aggregated_trees.node_frame(1, 48).assign(New_label=0).to_parquet(tmp_path / "d1" / "1_gzip.parquet")
    for source in (
        M100RawSource(month, name="raw"),
        M100AggregatedSource(tmp_path / "agg", name="agg"),
        M100D1Source(tmp_path / "d1", name="d1"),
    ):
        assert not [text for text in vars(advice_for(source)).values() if "fleet.yaml" in text]


def test_node_tables_are_sent_to_fleet_yaml(node, fleet) -> None:
    source = fleet(*(node(f"n{k}", label=np.full(200, -1)) for k in range(2)))
    assert "'label' in fleet.yaml" in advice_of(source, "no row has a known label")
    simulated = open_source("d1", {"source": "simulated", "kind": "d1", "n_nodes": 2, "n_windows": 96, "seed": 1})
    assert "n_windows" in advice_for(simulated).unlabelled
