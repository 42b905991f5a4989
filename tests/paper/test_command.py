"""`ftl paper`: what it prints and writes, and what it refuses."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import ftl.cli
from ftl.evaluation.summary import write_summary

Cells = Callable[..., pd.DataFrame]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`ftl paper` in this process: exit code and all that it said."""

    def run(*words: str | Path) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["ftl", "paper", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "160")
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run


@pytest.fixture
def results(tmp_path: Path, summary_of: Cells) -> Path:
    """A results folder with parameters and fleets."""
    write_summary(summary_of(), tmp_path / "summary.csv")
    params = {"protocol": "paper", "federate": {"n_rounds": 30}, "optimizer": {"learning_rate": 1e-6}}
    (tmp_path / "params.json").write_text(json.dumps(params))
    (tmp_path / "fleets.json").write_text(json.dumps({"d1": {"origin": "simulated", "node_ids": ["a", "b"]}}))
    return tmp_path


@pytest.mark.parametrize("words", [["--help"], ["audit", "--help"], ["compare", "--help"]])
def test_help_has_an_example(paper: Command, words: list[str]) -> None:
    code, out = paper(*words)
    assert code == 0
    assert "Example: ftl paper" in " ".join(out.split())


def test_audit_prints_every_finding_and_is_no_failure(paper: Command) -> None:
    code, out = paper("audit")
    assert code == 0
    for part in ("[random-above-top] DOES NOT HOLD", "7 of 36", "19 do not hold", "[asterisks]", "383 to 774"):
        assert part in " ".join(out.split())


def test_audit_writes_a_page_and_json(paper: Command, tmp_path: Path) -> None:
    assert paper("audit", "--out", tmp_path / "new" / "audit.md")[0] == 0
    page = (tmp_path / "new" / "audit.md").read_text()
    assert "## table-5-means: does not hold" in page
    assert page.count("\n## ") == 24
    assert paper("audit", "--out", tmp_path / "audit.json")[0] == 0
    content = json.loads((tmp_path / "audit.json").read_text())
    assert len(content["findings"]) == 24
    assert not list(tmp_path.rglob("*.half"))


def test_compare_says_what_the_data_is_before_any_number(paper: Command, results: Path) -> None:
    code, out = paper("compare", results)
    assert code == 0
    assert out.startswith("d1: SIMULATED telemetry, 2 nodes.")
    flat = " ".join(out.split())
    assert "12 cells have a partner" in flat
    assert "+0.49 | +0.10" in flat  # semi-supervised D1 Top-N N=10
    assert "A17 rounds 1000 30 no" in flat
    assert "reproduced" not in flat.lower()


def test_compare_takes_a_summary_alone_and_says_what_it_lacks(
    paper: Command, summary_of: Cells, tmp_path: Path
) -> None:
    write_summary(summary_of("cluster-a"), tmp_path / "other.csv")
    code, out = paper("compare", tmp_path / "other.csv", "--as", "d2=cluster-a")
    assert code == 0
    assert "cluster-a: origin unknown" in out
    assert "Paper's D2, our cluster-a" in out
    assert "unknown (no params.json" in out


def test_compare_writes_all_columns(paper: Command, results: Path) -> None:
    assert paper("compare", results, "--out", results / "compare.csv")[0] == 0
    with (results / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 72
    assert {"paper_tnr_after", "ours_tnr_after", "partner", "difference_delta_f1"} <= rows[0].keys()
    assert paper("compare", results, "--out", results / "compare.md")[0] == 0
    page = (results / "compare.md").read_text()
    assert "SIMULATED" in page
    assert "| TNR before |" in page


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["audit", "--out", "audit.txt"], "must end in .md or .json"),
        (["compare", "nowhere"], "no such file"),
        (["compare", "{}", "--as", "d1"], "--as takes PAPER=YOURS"),
        (["compare", "{}", "--as", "d9=d1"], "the paper has the datasets d1 and d2"),
        (["compare", "{}", "--arm", "magic"], "no such arm"),
        (["compare", "{}", "--out", "x.html"], "must end in .md or .csv"),
    ],
)
def test_a_mistake_is_named(paper: Command, results: Path, words: list[str], part: str) -> None:
    code, out = paper(*(word.format(results) for word in words))
    assert code == 2
    assert part in out


def test_a_damaged_file_is_named(paper: Command, results: Path) -> None:
    (results / "fleets.json").write_text("{")
    code, out = paper("compare", results)
    assert code == 2
    assert "fleets.json: cannot be read" in out
    (results / "summary.csv").write_text("a,b\n1,2\n")
    assert "is no summary that can be read" in paper("compare", results)[1]


def test_an_untested_cell_is_not_called_insignificant(paper: Command, summary_of: Cells, tmp_path: Path) -> None:
    write_summary(summary_of(p_t=float("nan"), significant_t=False), tmp_path / "summary.csv")
    assert paper("compare", tmp_path, "--out", tmp_path / "compare.md")[0] == 0
    rows = [line for line in (tmp_path / "compare.md").read_text().splitlines() if line.startswith("| top_n | 10 |")]
    assert len(rows) == 3
    assert all("| yes \\| - | - |" in row for row in rows)


def test_the_guide_has_the_findings_as_they_are(checkout: Path) -> None:
    """Written by `python scripts/paper_page.py findings`."""
    from ftl.cli.paper_pages import findings_table
    from ftl.paper import audit_tables

    assert findings_table(audit_tables()) in (checkout / "docs" / "reproduce-the-paper.md").read_text(encoding="utf-8")


def test_the_guide_explains_every_point_that_compare_prints(checkout: Path) -> None:
    from ftl.config import read_profile
    from ftl.paper import readings

    guide = (checkout / "docs" / "reproduce-the-paper.md").read_text(encoding="utf-8")
    points = {point for reading in readings(read_profile("paper")) for point in reading.number.split(", ") if point}
    table = "".join(line.split("|")[1] for line in guide.splitlines() if line.startswith("| A"))
    assert points <= set(table.replace(",", " ").split())
