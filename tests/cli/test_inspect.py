"""`ftl data check` and `ftl data describe`: exit codes, what is said, and where files go."""

import json
import re
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml

from ftl.cli.inspect import check, describe
from ftl.config import read_profile
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.sources import open_source
from ftl.errors import UserError

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """`ftl data` in this process, in an empty folder: exit code and output. A user's mistake is code 2, as in main."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    for command in (check, describe):
        app.command()(command)

    def run(*words: str | Path) -> tuple[int, str]:
        try:
            app([*map(str, words)], standalone_mode=True)
        except UserError as error:
            return 2, str(error)
        except SystemExit as ended:
            said = capsys.readouterr()
            return int(ended.code or 0), said.out + said.err
        return 0, capsys.readouterr().out

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three nodes of 200 rows, without fault."""
    path = tmp_path / "my-fleet"
    path.mkdir()
    for k in range(3):
        rng = np.random.default_rng(k)
        pd.DataFrame(
            {
                "timestamp": pd.date_range("2021-01-01", periods=200, freq="15min", tz="UTC"),
                "power": rng.normal(20, 2, 200),
                "fan": rng.normal(5, 1, 200),
                "label": (np.arange(200) % 20 == 19).astype(int),
            }
        ).to_parquet(path / f"n{k}.parquet", index=False)
    (path / "fleet.yaml").write_text("window_minutes: 15\n")
    return path


def spoil(folder: Path, **columns: object) -> None:
    table = pd.read_parquet(folder / "n1.parquet").assign(**columns)
    table.to_parquet(folder / "n1.parquet", index=False)


def test_a_good_fleet_ends_with_code_0(data: Command, folder: Path) -> None:
    for words in ([], ["--strict"]):
        code, out = data("check", folder, *words)
        assert (code, out.splitlines()[-1]) == (0, "my-fleet: usable")
        assert out.splitlines()[:-1] == [
            "note 3 nodes are too few for the default cohorts of 3, 5, 10 participants, which need at least 11 nodes",
            "       ftl run stops without -S select.n_participants=[1] or the like",
        ]


def test_warnings_fail_only_where_they_shall(data: Command, folder: Path) -> None:
    (folder / "fleet.yaml").write_text("window_minutes: 5\n")
    code, out = data("check", folder)
    assert code == 0
    assert "window length declared as 5 min, but 3 nodes have another" in out
    assert "my-fleet: usable with warnings" in out
    assert data("check", folder, "--strict")[0] == 1


def test_notes_do_not_fail(data: Command, folder: Path) -> None:
    (folder / "notes.txt").write_text("")
    code, out = data("check", folder, "--strict")
    assert code == 0
    assert "files that are no node tables: notes.txt" in out


def test_an_unusable_fleet_ends_with_code_2_and_all_broken_nodes_are_counted(data: Command, folder: Path) -> None:
    for name in ("n1", "n2"):
        (folder / f"{name}.parquet").write_bytes(b"PAR1 and no more")
    code, out = data("check", folder)
    assert code == 2
    assert "2 nodes cannot be read" in out
    assert "n1.parquet: node n1: cannot be read" in out
    code, _ = data("describe", folder, "--out", folder.parent / "out")
    assert code == 2
    content = json.loads((folder.parent / "out" / "description.json").read_text())
    assert [*content["unreadable"]] == ["n1", "n2"]


def test_a_missing_folder_ends_with_code_2(data: Command) -> None:
    code, out = data("check", "nowhere")
    assert code == 2
    assert "nowhere: no such folder" in out


def test_describe_writes_a_page_beside_the_fleet_and_says_where(data: Command, folder: Path) -> None:
    code, out = data("describe", folder)
    assert code == 0
    assert "Read description-my-fleet/description.html" in out
    assert (folder.parent / "description-my-fleet" / "description.html").is_file()
    for part in ("600", "15 min found, 15 min declared", "Labels by node", "Drift between train and test part"):
        assert part in out


def test_a_description_may_not_go_where_the_tables_are(data: Command, folder: Path) -> None:
    for out in (folder, folder / "description"):
        code, said = data("describe", folder, "--out", out)
        assert code == 2
        assert "lies in the fleet's own folder" in said
    assert not (folder / "description").exists()


def test_a_description_cannot_go_into_a_file(data: Command, folder: Path) -> None:
    taken = folder.parent / "taken"
    taken.write_text("")
    code, said = data("describe", folder, "--out", taken)
    assert code == 2
    assert "taken: cannot be written" in said


def test_names_that_look_like_markup_are_printed_as_they_are(data: Command, folder: Path) -> None:
    spoil(folder, **{"[red]fan[/red]": 1.0})
    code, out = data("check", folder)
    assert code == 0
    assert "[red]fan[/red]" in out


def test_away_from_a_terminal_lines_are_neither_wrapped_nor_padded(
    data: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    spoil(folder, **{"a column with quite a long name " * 5: 1.0})
    for command in ("check", "describe"):
        lines = data(command, folder)[1].splitlines()
        assert max(map(len, lines)) > 150
        assert all(line == line.rstrip() for line in lines)


def test_in_a_terminal_what_goes_on_in_the_next_line_keeps_its_indent(
    data: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    (folder / "fleet.yaml").write_text("window_minutes: 5\n")
    lines = [re.sub("\x1b[^m]*m", "", line) for line in data("check", folder)[1].splitlines()]
    first = next(k for k, line in enumerate(lines) if line.startswith("warning"))
    assert lines[first].startswith("warning window length")
    assert re.match(" {8}[^ ]", lines[first + 1])
    advice = next(k for k, line in enumerate(lines) if "correct window_minutes" in line)
    assert re.match(" {10}[^ ]", lines[advice])
    assert re.match(" {10}[^ ]", lines[advice + 1])


def test_a_column_that_test_rows_lack_ends_with_code_2_as_prepare_does(data: Command, folder: Path) -> None:
    rng = np.random.default_rng(0)
    for path in folder.glob("*.parquet"):
        table = pd.concat([pd.read_parquet(path)] * 4, ignore_index=True)
        table["timestamp"] = pd.date_range("2021-01-01", periods=800, freq="15min", tz="UTC")
        table["fan"] = np.where(np.arange(800) < 500, rng.normal(5, 1, 800), np.nan)
        table.to_parquet(path, index=False)
    source = open_source("mine", {"source": "node_tables", "path": str(folder)})
    with pytest.raises(UserError, match="no test rows"):
        prepare_fleet(source, PrepareSettings(), "rigorous", folder.parent / "prepared")
    code, out = data("check", folder)
    assert code == 2
    assert "'fan' is missing in" in out
    assert "my-fleet: unusable" in out


@pytest.mark.parametrize("where", ["file/below", "/dev/null/out", "/proc/nothing/out"])
def test_a_folder_that_cannot_be_made_ends_with_code_2(data: Command, folder: Path, where: str) -> None:
    (folder.parent / "file").write_text("")
    code, said = data("describe", folder, "--out", where)
    assert code == 2
    assert f"--out {where}: cannot be written" in said


def test_a_full_disk_names_the_path_and_leaves_no_half_file(data: Command, folder: Path) -> None:
    out = folder.parent / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))  # the pages' size; tables are smaller
    try:
        code, said = data("describe", folder, "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2
    assert f"--out {out}: cannot be written" in said
    assert [path.name for path in out.glob(".*")] == []
    assert not (out / "description.html").exists()


@pytest.mark.parametrize("words", [[], ["FLEET", "--dataset", "d1"]])
def test_fleet_and_dataset_exclude_each_other(data: Command, folder: Path, words: list[str]) -> None:
    code, said = data("check", *(str(folder) if word == "FLEET" else word for word in words))
    assert code == 2
    assert "give either the folder of a fleet or --dataset" in said


def test_a_dataset_of_params_yaml_is_described(data: Command, tmp_path: Path) -> None:
    d1 = {"source": "simulated", "kind": "d1", "n_nodes": 2, "n_windows": 96, "seed": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(read_profile("default") | {"datasets": {"d1": d1}}))
    code, out = data("describe", "--dataset", "d1")
    assert code in (0, 2)  # a day of it may lack what a fleet needs
    assert "simulated" in out
    assert (tmp_path / "description-d1" / "description.html").is_file()
    code, said = data("check", "--dataset", "d7")
    assert code == 2
    assert "datasets: unknown 'd7'; known: d1" in said


def test_a_prepared_fleet_is_described_with_what_prepare_did(data: Command, folder: Path, tmp_path: Path) -> None:
    source = open_source("mine", {"source": "node_tables", "path": str(folder)})
    prepare_fleet(source, PrepareSettings(), "rigorous", tmp_path / "prepared")
    code, out = data("describe", tmp_path / "prepared", "--out", tmp_path / "out")
    assert code == 0
    assert "The scaled data by parts" in out
    assert "3 of 3 nodes, 2 features" in out
    content = json.loads((tmp_path / "out" / "description.json").read_text())
    assert content["prepared"] is True
    assert {part["part"] for part in content["parts"]} >= {"train", "test"}
    code, said = data("check", tmp_path / "prepared", "--source", "node_tables")
    assert code == 2
    assert "leave them out here" in said


def test_help_explains_the_exit_codes(data: Command) -> None:
    for command in ("check", "describe"):
        code, out = data(command, "--help")
        assert code == 0
        assert "Exit code 0" in out
        assert "Example: ftl data" in out


def test_a_published_fleet_can_be_used(data: Command, checkout: Path) -> None:
    asd = checkout.parent / "shared" / "data" / "asd"
    if not asd.is_dir():
        pytest.skip("the Application Server Dataset is not beside this checkout")
    code, out = data("check", asd, "--strict")
    assert code == 0
    assert "all anomalies lie in the test part" in out
    assert "asd: usable" in out
