import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet, read_fleet, write_fleet
from ftl.errors import TelemetryError


@pytest.fixture
def fleet() -> Fleet:
    part = np.array([TRAIN, TRAIN, VALIDATION, GAP, TEST, TRAIN, TEST, TEST], np.int8)
    return Fleet(
        name="toy",
        origin="simulated",
        protocol="rigorous",
        node_ids=("n1", "n2"),
        racks=("r1", None),
        features=("a", "b"),
        time_unit="steps",
        window_seconds=None,
        labels_borrowed=False,
        x=np.arange(16, dtype=np.float32).reshape(8, 2),
        label=np.array([0, 0, 0, 0, 1, 0, -1, 0], np.int8),
        time=np.arange(8),
        part=part,
        lent=np.zeros(8, bool),
        start=np.array([0, 5, 8]),
        offset=np.zeros((2, 2), np.float32),
        scale=np.array([[1, 2], [1, 4]], np.float32),
        muted=np.array([[False, False], [True, False]]),
        report={"nodes": {}},
        fingerprint="f",
        signed_log=("b",),
    )


def test_a_fleet_reads_as_it_was_written(fleet: Fleet, tmp_path: Path) -> None:
    write_fleet(fleet, tmp_path / "deep" / "fleet")
    read = read_fleet(tmp_path / "deep" / "fleet")
    for name, value in vars(fleet).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(read, name), value, strict=True)
        else:
            assert getattr(read, name) == value
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["fleet"]


def test_a_fleet_is_read_only(fleet: Fleet, tmp_path: Path) -> None:
    write_fleet(fleet, tmp_path / "fleet")
    with pytest.raises(ValueError, match="read-only"):
        read_fleet(tmp_path / "fleet").x[0, 0] = 1


def test_rows_are_those_of_the_node_and_parts_in_time_order(fleet: Fleet) -> None:
    assert fleet.rows(0, TRAIN).tolist() == [0, 1]
    assert fleet.rows(0, TEST, VALIDATION).tolist() == [2, 4]
    assert fleet.rows(1, TEST).tolist() == [6, 7]
    assert fleet.rows(1, GAP).dtype == np.int64
    assert fleet.rows(1, GAP).tolist() == []


def test_a_fleet_scales_new_rows_as_its_own(fleet: Fleet) -> None:
    raw = np.array([[2.0, np.e - 1]])
    np.testing.assert_allclose(fleet.scaling()(raw, 0), [[2, 0.5]])
    np.testing.assert_allclose(fleet.scaling()(raw, 1), [[0, 0.25]])  # feature a is muted on node 1
    np.testing.assert_allclose(fleet.scaling()(np.array([[99.0, -np.inf]]), 0), [[5, -4]])


def test_writing_replaces_an_older_fleet(fleet: Fleet, tmp_path: Path) -> None:
    write_fleet(fleet, tmp_path / "fleet")
    write_fleet(replace(fleet, name="new"), tmp_path / "fleet")
    assert read_fleet(tmp_path / "fleet").name == "new"


def test_an_interrupted_write_leaves_the_older_fleet(fleet: Fleet, tmp_path: Path) -> None:
    write_fleet(fleet, tmp_path / "fleet")
    with pytest.raises(TypeError):
        write_fleet(replace(fleet, report={"not JSON": object()}), tmp_path / "fleet")
    assert read_fleet(tmp_path / "fleet").report == {"nodes": {}}
    assert [path.name for path in tmp_path.iterdir()] == ["fleet"]


def test_what_a_killed_write_left_behind_does_not_disturb_the_next(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / ".fleet.partial").mkdir()
    (tmp_path / ".fleet.partial" / "x.npy").write_bytes(b"half")
    write_fleet(fleet, tmp_path / "fleet")
    assert read_fleet(tmp_path / "fleet").name == "toy"
    assert not (tmp_path / ".fleet.partial").exists()


def test_a_folder_with_other_content_is_not_replaced(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(TelemetryError, match="exists and is no prepared fleet"):
        write_fleet(fleet, tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_missing_fleet_is_named(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="nowhere: no prepared fleet here"):
        read_fleet(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["x", "label", "start", "muted"])
@pytest.mark.parametrize("damage", ["missing", "cut short", "other shape"])
def test_a_damaged_array_is_named(fleet: Fleet, tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "fleet"
    write_fleet(fleet, folder)
    path = folder / f"{name}.npy"
    content = path.read_bytes()
    path.unlink()
    if damage == "cut short":
        path.write_bytes(content[:-2])
    if damage == "other shape":
        np.save(path, np.zeros((1, 1)))
    with pytest.raises(TelemetryError, match=r"\.npy: .*prepare the fleet again"):
        read_fleet(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_card_is_named(fleet: Fleet, tmp_path: Path, content: str) -> None:
    write_fleet(fleet, tmp_path / "fleet")
    (tmp_path / "fleet" / "fleet.json").write_text(content)
    with pytest.raises(TelemetryError, match=r"fleet.json: damaged .*prepare the fleet again"):
        read_fleet(tmp_path / "fleet")


def test_a_fleet_of_another_format_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    write_fleet(fleet, tmp_path / "fleet")
    card = tmp_path / "fleet" / "fleet.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "format": 99}))
    with pytest.raises(TelemetryError, match="format 99, this version reads 2"):
        read_fleet(tmp_path / "fleet")
