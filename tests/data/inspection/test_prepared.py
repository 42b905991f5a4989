from pathlib import Path

import numpy as np
import pytest

from ftl.data.fleet import TEST
from ftl.data.inspection import Description, PartTally, PreparedSource, inspect_fleet
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.sources import open_source
from ftl.errors import TelemetryError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "fleet"
    spec = {"source": "simulated", "kind": "d1", "n_nodes": 3, "n_windows": 480, "seed": 1}
    prepare_fleet(open_source("d1", spec), PrepareSettings(), "rigorous", path)
    return path


def test_a_prepared_fleet_is_described_by_its_parts(folder: Path) -> None:
    source = PreparedSource(folder)
    tally = PartTally(source)
    inspection = inspect_fleet(source, on_table=tally)
    fleet = source.fleet
    parts = {part["part"]: part for part in tally.parts()}
    assert {name: part["rows"] for name, part in parts.items()} == {
        name: sum(node["rows"][name] for node in fleet.report["nodes"].values()) for name in parts
    }
    test = np.asarray(fleet.x)[fleet.part == TEST]
    assert parts["test"]["mean"] == pytest.approx(test.mean(dtype=float))
    assert parts["test"]["above"] == pytest.approx((test > 1).mean())
    assert parts["train"]["above"] == 0  # the scale was fitted there
    assert sum(node.n_later for node in inspection.nodes) == len(test)
    assert inspection.n_rows == len(fleet.x)


def test_a_description_of_a_prepared_fleet_keeps_its_report(folder: Path) -> None:
    source = PreparedSource(folder)
    description = Description(inspect_fleet(source), source.fleet.report, [])
    assert description.as_json()["prepared"] is True
    assert description.costs == source.fleet.report.get("costs", {})


def test_a_folder_that_is_no_prepared_fleet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="no prepared fleet here"):
        PreparedSource(tmp_path)
