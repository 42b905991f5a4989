import json
from pathlib import Path
from typing import Any

import pytest

from ftl.data.fleet_description import FleetDescription, read_description
from ftl.errors import ConfigError


def test_no_file_is_the_default_description(tmp_path: Path) -> None:
    assert read_description(tmp_path / "fleet.yaml") == FleetDescription()


@pytest.mark.parametrize("content", ["", "name:\n", "# nothing\n", "\ufeff"])
def test_an_empty_file_is_the_default_description(tmp_path: Path, content: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(content)
    assert read_description(path) == FleetDescription()


def test_every_key_is_read(tmp_path: Path) -> None:
    content = {
        "name": "rack-4",
        "origin": "simulated",
        "time": "at",
        "time_unit": "milliseconds",
        "node": "host",
        "label": {"column": "value", "anomalous": [1, 2], "unknown": 3},
        "split": "part",
        "ignore": ["comment", 5],
        "window_minutes": 2.5,
        "units": {"p0_power": "W"},
        "racks": {7: 205},
    }
    path = tmp_path / "fleet.yaml"
    path.write_text(json.dumps(content))
    assert read_description(path) == FleetDescription(
        name="rack-4",
        origin="simulated",
        time="at",
        time_unit="milliseconds",
        node="host",
        label="value",
        label_codes={0.0: 0, 1.0: 1, 2.0: 1, 3.0: -1},
        split="part",
        ignore=frozenset({"comment", "5"}),
        window_minutes=2.5,
        units={"p0_power": "W"},
        racks={"7": "205"},
    )


def test_another_source_comes_with_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("source: m100_raw\nsettings: {months: [21-03], statistics: [avg]}\n")
    description = read_description(path)
    assert description.source == "m100_raw"
    assert description.settings == {"months": ["21-03"], "statistics": ["avg"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("window_minute: 5", "unknown key 'window_minute'; known: name, origin"),
        ("window_minutes: -5", "window_minutes: must be a positive number; got -5"),
        ("window_minutes: true", "window_minutes: must be a positive number; got True"),
        ("window_minutes: .inf", "window_minutes: must be a positive number; got inf"),
        ("window_minutes: 15 min", "window_minutes: must be a positive number; got '15 min'"),
        ("origin: made up", "origin: must be real or simulated; got 'made up'"),
        ("time_unit: hours", "time_unit: must be one of seconds"),
        ("time: [a, b]", r"time: must be a text; got \['a', 'b'\]"),
        ("node: 5", "node: must be a text; got 5"),
        ("source: [m100_raw]", "source: must be a text"),
        ("source: m100_raw\nsettings: [21-03]", "settings: must be a mapping"),
        ("settings: {months: [21-03]}", "settings: are those of another source, and 'source' names none"),
        ("ignore: host", "ignore: must be a list"),
        ("units: [W]", "units: must be a mapping from column to unit"),
        ("units: {p0_power: 5}", "units: must be a mapping from column to unit"),
        ("racks: [a]", "racks: must be a mapping"),
        ("label: {normal: [0]}", "label: must be a column name or"),
        ("label: {column: label, normal: [0, 1]}", "label: the value 1 stands under anomalous and under another key"),
        ("- 5", "must be a mapping with keys out of"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_description_is_explained(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=f"fleet.yaml: {message}"):
        read_description(path)


@pytest.mark.parametrize("value", [1, 1.0, "1", True, " 1 "])
def test_label_values_match_however_they_are_written(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(json.dumps({"label": {"column": "y", "anomalous": [value]}}))
    assert read_description(path).label_codes == {0.0: 0, 1.0: 1}
