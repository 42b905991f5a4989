import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import ftl.cli
from ftl.detection.detector import Detector
from tests.detection import newcomer_fleet
from tests.detection.raw_fleet import prepared, raw_table, tables, untrained

Said = tuple[int, str, str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose thresholds lie in the middle of the scores."""
    folder = tmp_path_factory.mktemp("score")
    fleet = prepared(folder, tables(), alignment="union")
    usual = float(untrained(fleet).score(raw_table("n0"), "n0")["score"].median())
    untrained(fleet, threshold=usual).save(folder / "model")
    return folder / "model"


@pytest.fixture
def ftl_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def command(*words: object) -> Said:
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def write(table: pd.DataFrame, path: Path) -> Path:
    table.to_parquet(path, index=False) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_a_table_named_after_its_node_is_scored(model: Path, tmp_path: Path, suffix: str, ftl_) -> None:
    out = tmp_path / "scores.parquet"
    code, said, _ = ftl_("score", model, write(raw_table("n0"), tmp_path / f"n0{suffix}"), "--out", out)
    assert code == 0
    expected = Detector.load(model).score(raw_table("n0"), "n0")
    found = pd.read_parquet(out)
    assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), rel=1e-5, nan_ok=True)
    assert found["time"].tolist() == expected["time"].tolist()
    n_flagged = int((expected["label"] == 1).sum())
    assert 0 < n_flagged < len(expected)
    assert f"n0: 294 rows, {n_flagged} flagged" in said
    assert "without a score (a value is missing)" in said
    assert "most often behind it: " in said
    assert "columns that the model does not know left out: 2" in said  # cores that only this node has


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"power": 1000.0}, "far outside the training range in most rows: 'power'"),
        ({"firmware": 1000.0}, "constant in training, now another value, which the model does not see: 'firmware'"),
        (
            {"power": float("nan")},
            "rows without a score lack a value that no earlier row could fill: 'power' (294 rows)",
        ),
    ],
)
def test_a_table_unlike_the_training_rows_is_noted(model: Path, tmp_path: Path, ftl_, change, note: str) -> None:
    table = raw_table("n0")
    usual = ftl_("score", model, write(table, tmp_path / "n0.parquet"))[1]
    for column, factor in change.items():
        table[column] *= factor
    said = ftl_("score", model, write(table, tmp_path / "n0.parquet"))[1]
    assert f"n0: {note}" in said
    assert note not in usual


def test_csv_scores_hold_the_sensors_as_json(model: Path, tmp_path: Path, ftl_) -> None:
    table = pd.concat([raw_table(node).assign(node=node, note="x") for node in ("n0", "n1")])
    code, said, _ = ftl_("score", model, write(table, tmp_path / "all.csv"), "--out", tmp_path / "new" / "s.csv")
    assert code == 0
    assert "n0: 294 rows" in said
    assert "n1: 294 rows" in said
    assert "columns that the model does not know left out: " in said
    found = pd.read_csv(tmp_path / "new" / "s.csv")
    flagged = found[found["label"] == 1]
    assert 1 <= len(json.loads(flagged["top_sensors"].iloc[0])) <= 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s.csv"]


def test_without_out_nothing_is_written(model: Path, tmp_path: Path, ftl_) -> None:
    table = write(raw_table("n1"), tmp_path / "export.parquet")
    code, said, _ = ftl_("score", model, table, "--node", "n1")
    assert code == 0
    assert said.startswith("n1: 294 rows")
    assert [path.name for path in tmp_path.iterdir()] == ["export.parquet"]


@pytest.fixture(scope="module")
def open_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open")
    newcomer_fleet.welcoming(newcomer_fleet.fleet_of(folder)).save(folder / "model")
    return folder / "model"


def test_a_node_that_has_just_joined_is_scored_when_that_is_said(open_model: Path, tmp_path: Path, ftl_) -> None:
    raw = newcomer_fleet.with_fault(newcomer_fleet.loaded_table("c9"))
    table, out = write(raw.drop(columns="cpu"), tmp_path / "c9.parquet"), tmp_path / "scores.csv"
    code, _, err = ftl_("score", open_model, table, "--node", "c9")
    assert code == 2
    assert re.search("node 'c9': .* it has those of 'a', 'b', .*; closest: 'c'. Name .*`ftl score --newcomer`", err)
    for words in (["--node", "c9"], []):  # the file's name says it too
        code, said, _ = ftl_("score", open_model, table, "--newcomer", "--out", out, *words)
        assert code == 0
        assert re.search("c9: a newcomer, scored by what 5 nodes of the fleet share, and by 700 rows of its own", said)
        assert "c9: the threshold rests to 70% on its own scores" in said
        assert "c9: 1 of the fleet's 6 features are not in its table and left out: 'cpu'" in said
        assert "c9: next: add its table to the fleet 'toy' and run the pipeline again" in said
    found = pd.read_csv(out)
    assert list(found.columns) == ["time", "node", "score", "threshold", "label", "top_sensors"]
    assert found["label"][newcomer_fleet.FAULT].mean() > 0.9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{model}", "{table}"), "export.parquet: whose rows are these"),
        (("{model}", "{table}", "--node", "n9"), "export.parquet: node 'n9': the detector has no model of it"),
        (
            ("{model}", "{table}", "--newcomer"),
            "export.parquet: node 'export': this detector .* holds nothing to score",
        ),
        (("{model}", "{bad}", "--node", "n0"), "bad.parquet: node n0: 1 of the 7 feature columns .* first 'bytes'"),
        (("{model}", "{table}", "--node", "n0", "--out", "s.xlsx"), "s.xlsx: the name must end in .csv or .parquet"),
        (("{model}", "{model}/card.json", "--node", "n0"), "card.json: is no table that can be read"),
        (("{model}", "nowhere.csv", "--node", "n0"), "nowhere.csv: cannot be read"),
        (("{model}", "{table}", "--node", "n0", "--time", "when"), "no time column 'when'"),
        (("nowhere", "{table}"), "nowhere: no detector here"),
        (("{model}/..", "{table}"), "no detector here .*; name one of .*/model'"),
        (("models:/none@champion", "{table}", "--uri", "sqlite:///none.db"), "there is no registry yet"),
    ],
)
def test_what_does_not_fit_ends_with_one_sentence_and_code_2(
    model: Path, tmp_path: Path, ftl_, words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = write(raw_table("n0"), tmp_path / "export.parquet")
    bad = write(raw_table("n0").drop(columns="bytes"), tmp_path / "bad.parquet")
    code, _, err = ftl_("score", *(word.format(model=model, table=table, bad=bad) for word in words))
    assert code == 2
    assert err.startswith("ftl: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err
