"""The report of a small run, made by the real parts: a prepared fleet, a results table and its summary."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.evaluation import results_frame, summarise
from ftl.evaluation.headline import overview_sentences, verdict_sentences
from ftl.reporting import terminal_tables, write_report

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
        "accuracy": 0.9, "auroc": 0.5 + f1 / 2, "auprc": f1, "vus_pr": f1, "event_recall": f1,
        "detection_delay": 1.0, "alarms_per_node_day": 2.0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, summary) of a report over a simulated and a real fleet; transfer helps on neither."""
    folder = tmp_path_factory.mktemp("report")
    sources = [Source("sim", "simulated"), Source("machine", "real")]
    reports = {
        s.name: prepare_fleet(s, PrepareSettings(missing="drop_rows"), "rigorous", folder / s.name).report
        for s in sources
    }
    rows = []
    for source in sources:
        for k, node in enumerate(["n0", "n1", "n2", "n3", "n4"]):
            role = "participant" if k < 2 else "target"
            for arm, tp in (("local", 5 + k % 3), ("local_long", 6 + k % 3), ("pca", 4)):
                rows.append(scored_row(source.name, "rigorous", arm, node, tp))
            rows.append(scored_row(source.name, "rigorous", "zero_shot", node, 3, ("top_n", 2, 0), role))
            if role == "target":
                rows.append(scored_row(source.name, "rigorous", "transfer", node, 4 + k % 2, ("top_n", 2, 0), role))
    results = results_frame(rows)
    summary = summarise(results)
    rounds = pd.DataFrame(
        [
            {"dataset": "sim", "paradigm": "unsupervised", "policy": "top_n", "n_participants": 2, "draw": 0, "seed": 0,
             "round": r, "train_loss": 1 / r}
            for r in range(1, 5)
        ]
    )  # fmt: skip
    write_report(
        folder, summary, results, rounds, reports, overview_sentences(summary), verdict_sentences(summary), PARAMS
    )
    return folder, summary


@pytest.fixture(scope="module")
def text(run):
    return (run[0] / "report.md").read_text(encoding="utf-8")


def section(text, heading):
    return re.search(rf"^## {heading}[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL).group(1)


def test_the_report_opens_with_what_the_data_is(text):
    assert text.splitlines()[2] == "## The data"
    lines = section(text, "The data").strip().splitlines()
    assert "machine: **real telemetry**" in lines[0]
    assert "sim: **simulated telemetry**" in lines[1]
    assert "Nodes: 5; seeds: 1; rigorous protocol" in lines[1]


def test_the_verdict_says_where_federation_did_not_help(run, text):
    verdict = section(text, r"Did federation help\?")
    sentences = verdict_sentences(run[1])
    assert all(f"- {sentence}\n" in verdict for sentence in sentences)
    assert "beat both local and local_long in 0 of 1 cells" in verdict


def test_every_table_names_dataset_origin_nodes_paradigm_and_protocol(text):
    tables = re.findall(r"^\*\*(.*)\*\*\n\n\| ", text, re.MULTILINE)
    assert len(tables) == 4
    for title in tables:
        origin = "simulated" if "Dataset sim" in title else "real"
        assert f"({origin}, 5 nodes), unsupervised, rigorous protocol." in title


def test_the_table_has_the_numbers_of_the_summary(run, text):
    _, summary = run
    row = summary[(summary["arm"] == "transfer") & (summary["dataset"] == "sim")].iloc[0]
    (line,) = {x for x in section(text, "Transfer to target nodes").splitlines() if x.startswith("| top_n")} or {""}
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:5] == ["top_n", "2", f"{row['f1_local_participants']:.2f}", "0.30", "3"]
    assert cells[12] == f"{row['f1_after']:.2f}"
    assert cells[13].startswith(f"{row['delta_f1']:+.2f}")


def test_every_picture_exists_and_every_file_is_shown(run, text):
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert sorted(shown) == sorted(f"figures/{path.name}" for path in (run[0] / "figures").iterdir())
    assert len(shown) == 5  # no training loss was recorded for one of the two fleets


def test_losses_of_telemetry_are_told(text):
    told = section(text, "What was done to the telemetry")
    assert len(re.findall(r"n5.*only 10 rows", told)) == 2
    assert len(re.findall(r"missing value.* removed|removed.* missing value", told)) == 2
    assert re.search(r"\| n1 \|.*duplicate time steps dropped: 7 \|", told)


def test_parameters_stand_at_the_end_as_yaml(text):
    block = section(text, "Parameters").removeprefix("\n```yaml\n").removesuffix("```\n")
    assert yaml.safe_load(block) == {"seeds": [0, 1], "federate": {"n_rounds": 5, "n_participants": [2]}}


def test_terminal_tables_show_gain_and_control_in_80_columns(run):
    console = Console(width=80)
    with console.capture() as capture:
        console.print(*terminal_tables(run[1]))
    shown = capture.get()
    assert "sim, unsupervised, rigorous protocol" in shown
    assert "vs local_long" in shown
    assert "…" not in shown
    assert re.search(r"top_n .*-0\.17 \[-0\.30, \+0\.00\].*-0\.27 \[-0\.40, -0\.10\]", shown)


def test_a_run_without_transfer_still_has_a_report(run, tmp_path):
    _, summary = run
    rest = summary[summary["policy"].isna()]
    results = results_frame([scored_row("sim", "rigorous", "local", f"n{k}", 5) for k in range(3)])
    write_report(tmp_path, rest[rest["dataset"] == "sim"], results, None, {}, [], [], {})
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "No cell could be compared" in text
    assert "There are no such rows in the summary" in section(text, "Transfer to target nodes")
    assert "telemetry of unknown origin" in text
    assert terminal_tables(rest) == []
