import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from ftl.errors import UserError
from ftl.evaluation import write_results, write_summary
from ftl.reporting import read_run, write_report
from ftl.reporting import report as module
from ftl.reporting.coldstart_report import TABLES, write_coldstart_report
from ftl.reporting.coldstart_subject import cold_subjects
from ftl.reporting.coldstart_words import cold_sentences
from ftl.reporting.pictures import coldstart
from ftl.reporting.run_tables import read_coldstart
from ftl.reporting.sections import sections_of
from ftl.studies.coldstart import tables as study
from tests.reporting.synthetic_coldstart import CARD, synthetic_coldstart
from tests.reporting.synthetic_run import synthetic_run

FILES = [study.ROWS_FILE, study.SUMMARY_FILE, study.DIFFERENCES_FILE, study.USABLE_FILE, study.DECISIONS_FILE]


@pytest.fixture(scope="module")
def tables():
    return synthetic_coldstart()


@pytest.fixture(scope="module")
def written(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cold")
    study.write_tables(folder, tables)
    (folder / "fleets.json").write_text(json.dumps({"d1": CARD}))
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "cold")


@pytest.fixture(scope="module")
def page(written, tmp_path_factory):
    return write_coldstart_report(written, tmp_path_factory.mktemp("page"))


@pytest.fixture
def undrawn(monkeypatch):
    """No pictures are drawn, which has tests of its own."""
    monkeypatch.setattr(coldstart, "pictures", lambda cold: iter(()))
    monkeypatch.setattr(module, "draw_pictures", lambda run: [])


def test_the_tables_are_read_as_they_were_written(folder, tables):
    read = read_coldstart(folder)
    assert read.rows.equals(tables.rows)
    assert read.usable["hours_until_usable"].tolist() == tables.usable["hours_until_usable"].tolist()
    assert read.decisions["node"].unique().tolist() == tables.decisions["node"].unique().tolist()  # "001" stays text


def test_a_cold_start_that_stands_alone_has_a_page_with_pictures_and_tables(page, written):
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,iVBOR") == 2
    assert not re.search(r"(src|href)=\"(?!data:|#)|url\(|@import", html)
    (cold,) = cold_subjects(read_coldstart(written), {"d1": CARD}, {}, "origin unknown")
    text = (page.parent / "coldstart.md").read_text(encoding="utf-8")
    assert text.index(f"- {cold_sentences(cold)[0]}\n") < text.index("## Cold start")
    assert "d1: **real telemetry**. 6 nodes, 10 features; 2 seeds; rigorous protocol." in text
    assert {path.stem for path in (page.parent / "tables").iterdir()} == set(TABLES)
    assert {path.name for path in (page.parent / "figures").iterdir()} == {
        "coldstart_d1_rigorous.png", "coldstart_alarms_d1_rigorous.png"
    }  # fmt: skip


def test_the_page_of_a_cold_start_leaves_the_report_of_a_run_alone(folder, undrawn):
    (folder / "report" / "figures").mkdir(parents=True)
    for name in ("report.html", "figures/delta_f1_d1_rigorous.png"):
        (folder / "report" / name).write_text("of a run")
    assert write_coldstart_report(folder) == folder / "report" / "coldstart.html"
    assert (folder / "report" / "report.html").read_text() == "of a run"
    assert (folder / "report" / "figures" / "delta_f1_d1_rigorous.png").exists()


def test_the_summary_is_enough_for_a_page(folder, undrawn):
    for name in (*FILES, "fleets.json"):
        if name != study.SUMMARY_FILE:
            (folder / name).unlink()
    text = write_coldstart_report(folder).with_suffix(".md").read_text(encoding="utf-8")
    assert "telemetry of unknown origin" in text
    assert "`fleets.json` is missing" in text


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_with_the_command_that_makes_it(folder, name):
    (folder / name).write_text("half a li\n")
    with pytest.raises(UserError, match=rf"{name}: cannot be read .*: run `ftl coldstart` again"):
        read_coldstart(folder)


def test_a_folder_without_a_cold_start_is_refused(tmp_path):
    assert read_coldstart(tmp_path) is None
    with pytest.raises(UserError, match="no coldstart_summary.csv there; give the folder that `ftl coldstart"):
        write_coldstart_report(tmp_path)


def test_beside_a_run_it_is_a_section_of_the_report(folder, undrawn):
    run = synthetic_run(n_nodes=6, n_participants=(2,), seeds=(0,), datasets=("d1",), paradigms=("unsupervised",))
    assert "coldstart" not in {section.anchor for section in sections_of(run, [])}
    write_results(run.results, folder / "results.parquet")
    write_summary(run.summary, folder / "summary.csv")
    write_report(folder / "report", read_run(folder))
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "## Cold start: how soon a node's alarms are usable" in text
    assert "Dataset d1 (real, 6 nodes), rigorous protocol" in text
    assert {f"{name}.csv" for name in TABLES} <= {path.name for path in (folder / "report" / "tables").iterdir()}


def test_two_datasets_have_a_section_each(folder, tables, undrawn):
    other = synthetic_coldstart("d2")
    both = {
        name: pd.concat([getattr(tables, name), getattr(other, name)])
        for name in ("rows", "summary", "differences", "usable", "decisions")
    }
    study.write_tables(folder, replace(tables, **both))
    text = write_coldstart_report(folder).with_suffix(".md").read_text(encoding="utf-8")
    assert re.findall(r"^## Cold start: (.*)$", text, re.MULTILINE) == [
        "d1, rigorous protocol",
        "d2, rigorous protocol",
    ]
    assert "d2 (origin unknown, 6 nodes)" in text
