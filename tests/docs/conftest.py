"""Small stand-ins for what the documents speak of: a cluster's telemetry, its results, a store of runs."""

import gc
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.m100.exadata import write_month
from tests.docs.commands import ROOT
from tests.experiment.conftest import SMALL, as_options, node_table

SETTINGS = (
    *(*SMALL, "paradigms=[unsupervised]", "seeds=[0]", "select.n_participants=[2]", "select.n_draws=1"),
    *("baselines=[random]", "training.max_steps_per_epoch=5", "federate.n_rounds=1", "local.n_epochs=1"),
    *("select.policies=[top_n]", "transfer.arms=[zero_shot, transfer]"),
)
"""Put before the settings of a document, which win where both set one."""

NODES = range(2, 8)
START = pd.Timestamp("2021-03-01", tz="UTC")


class Shell:
    """Runs commands in this process, in the current folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def ftl(self, *words: str) -> int:
        """The command `ftl`; its exit code."""
        from ftl.cli import main

        gc.freeze()  # every fit collects garbage, and would look at all that mlflow and dvc have imported
        self.monkeypatch.setattr(sys, "argv", ["ftl", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)


def small(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a command with the least settings: those of `-S` in front, so that its own win; sizes behind."""
    match words:
        case ("ftl", "run", *rest):
            return ("ftl", "run", *as_options(SETTINGS), *rest)
        case ("ftl", "coldstart", *rest):
            return ("ftl", "coldstart", "--profile", "smoke", *rest)
        case ("ftl", "study", name, *rest):
            return ("ftl", "study", name, "--profile", "smoke", *rest)
        case ("ftl", "tune", *rest):
            return ("ftl", "tune", *as_options(SETTINGS), *rest, "--trials", "4")
        case ("python", "scripts/paper_page.py", "prepare", *_):
            return (*words, "--n-nodes", "5", "--n-windows", "480")
    return words


def cluster(folder: Path) -> Path:
    """Node tables with what a fleet.yaml can add: six nodes of 300 windows, some of them anomalous."""
    folder.mkdir(parents=True)
    for node in NODES:
        table = node_table(node)
        step = table.pop("step")
        table.insert(0, "timestamp", START + pd.to_timedelta(15 * step, unit="min"))
        table.to_parquet(folder / f"node-{node}.parquet", index=False)
    (folder / "fleet.yaml").write_text("window_minutes: 15\nracks: {node-2: r1, node-3: r1}\n")
    return folder


def aggregated(folder: Path) -> Path:
    """Tables as in the aggregated release of Marconi100."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    time = START + pd.to_timedelta(15 * np.arange(200), unit="min")
    for node in range(3):
        table = {"timestamp": time, "power_avg": random.normal(size=200), "value": np.zeros(200)}
        pd.DataFrame(table).to_parquet(folder / f"{node}.parquet")
    return folder


@pytest.fixture(scope="session")
def finished(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cluster d1, and what `ftl run --track` made of it in `results`."""
    folder = tmp_path_factory.mktemp("finished")
    cluster(folder / "d1")
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        patch.chdir(folder)
        Path("results").mkdir()
        shutil.copyfile(empty_store, "results/mlflow.db")
        assert Shell(patch).ftl(*small(("ftl", "run", "d1", "--out", "results", "--track"))[1:]) == 0
    return folder


def quick(patch: pytest.MonkeyPatch) -> None:
    """One process, no pictures (which have tests of their own), no store but the command's."""
    from ftl.reporting import report

    patch.setenv("FTL_WORKERS", "1")
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.setattr(report, "draw_pictures", lambda run: [])


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that mlflow has just made."""
    from ftl.tracking.bulk import create

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    create(file)
    return file


@pytest.fixture
def stand_ins(finished: Path, empty_store: Path) -> dict[str, Callable[[Path], object]]:
    """What makes each path that documents take as given."""

    def results(folder: Path) -> object:
        return shutil.copytree(finished / "results", folder, ignore=shutil.ignore_patterns("mlartifacts", "report"))

    def fleet(folder: Path) -> object:
        return shutil.copytree(finished / "d1", folder)

    def store(file: Path) -> object:
        return shutil.copyfile(finished / "results" / "mlflow.db", file)

    def table(file: Path) -> object:
        frame = pd.read_parquet(finished / "d1" / "node-7.parquet")
        return frame.to_csv(file, index=False) if file.suffix == ".csv" else frame.to_parquet(file, index=False)

    return {
        "FLEET": fleet,
        "telemetry/my-cluster": fleet,
        "telemetry/cluster-a": fleet,
        "telemetry/m100-aggregated": aggregated,
        "telemetry/m100": lambda folder: write_month(folder, "21-03"),
        "telemetry/node-7.parquet": table,
        "telemetry/export.csv": table,
        "results/cluster-a": results,
        "results/asd": results,
        "artifacts": results,
        "mlflow.db": store,
        "empty store": lambda file: shutil.copyfile(empty_store, file),
        "scripts": lambda folder: folder.symlink_to(ROOT / "scripts"),
    }
