"""``ftl rethreshold`` on finished results of a small fleet."""

import hashlib
import json
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

import ftl.cli
from ftl.detection import THRESHOLDS
from ftl.evaluation.results import read_results
from ftl.evaluation.summary import read_summary
from tests.experiment.conftest import N_NODES, ONE, finish, node_table, params_of, write_tables


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run on a fleet whose windows last a quarter of an hour."""
    folder = tmp_path_factory.mktemp("quarters")
    telemetry = write_tables(folder / "fleet", {f"n{node}": node_table(node) for node in range(N_NODES)})
    (telemetry / "fleet.yaml").write_text("window_minutes: 15\norigin: simulated\n")
    return finish(telemetry, params_of(base=ONE), folder / "out")


@pytest.fixture
def ftl_(monkeypatch, capsys):
    def command(*words):
        monkeypatch.setattr("sys.argv", ["ftl", "rethreshold", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "100")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_new_results_lie_in_a_folder_named_by_the_rule_and_the_old_ones_stay(finished, ftl_):
    before = digests(finished.out)
    code, out, _ = ftl_(finished.out, "-S", "detection.threshold=pot", "-S", "detection.pot_risk=1e-4", "--no-report")
    made = finished.out / "rethresholded" / "pot-pot_risk=0.0001"
    assert code == 0
    assert str(made / "summary.csv") in out.replace("\n", "")
    assert json.loads((made / "params.json").read_text())["detection"]["pot_risk"] == 1e-4
    assert not read_results(made / "results.parquet")["threshold"].equals(finished.results["threshold"])
    shutil.rmtree(finished.out / "rethresholded")
    assert digests(finished.out) == before


def test_it_prints_alarms_before_and_after_of_each_arm(finished, ftl_, tmp_path):
    _, out, _ = ftl_(finished.out, "-S", "detection.threshold=alarm_budget", "--out", tmp_path / "new", "--no-report")
    assert "(simulated, 6 nodes), unsupervised, rigorous; transfer of top_n 2" in out
    lines = [line.split() for line in out.splitlines()]
    after = read_summary(tmp_path / "new" / "summary.csv")
    for arm in ("local", "local_long", "transfer"):
        start = next(number for number, words in enumerate(lines) if words[:2] == [arm, "before"])
        for words, summary in ((lines[start][1:], finished.summary), (lines[start + 1], after)):
            cell = summary[(summary["arm"] == arm) & (summary["policy"].isna() | (summary["policy"] == "top_n"))].iloc[
                0
            ]
            values = [cell[f"{name}_after"] for name in ("f1", "recall", "fpr", "alarms_per_node_day", "event_recall")]
            shown = [f"{v:.{digits}f}" for v, digits in zip(values, (3, 3, 4, 2, 3), strict=True)]
            assert words[1:] == [text.replace("nan", "-") for text in shown]


def test_a_report_comes_with_the_new_results(finished, ftl_, tmp_path):
    code, out, err = ftl_(finished.out, "-S", "detection.threshold=conformal", "--out", tmp_path / "new")
    assert code == 0, err
    assert (tmp_path / "new" / "report" / "report.html").stat().st_size > 10_000
    assert "report.html" in out.replace("\n", "")


def test_all_rules_are_compared_in_one_table_and_nothing_else_is_written(finished, ftl_, tmp_path):
    before = digests(finished.out)
    code, out, err = ftl_(finished.out, "--compare", "all", "--out", tmp_path / "rules")
    assert (code, "left out" in err) == (0, False)
    for rule in ("as run", *THRESHOLDS):
        assert sum(f" {rule} " in line for line in out.splitlines()) == 3, rule
    table = pd.read_csv(tmp_path / "rules" / "rules.csv")
    assert set(table["rule"]) == {"as run", *THRESHOLDS}
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["rules.csv"]
    assert digests(finished.out) == before


def test_chosen_rules_are_compared_under_changed_settings(finished, ftl_):
    _, plain, _ = ftl_(finished.out, "--compare", "percentile")
    code, changed, _ = ftl_(finished.out, "--compare", "percentile", "-S", "detection.percentile=80")
    assert code == 0
    assert "pot" not in changed
    assert plain.splitlines()[:4] == changed.splitlines()[:4]
    assert plain != changed


def test_every_table_says_that_test_labels_were_used(finished, ftl_, tmp_path):
    _, compared, _ = ftl_(finished.out, "--compare", "pot")
    _, changed, _ = ftl_(finished.out, "-S", "detection.threshold=pot", "--out", tmp_path / "new", "--no-report")
    for out in (compared, changed):
        assert "chosen by this table is no result" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["-S", "detection.score=mse"], "made by training"),
        (["-S", "detection.variance_floor=0.1"], "made by training"),
        (["-S", "detection.variance_shrinkage=300"], "made by training"),
        (["-S", "local.n_epochs=3"], "only the section detection can change without training"),
        (["-S", "detection.pot_riks=0.1"], "did you mean 'pot_risk'"),
        (["-S", "detection.pot_risk=0.1"], "detection.pot_risk: must be"),
        (["-S", "detection.percentile=high"], "detection.percentile"),
        (["-S", "threshold"], "section.key=value"),
        ([], "what shall change?"),
        (["--compare", "p98"], "unknown rule 'p98'; known: all, fixed"),
        (["--compare", "pot", "-S", "detection.threshold=pot"], "--compare names the rules"),
    ],
)
def test_what_cannot_be_done_is_refused_with_code_2_and_leaves_nothing(finished, ftl_, tmp_path, words, part):
    code, _, err = ftl_(finished.out, *words, "--out", tmp_path / "new")
    assert code == 2
    assert part in err
    assert not (tmp_path / "new").exists()


def test_a_folder_without_results_is_refused(ftl_, tmp_path):
    code, _, err = ftl_(tmp_path, "--compare", "all")
    assert code == 2
    assert "no results folder" in err


def test_an_out_that_cannot_be_made_is_refused(finished, ftl_, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = ftl_(finished.out, "-S", "detection.threshold=pot", "--out", tmp_path / "file" / "new")
    assert code == 2
    assert "cannot be made" in err


def commands_of_the_page(page: Path) -> list[list[str]]:
    lines = [line.split("#")[0] for line in page.read_text().splitlines() if line.startswith("ftl rethreshold ")]
    return [shlex.split(line)[2:] for line in lines]


def test_every_command_of_the_page_on_thresholds_runs(finished, ftl_, tmp_path, checkout, monkeypatch):
    commands = commands_of_the_page(checkout / "docs" / "thresholds.md")
    assert len(commands) >= 6
    monkeypatch.chdir(tmp_path)
    for number, (_, *words) in enumerate(commands):
        results = tmp_path / f"results{number}"
        shutil.copytree(finished.out, results)
        words = words if "--no-report" in words or "--compare" in words else [*words, "--no-report"]
        code, _, err = ftl_(results, *words)
        assert code == 0, (words, err)


def test_the_page_on_thresholds_names_every_rule_and_the_folder_that_is_made(checkout):
    page = (checkout / "docs" / "thresholds.md").read_text()
    for rule in THRESHOLDS:
        assert f"| `{rule}` |" in page
    assert "rethresholded/alarm_budget-alarms_per_node_day=0.2" in page
