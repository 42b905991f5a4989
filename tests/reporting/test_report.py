"""The report of a small run, made by the real parts: prepared fleets, a results table, its summary, its pictures."""

import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.evaluation import results_frame, summarise
from ftl.evaluation.headline import overview_sentences, verdict_sentences
from ftl.reporting import RunTables, terminal_tables, write_report
from ftl.reporting import report as module
from ftl.reporting.federation_bought import bought_sentences
from ftl.reporting.pictures import KINDS
from ftl.reporting.sections import _PLACES, sections_of
from tests.reporting.synthetic_run import synthetic_run

N_NODES, N_ROWS, N_TEST = 6, 200, 40
PARAMS = {"seeds": (0, 1), "federate": {"n_rounds": 5, "n_participants": [2]}}


@dataclass
class Source:
    """Telemetry of six nodes; node n0 has a gap in its first column, node n5 is too short to be used."""

    name: str
    origin: str
    time_unit: str = "steps"

    def node_ids(self):
        return [f"n{k}" for k in range(N_NODES)]

    def rack_of(self, node_id):
        return None

    def window_seconds(self):
        return None

    def fingerprint(self):
        return self.name

    def read_node(self, node_id):
        k = int(node_id[1:])
        n_rows = 10 if k == 5 else N_ROWS
        values = np.random.default_rng(k).normal(size=(n_rows, 3)).astype(np.float32)
        if k == 0:
            values[3, 0] = np.nan
        label = (np.arange(n_rows) % 10 == 0).astype(np.int8)
        treatments = {"duplicate time steps dropped": 7} if k == 1 else {}
        return NodeTable(node_id, np.arange(n_rows), values, ("cpu", "fan", "power"), label, None, treatments)


def scored_row(dataset, protocol, arm, node, tp, cohort=None, role=None, seed=0):
    """A results row with tp of ten anomalies found, and ten minus tp false alarms among thirty normal rows."""
    policy, n_participants, draw = cohort or (None, None, None)
    f1 = tp / 10
    return {
        "dataset": dataset, "protocol": protocol, "paradigm": "unsupervised", "policy": policy,
        "n_participants": n_participants, "draw": draw, "seed": seed, "arm": arm, "node": node, "role": role,
        "threshold": 0.5, "tp": tp, "fp": 10 - tp, "tn": 20 + tp, "fn": 10 - tp, "n_test_rows": N_TEST,
        "n_test_anomalies": 10, "precision": f1, "recall": f1, "tnr": (20 + tp) / 30, "f1": f1, "mcc": f1,
        "accuracy": (20 + 2 * tp) / 40, "auroc": 0.5 + f1 / 2, "auprc": f1, "vus_pr": f1, "event_recall": f1,
        "detection_delay": 1.0, "alarms_per_node_day": 2.0,
    }  # fmt: skip


def quiet_row(row):
    """The same row on a node without a test anomaly."""
    undefined = ("precision", "recall", "f1", "mcc", "auroc", "auprc", "vus_pr", "event_recall", "detection_delay")
    counts = {"tp": 0, "fn": 0, "fp": 4, "tn": 36, "n_test_anomalies": 0, "tnr": 0.9, "accuracy": 0.9}
    return row | counts | dict.fromkeys(undefined, np.nan)


def rows_of(dataset):
    for k, node in enumerate(["n0", "n1", "n2", "n3", "n4"]):
        role = "participant" if k < 2 else "target"
        for arm, tp in (("local", 5 + k % 3), ("local_long", 6 + k % 3), ("pca", 4)):
            yield scored_row(dataset, "rigorous", arm, node, tp)
        yield scored_row(dataset, "rigorous", "zero_shot", node, 3, ("top_n", 2, 0), role)
        if role == "target":
            yield scored_row(dataset, "rigorous", "transfer", node, 4 + k % 2, ("top_n", 2, 0), role)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The tables of a run over a simulated and a real fleet; transfer helps on neither."""
    folder = tmp_path_factory.mktemp("fleets")
    fleets = {}
    for source in (Source("sim", "simulated"), Source("machine", "real")):
        fleet = prepare_fleet(source, PrepareSettings(missing="drop_rows"), "rigorous", folder / source.name)
        fleets[source.name] = {
            "origin": fleet.origin, "protocol": fleet.protocol, "fingerprint": fleet.fingerprint,
            "node_ids": fleet.node_ids, "racks": fleet.racks, "n_features": 3, "labels_borrowed": False,
            "report": fleet.report,
        }  # fmt: skip
    results = results_frame([*rows_of("sim"), *rows_of("machine")])
    rounds = pd.DataFrame(
        [
            {"dataset": "sim", "paradigm": "unsupervised", "policy": "top_n", "n_participants": 2, "draw": 0, "seed": 0,
             "round": r, "train_loss": 1 / r}
            for r in range(1, 5)
        ]
    )  # fmt: skip
    return RunTables(results, summarise(results), rounds, fleets=fleets, params=PARAMS)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, run)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def section(text, heading):
    return re.search(rf"^## {heading}[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL).group(1)


def words_of(run):
    """All texts of each section, tables' captions among them, by anchor."""
    return {section.anchor: "\n".join(map(str, section.blocks)) for section in sections_of(run, [])}


class Outline(HTMLParser):
    """Which elements are open or were left open, links, anchors and pictures of a page."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.sources, self.alts = [], set(), set(), [], []

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        self.ids |= {of["id"]} if "id" in of else set()
        self.links |= {of["href"]} if "href" in of else set()
        if tag == "img":
            self.sources.append(of["src"])
            self.alts.append(of["alt"])
        if tag not in ("meta", "img", "br", "wbr", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def outline(html):
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    return parsed


def test_the_report_opens_with_what_federation_bought_and_what_the_data_is(run, text):
    assert text.splitlines()[2] == "## What happened"
    lines = [line for line in section(text, "What happened").splitlines() if line]
    bought = [*bought_sentences(run, "machine", "rigorous"), *bought_sentences(run, "sim", "rigorous")]
    assert lines[:6] == [f"- {sentence}" for sentence in bought]
    assert lines[6].startswith("- machine: **real telemetry**. 5 nodes")
    assert lines[7].startswith("- sim: **simulated telemetry**")
    assert "5 nodes, 3 features; 1 seed; rigorous protocol" in lines[7]


def test_the_first_screen_says_what_federation_did_who_was_harmed_and_what_a_simple_detector_does(text):
    opening = section(text, "What happened")
    beaten = "sim (rigorous): transfer beat both local and local_long in 0 of 1 cells."
    assert f"{beaten} In 1 it was worse than local or local_long.\n" in opening
    (line,) = [line for line in opening.splitlines() if line.startswith("| unsupervised")][:1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[6:] == [
        "no gain: not shown to differ from local and worse than local_long", "2 of 3 nodes", "0.717", "pca 0.700"
    ]  # fmt: skip
    assert "**Harmed** on sim: over all cells, 67% of the nodes' ΔF1 against local lie below 0" in opening


def test_the_verdict_says_where_federation_did_not_help(run, text):
    verdict = section(text, r"Did federation help\?")
    assert all(f"- {sentence}\n" in verdict for sentence in verdict_sentences(run.summary))
    assert all(f"- {sentence}\n" in verdict for sentence in overview_sentences(run.summary))


def test_every_table_names_dataset_origin_nodes_and_protocol(text):
    tables = re.findall(r"^\*\*(.*)\*\*\n\n\| ", text, re.MULTILINE)
    assert len(tables) > 20
    for title in tables:
        origin = "simulated" if "Dataset sim" in title else "real"
        assert f"({origin}, 5 nodes)" in title
        assert title.endswith("rigorous protocol.")


def test_the_table_has_the_numbers_of_the_summary(run, text):
    row = run.summary[(run.summary["arm"] == "transfer") & (run.summary["dataset"] == "sim")].iloc[0]
    (line,) = {x for x in section(text, "Before and after transfer").splitlines() if x.startswith("| top_n")}
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:5] == ["top_n", "2", f"{row['f1_local_participants']:.2f}", "0.30", "3"]
    assert cells[12] == f"{row['f1_after']:.2f}"
    assert cells[13].startswith(f"{row['delta_f1']:+.2f}")


def test_every_picture_stands_once_in_both_pages_and_as_a_file(folder, text, outline):
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    files = sorted((folder / "figures").iterdir())
    assert sorted(shown) == [f"figures/{path.name}" for path in files]
    assert len(files) >= 7  # no training loss was recorded for one of the two fleets
    assert len(outline.sources) == len(files)
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in outline.sources)
    assert all(outline.alts)


def test_every_kind_of_picture_has_a_place():
    assert {kind for kinds in _PLACES.values() for kind in kinds} == set(KINDS)


def test_the_page_is_whole_needs_nothing_else_and_its_contents_lead_somewhere(html, outline):
    assert outline.open == []
    assert outline.links == {f"#{anchor}" for anchor in outline.ids}
    assert not re.search(r"(src|href)=\"(?!data:|#)|url\(|@import", html)


def test_the_page_and_the_markdown_have_the_same_sections(html, text):
    assert re.findall(r'<h2><a href="#\w+">(.*?)</a>', html) == re.findall(r"^## (.*)$", text, re.MULTILINE)


def test_numbers_of_the_tables_stand_unrounded_in_csv(run, folder):
    shown = pd.read_csv(folder / "tables" / "transfer.csv").set_index("dataset")
    expected = run.summary[run.summary["arm"] == "transfer"].set_index("dataset")
    assert shown["delta_f1"].to_dict() == pytest.approx(expected["delta_f1"].to_dict(), abs=0, rel=1e-15)
    assert {path.stem for path in (folder / "tables").iterdir()} <= set(module.TABLES)


def test_equal_tables_give_equal_reports(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "draw_pictures", lambda run: [])
    for again in (tmp_path / "a", tmp_path / "b"):
        write_report(again, run)
    for name in ("report.html", "report.md", "tables.tex", "tables/transfer.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_earlier_report_is_replaced_and_other_files_are_left_alone(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "draw_pictures", lambda run: [])
    for name in ("figures/delta_f1_old_rigorous.png", "figures/mine.png", "tables/tuning.csv", "tables/mine.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("earlier")
    write_report(tmp_path, run)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["mine.png"]
    assert (tmp_path / "tables" / "mine.csv").exists()
    assert not (tmp_path / "tables" / "tuning.csv").exists()
    assert not list(tmp_path.glob(".*"))


def test_losses_of_telemetry_are_told(text):
    told = section(text, "What was done to the telemetry")
    assert len(re.findall(r"n5.*only 10 rows", told)) == 2
    assert len(re.findall(r"missing value.* removed|removed.* missing value", told)) == 2
    assert re.search(r"\| n1 \|.*duplicate time steps dropped: 7 \|", told)


def test_parameters_stand_in_the_report_as_yaml(text):
    block = re.search(r"```yaml\n(.*?)```", section(text, "Parameters"), re.DOTALL).group(1)
    assert yaml.safe_load(block) == {"seeds": [0, 1], "federate": {"n_rounds": 5, "n_participants": [2]}}


def test_lineage_names_data_parameters_and_results(run, text):
    lineage = section(text, "Lineage")
    assert run.fleets["sim"]["fingerprint"] in lineage
    assert re.search(r"Results: `[0-9a-f]{16}`", lineage)


def test_terminal_tables_show_gain_and_control_in_80_columns(run):
    console = Console(width=80)
    with console.capture() as capture:
        console.print(*terminal_tables(run.summary))
    shown = capture.get()
    assert "sim, unsupervised, rigorous protocol" in shown
    assert "vs local_long" in shown
    assert "…" not in shown
    assert re.search(r"top_n .*-0\.17 \[-0\.30, \+0\.00\].*-0\.27 \[-0\.40, -0\.10\]", shown)


def test_a_missing_table_is_named_with_the_command_that_makes_it(run):
    words = words_of(replace(run, rounds=None, fleets={}, params={}))
    assert "`costs.csv`). It is made by `dvc repro` or `ftl run FLEET --out FOLDER`" in words["costs"]
    for anchor, file in {
        "rounds": "rounds.csv", "similarity": "similarity.csv", "scores": "timelines.parquet",
        "telemetry": "fleets.json", "tuning": "tuning.json",
    }.items():  # fmt: skip
        assert f"`{file}`" in words[anchor]
    assert "`projection.csv`" in words["similarity"]
    assert "`ftl tune`" in words["tuning"]
    assert words_of(replace(run, tuning={"study": None}))["tuning"] == words["tuning"]
    assert "origin unknown" in words["transfer"]


def test_a_run_without_transfer_still_has_a_report(tmp_path):
    results = results_frame([scored_row("sim", "rigorous", "local", f"n{k}", 5) for k in range(3)])
    summary = summarise(results)
    write_report(tmp_path, RunTables(results, summary))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "No arm was transferred" in section(text, "What happened")
    assert "There are no such rows in the summary" in section(text, "Before and after transfer")
    assert "telemetry of unknown origin" in text
    assert terminal_tables(summary) == []


def test_where_nothing_could_be_scored_the_report_says_so_in_a_sentence(tmp_path):
    results = results_frame([quiet_row(row) for row in rows_of("sim")])
    write_report(tmp_path, RunTables(results, summarise(results)))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "transfer could not be scored: no target node has an anomaly" in section(text, "What happened")
    assert "0 of 1 cells" not in text
    assert "nobody can be said to be harmed" in section(text, "Who was harmed")


def test_names_from_outside_are_shown_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "draw_pictures", lambda run: [])
    nasty = "<script>alert(1)</script>&|`x`"
    results = results_frame([scored_row(nasty, "rigorous", "local", f"n{k}", 5) for k in range(3)])
    write_report(tmp_path, RunTables(results, summarise(results), fleets={nasty: {"origin": "<i>real</i>"}}))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<i>real" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;|" in page


def test_two_protocols_stand_in_tables_of_their_own(run):
    other = run.results.assign(protocol="paper")
    both = pd.concat([run.results, other], ignore_index=True)
    text = words_of(replace(run, results=both, summary=summarise(both)))["transfer"]
    assert len(re.findall("paper protocol", text)) == 2
    assert len(re.findall("rigorous protocol", text)) == 2


def test_a_run_of_the_default_shape_fills_every_table(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "draw_pictures", lambda run: [])
    write_report(tmp_path, synthetic_run(datasets=("d1",), paradigms=("unsupervised", "supervised")))
    written = {path.stem for path in (tmp_path / "tables").iterdir()}
    elsewhere = ("telemetry", "tuning", "coldstart", "drift")  # not in this run
    assert written == {name for name in module.TABLES if not name.startswith(elsewhere)}
