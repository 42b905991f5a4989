"""`ftl data simulate`: a simulated fleet as the node tables that everything else reads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import ftl.cli
from ftl.data.fleet_folder import FleetFolder
from ftl.data.simulation import SimulatedSource

Ftl = Callable[..., tuple[int, str, str]]
SIZE = ("--nodes", "3", "--windows", "192", "--nodes-per-rack", "2")


@pytest.fixture
def ftl_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ftl:
    """The command in this process: exit code, output, errors."""

    def command(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def test_the_tables_hold_what_the_simulator_makes(ftl_: Ftl, tmp_path: Path) -> None:
    code, out, _ = ftl_("data", "simulate", tmp_path / "demo", *SIZE, "--train-windows", "100", "--seed", "7")
    assert code == 0
    assert f"Next: ftl data check {tmp_path / 'demo'}" in out
    source = SimulatedSource("d1", 3, 192, 7, nodes_per_rack=2, n_train_windows=100)
    folder = FleetFolder(tmp_path / "demo")
    assert (folder.name, folder.origin, folder.window_seconds()) == ("demo", "simulated", 900.0)
    assert folder.node_ids() == source.node_ids()
    for node in source.node_ids():
        assert folder.rack_of(node) == source.rack_of(node)
        read, made = folder.read_node(node), source.read_node(node)
        assert sorted(read.features) == sorted(made.features)
        order = [made.features.index(name) for name in read.features]
        np.testing.assert_array_equal(read.values, made.values[:, order])
        np.testing.assert_array_equal(read.time, made.time)
        np.testing.assert_array_equal(read.label, made.label)
        np.testing.assert_array_equal(read.split, made.split)


def test_without_train_windows_there_is_no_split(ftl_: Ftl, tmp_path: Path) -> None:
    assert ftl_("data", "simulate", tmp_path / "demo", *SIZE)[0] == 0
    assert "split" not in pq.read_schema(tmp_path / "demo" / "node-000.parquet").names


def test_the_same_command_again_writes_nothing_and_another_fleet_is_not_written_over_it(
    ftl_: Ftl, tmp_path: Path
) -> None:
    demo = tmp_path / "demo"
    assert ftl_("data", "simulate", demo, *SIZE)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in demo.iterdir()}
    assert ftl_("data", "simulate", demo, *SIZE)[0] == 0
    code, _, err = ftl_("data", "simulate", demo, *SIZE, "--seed", "3")
    assert (code, err) == (2, f"ftl: {demo}: exists and holds something else; name another folder or move it away\n")
    assert {path: path.stat().st_mtime_ns for path in demo.iterdir()} == before


def test_a_write_that_fails_leaves_nothing_behind(ftl_: Ftl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    code, _, err = ftl_("data", "simulate", tmp_path / "demo", *SIZE)
    assert code == 2
    assert "No space left on device); free some space" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kind", "d3"), "ftl: --kind: unknown 'd3'; known: d1, d2"),
        (("--train-windows", "192"), "ftl: --train-windows must be in [1, 191]; got 192"),
        (("--windows", "95"), "--windows"),
        (("--nodes", "0"), "--nodes"),
    ],
)
def test_a_wrong_setting_is_named_as_the_command_line_names_it(
    ftl_: Ftl, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    code, _, err = ftl_("data", "simulate", tmp_path / "demo", *SIZE, *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "demo").exists()


def test_a_file_is_no_place_for_a_fleet(ftl_: Ftl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert ftl_("data", "simulate", tmp_path / "file", *SIZE)[0] == 2
    assert ftl_("data", "simulate", tmp_path / "file" / "demo", *SIZE)[0] == 2
