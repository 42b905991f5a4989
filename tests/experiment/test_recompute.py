"""scripts/recompute.py computes the published numbers from the scores alone, and notices when one is wrong."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftl.evaluation.results import read_results, write_results


@dataclass(frozen=True)
class Ended:
    code: int
    out: str


Recompute = Callable[[Path], Ended]


@pytest.fixture(scope="module")
def script(checkout: Path) -> Path:
    return checkout / "scripts" / "recompute.py"


@pytest.fixture
def recompute(script: Path, capsys: pytest.CaptureFixture[str]) -> Recompute:
    """The script's function in this process, which has imported what it needs."""
    spec = importlib.util.spec_from_file_location("recompute", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(out: Path) -> Ended:
        capsys.readouterr()
        return Ended(module.main(out), capsys.readouterr().out)

    return run


@pytest.fixture(scope="module")
def genuine(run_once) -> Path:
    return run_once(dump_scores=True).out


@pytest.fixture
def copy(genuine: Path, tmp_path: Path) -> Path:
    """The tables of a small run, to be falsified."""
    for name in ("results.parquet", "summary.csv", "scores.parquet"):
        (tmp_path / name).write_bytes((genuine / name).read_bytes())
    return tmp_path


def largest_differences(said: str) -> dict[str, float]:
    lines = [line.split() for line in said.splitlines()]
    return {words[0]: float(words[3]) for words in lines if len(words) == 4 and words[1].replace(",", "").isdigit()}


def test_every_published_number_follows_from_the_scores(whole_run, script: Path) -> None:
    """As a stranger runs it."""
    command = [sys.executable, str(script), str(whole_run.out)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    differences = largest_differences(ended.stdout)
    asked = ["precision", "recall", "tnr", "f1", "auroc", "auprc", "n_nodes", "delta_f1", "cohens_d", "p_t"]
    assert set(asked) <= set(differences)
    assert all(value < 1e-9 for value in differences.values())
    n_scores = whole_run.results["n_test_rows"].sum()
    assert f"{n_scores:,} scores of {len(whole_run.results):,} runs" in ended.stdout


def test_the_script_shares_no_code_with_ftl(script: Path) -> None:
    text = script.read_text()
    assert "import ftl" not in text
    assert "from ftl" not in text


def test_rows_in_any_order_give_the_same_numbers(copy: Path, recompute: Recompute) -> None:
    scores = pd.read_parquet(copy / "scores.parquet").sample(frac=1, random_state=0)
    scores.to_parquet(copy / "scores.parquet", index=False)
    ended = recompute(copy)
    assert ended.code == 0, ended.out


@pytest.mark.parametrize("column", ["f1", "auroc", "tp"])
def test_a_wrong_result_is_found_and_shown(copy: Path, recompute: Recompute, column: str) -> None:
    results = read_results(copy / "results.parquet")
    row = results.index[(results["arm"] == "transfer") & results["f1"].notna()][3]
    results.loc[row, column] = results.loc[row, column] + (1 if column == "tp" else 1e-8)
    write_results(results, copy / "results.parquet")
    ended = recompute(copy)
    assert ended.code == 1
    assert largest_differences(ended.out)[column] >= 1e-9
    assert f"node={results.loc[row, 'node']}" in ended.out


def test_a_wrong_cell_is_found(copy: Path, recompute: Recompute) -> None:
    summary = pd.read_csv(copy / "summary.csv")
    row = summary.index[summary["arm"] == "transfer"][0]
    summary.loc[row, "cohens_d"] += 1e-6
    summary.loc[row, "p_t"] = float("nan")
    summary.to_csv(copy / "summary.csv", index=False)
    ended = recompute(copy)
    assert ended.code == 1
    differences = largest_differences(ended.out)
    assert differences["cohens_d"] == pytest.approx(1e-6)
    assert differences["p_t"] == float("inf"), "a number on one side alone"
    assert differences["delta_f1"] < 1e-9


def test_rows_that_one_side_lacks_are_counted(copy: Path, recompute: Recompute) -> None:
    results = read_results(copy / "results.parquet")
    write_results(results[results["node"] != "n2"], copy / "results.parquet")
    summary = pd.read_csv(copy / "summary.csv")
    pd.concat([summary, summary[:1].assign(arm="oracle")]).to_csv(copy / "summary.csv", index=False)
    ended = recompute(copy)
    assert ended.code == 1
    n_lost = (results["node"] == "n2").sum()
    assert f"{n_lost} rows are in the scores but not published" in ended.out
    assert "1 rows are published but not in the scores, first" in ended.out


def test_a_changed_score_is_found(copy: Path, recompute: Recompute) -> None:
    table = pq.read_table(copy / "scores.parquet")
    scores = table["score"].to_numpy().copy()
    scores[0] = scores.max() * 2
    table = table.set_column(table.column_names.index("score"), "score", pa.array(scores))
    pq.write_table(table, copy / "scores.parquet")
    assert recompute(copy).code == 1


def test_thresholds_that_change_row_by_row_are_recomputed_too(
    run_fleet, fleet_folder: Path, tmp_path: Path, recompute: Recompute
) -> None:
    folder = shutil.copytree(fleet_folder, tmp_path / "small")
    (folder / "fleet.yaml").write_text("window_minutes: 15\n")
    rule = ("detection.threshold=trailing_fleet", "detection.percentile=90.0", "detection.trailing_days=0.5")
    run = run_fleet(*rule, "transfer.arms=[zero_shot,transfer]", folder=folder, dump_scores=True)
    ended = recompute(run.out)
    assert ended.code == 0, ended.out
    rows = pd.read_parquet(run.out / "scores.parquet", columns=["arm", "node", "threshold"])
    of_nodes = rows[rows["arm"] == "local"].groupby("node", observed=True)["threshold"]
    assert of_nodes.nunique().max() > 5
    assert of_nodes.median().to_dict() == run.arm("local").set_index("node")["threshold"].to_dict()


def test_cohorts_whose_targets_scores_do_not_tell_are_named(run_fleet, recompute: Recompute) -> None:
    run = run_fleet("transfer.arms=[zero_shot]", dump_scores=True)
    ended = recompute(run.out)
    assert ended.code == 0, ended.out
    assert "18 runs of cohorts that have no arm but zero_shot" in ended.out
