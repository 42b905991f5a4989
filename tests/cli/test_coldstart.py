"""`ftl coldstart`: from a telemetry folder to tables; again for nothing; what cannot be used is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ftl.cli
import ftl.studies.coldstart.fold
from ftl.studies.coldstart.arms import ALL_ARMS

Ftl = Callable[..., tuple[int, str, str]]
SMALLEST = (
    "model.hidden=[6,4]", "model.latent=4", "training.batch_size=16", "coldstart.hours=[8]",
    "coldstart.max_targets=null",
    "coldstart.steps_per_round=4", "coldstart.local_steps=4", "coldstart.fine_tune_steps=2", "coldstart.few_steps=1",
)  # fmt: skip
OPTIONS = ("--profile", "smoke", *(word for one in SMALLEST for word in ("-S", one)))
N_ROWS, N_NODES = 220, 4
TABLES = {
    f"coldstart{end}" for end in (".parquet", "_summary.csv", "_differences.csv", "_usable.csv", "_decisions.csv")
}


@pytest.fixture
def ftl_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ftl:
    """The command in this process: exit code, output, errors."""
    monkeypatch.setenv("FTL_WORKERS", "1")
    monkeypatch.setenv("COLUMNS", "120")

    def command(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pictures of the report, which take longer than the rest."""
    page = "ftl.reporting.coldstart_report.write_coldstart_report"
    monkeypatch.setattr(page, lambda out: out / "report" / "coldstart.html")


def write_folder(folder: Path, n_nodes: int = N_NODES) -> Path:
    """Node tables with one anomaly in the test part, but for the last node, which has none."""
    folder.mkdir()
    for node in range(n_nodes):
        random, step = np.random.default_rng(node), np.arange(N_ROWS)
        values = np.sin(step / 8 + node)[:, None] + random.normal(0, 0.2, (N_ROWS, 3))
        label = ((step >= 190) & (step < 197) & (node < N_NODES - 1)).astype(int)
        values[label == 1] += 3
        table = pd.DataFrame(values, columns=["a", "b", "c"]).assign(step=step, label=label)
        table.to_parquet(folder / f"n{node}.parquet", index=False)
    (folder / "fleet.yaml").write_text("window_minutes: 60\norigin: simulated\n")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished cold start, only to be read: telemetry and results."""
    at = tmp_path_factory.mktemp("cold")
    folder = write_folder(at / "cluster")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTL_WORKERS", "1")
        patch.setattr("sys.argv", ["ftl", "coldstart", str(folder), "--out", str(at / "out"), *OPTIONS])
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
    assert not ended.value.code
    return folder, at / "out"


def test_it_ends_with_every_table_and_a_page(finished) -> None:
    _, out = finished
    names = {path.name for path in out.iterdir()}
    assert names >= TABLES | {"fleets.json", "params.json", "report", "stages"}
    assert not list(out.rglob("*.half"))
    assert (out / "report" / "coldstart.html").stat().st_size > 1000
    rows = pd.read_parquet(out / "coldstart.parquet")
    assert set(rows["arm"]) == set(ALL_ARMS)
    assert len(rows) == len(ALL_ARMS) * N_NODES * 2  # eight hours, and all of them
    assert not rows.duplicated(["seed", "node", "full", "asked_hours", "arm"]).any()


def test_a_node_without_test_anomalies_counts_for_false_alarms_alone(finished) -> None:
    _, out = finished
    rows = pd.read_parquet(out / "coldstart.parquet")
    silent = rows[rows["node"] == f"n{N_NODES - 1}"]
    assert silent[["f1", "recall", "auroc", "event_recall"]].isna().all().all()
    assert silent[["fpr", "alarms_per_node_day", "threshold"]].notna().all().all()
    assert (silent["n_test_anomalies"] == 0).all()
    summary = pd.read_csv(out / "coldstart_summary.csv")
    assert (summary["n_nodes"] == N_NODES - 1).all()
    local = summary[(summary["arm"] == "local") & summary["full"]].iloc[0]
    assert local["fpr"] == pytest.approx(rows[(rows["arm"] == "local") & rows["full"]]["fpr"].mean())


def test_the_second_call_computes_nothing_and_says_the_same(ftl_: Ftl, finished, no_page, monkeypatch) -> None:
    folder, out = finished

    def computed(*_: object) -> None:
        raise AssertionError("a fold was computed again")

    monkeypatch.setattr(ftl.studies.coldstart.fold.ColdStart, "__call__", computed)
    monkeypatch.setattr("ftl.studies.opening.prepare_fleet", computed)
    before = {name: (out / name).read_bytes() for name in TABLES}
    code, said, err = ftl_("coldstart", folder, "--out", out, *OPTIONS)
    assert (code, err) == (0, "")
    assert {name: (out / name).read_bytes() for name in TABLES} == before
    for arm in ALL_ARMS:
        assert arm in said
    assert "usable (F1 at least" in said
    assert str(out / "coldstart_summary.csv") in said


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("coldstart.hourz=[2]", "unknown key 'coldstart.hourz'; did you mean 'hours'?"),
        ("coldstart.hours=[-2]", "coldstart.hours must list different positive numbers"),
        ("coldstart.rebase=some", "coldstart.rebase: unknown 'some'"),
        ("coldstart.seeds=[a]", "coldstart.seeds must be a whole number; got 'a'"),
        ("coldstart.n_rounds=0", "coldstart.n_rounds must be >= 1; got 0"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_before_anything_is_made(
    ftl_: Ftl, tmp_path: Path, assignment: str, words: str
) -> None:
    folder = write_folder(tmp_path / "cluster", 2)
    code, _, err = ftl_("coldstart", folder, "--out", tmp_path / "out", *OPTIONS, "-S", assignment)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_one_node_is_no_fleet(ftl_: Ftl, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "cluster", 1)
    code, _, err = ftl_("coldstart", folder, "--out", tmp_path / "out", *OPTIONS)
    assert code == 2
    assert "at least 2 nodes" in err
    assert "got 1" in err
    assert "Traceback" not in err


def test_results_may_not_go_where_the_telemetry_is(ftl_: Ftl, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "cluster", 2)
    code, _, err = ftl_("coldstart", folder, "--out", folder, *OPTIONS)
    assert code == 2
    assert "give another folder" in err
    assert len(list(folder.iterdir())) == 3


def test_a_random_split_is_no_history(ftl_: Ftl, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "cluster", 2)
    code, _, err = ftl_("coldstart", folder, "--out", tmp_path / "out", *OPTIONS, "-S", "protocol=paper")
    assert code == 2
    assert "test rows begin before training rows end" in err
    assert "protocol: rigorous" in err


def test_a_prepared_fleet_is_used_as_it_stands(ftl_: Ftl, finished, tmp_path: Path) -> None:
    _, out = finished
    prepared = out / "stages" / "study_fleet"
    code, _, err = ftl_("coldstart", prepared, "--out", tmp_path / "out", "-S", "prepare.gap=2", *OPTIONS)
    assert code == 2
    assert "prepared fleet and is used as it stands" in err


def test_a_fleet_that_does_not_say_how_long_a_step_is_is_told_what_is_assumed(
    ftl_: Ftl, no_page, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "cluster", 2)
    (folder / "fleet.yaml").unlink()
    code, said, err = ftl_(
        "coldstart", folder, "--out", tmp_path / "out", *OPTIONS, "-S", "coldstart.window_minutes=30"
    )
    assert code == 0, err
    assert "does not say how long one is: taken for 30 minutes" in said
    rows = pd.read_parquet(tmp_path / "out" / "coldstart.parquet")
    assert set(rows.loc[~rows["full"], "history_rows"]) == {16}
