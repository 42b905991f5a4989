import json
import os

import pytest

import ftl.cli
from ftl.evaluation import write_results, write_summary
from ftl.reporting import report as module
from ftl.reporting.pictures import coldstart
from ftl.studies.coldstart.tables import write_tables
from pipelines import report as stage
from tests.reporting.synthetic_coldstart import synthetic_coldstart
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder; no pictures are drawn, which has tests of its own."""
    monkeypatch.setattr(module, "draw_pictures", lambda run: [])
    folder = tmp_path / "results"
    run = synthetic_run(n_nodes=5, n_participants=(2,), seeds=(0,), datasets=("d1",), paradigms=("unsupervised",))
    write_results(run.results, folder / "results.parquet")
    write_summary(run.summary, folder / "summary.csv")
    (folder / "fleets.json").write_text(json.dumps(run.fleets))
    return folder


@pytest.fixture
def ftl_(monkeypatch, capsys):
    def command(*words):
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def test_the_report_is_written_beside_the_results(results, ftl_):
    code, out, _ = ftl_("report", results)
    assert code == 0
    assert str(results / "report" / "report.html") in out
    assert "d1 (simulated, 5 nodes)" in (results / "report" / "report.html").read_text(encoding="utf-8")


def test_the_report_is_written_where_it_is_wanted(results, tmp_path, ftl_):
    code, _, _ = ftl_("report", results, "--out", tmp_path / "page")
    assert code == 0
    assert {path.name for path in (tmp_path / "page").iterdir()} == {
        "report.html", "report.md", "tables.tex", "tables", "figures"
    }  # fmt: skip
    assert not (results / "report").exists()


def test_a_folder_without_results_is_refused_in_one_line(tmp_path, ftl_):
    code, _, err = ftl_("report", tmp_path)
    assert code == 2
    assert "no results.parquet and no summary.csv there" in err
    assert "`ftl run FLEET --out FOLDER`" in err
    assert len(err.strip().splitlines()) == 1


def test_a_cold_start_without_a_run_has_a_page_of_its_own(tmp_path, monkeypatch, ftl_):
    monkeypatch.setattr(coldstart, "pictures", lambda cold: iter(()))
    write_tables(tmp_path, synthetic_coldstart())
    code, out, _ = ftl_("report", tmp_path, "--out", tmp_path / "page")
    assert code == 0
    assert f"Read {tmp_path / 'page' / 'coldstart.html'}; tables: {tmp_path / 'page' / 'tables'}\n" in out
    assert "d1 (origin unknown, 6 nodes)" in (tmp_path / "page" / "coldstart.html").read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_refused_in_one_line(results, ftl_):
    (results / "report").write_text("a file")
    code, _, err = ftl_("report", results)
    assert code == 2
    assert f"--out {results / 'report'}: cannot be written" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_refused(results, ftl_):
    results.chmod(0o500)
    code, _, err = ftl_("report", results)
    results.chmod(0o700)
    assert (code, "cannot be written" in err) == (2, True)


def test_the_pipelines_stage_writes_the_same_report(results, capsys):
    stage.main({}, str(results))
    assert str(results / "report" / "report.html") in capsys.readouterr().out
    assert (results / "report" / "report.md").exists()
