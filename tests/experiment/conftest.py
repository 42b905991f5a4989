"""A fleet small enough to run the whole method on in seconds, and one run of it that many tests read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftl.config import Params, override, read_profile
from ftl.data.fleet_folder import FleetFolder
from ftl.experiment.fleet_run import FleetRun

N_NODES, N_ROWS = 6, 300
FEATURES = ("fan", "power", "temperature", "traffic")

# Two bursts before the validation slice, one in it, two in the test part, which begins after step 242.
BURSTS = ((60, 6), (150, 8), (226, 6), (252, 6), (280, 5))

SMALL = (
    "model.hidden=[8,6,4]",
    "model.latent=4",
    "training.batch_size=32",
    "local.n_epochs=2",
    "select.n_participants=[2,3]",
    "federate.n_rounds=2",
)
"""The default recipe on few and small models, as -S takes it."""

ONE = (*SMALL, "paradigms=[unsupervised]", "seeds=[0]", "select.n_participants=[2]", "baselines=[]")
"""The least that is still the whole method: one paradigm, one seed, one N, no baseline."""

WriteFleet = Callable[..., Path]


def node_table(node: int) -> pd.DataFrame:
    """Telemetry of a node: a daily load that all features follow, and bursts in which two of them leave it."""
    random = np.random.default_rng(node)
    step = np.arange(N_ROWS)
    load = np.sin(2 * np.pi * (step + 7 * node) / 48)[:, None]
    values = random.uniform(0.5, 2, len(FEATURES)) * load + random.normal(0, 0.2, (N_ROWS, len(FEATURES))) + 10 * node
    label = np.zeros(N_ROWS, np.int8)
    for first, length in BURSTS:
        label[first + node % 3 : first + node % 3 + length] = 1
    values[label == 1, :2] += random.choice([-3.0, 3.0])
    table = pd.DataFrame({"step": step, **dict(zip(FEATURES, values.T, strict=True)), "label": label})
    return table[6 * node :]  # nodes joined the fleet one after the other


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


@pytest.fixture(scope="session")
def tables() -> Callable[[], dict[str, pd.DataFrame]]:
    """Makes the node tables of the small fleet; every call makes new ones, to be spoilt at will."""
    return lambda: {f"n{node}": node_table(node) for node in range(N_NODES)}


@pytest.fixture(scope="session")
def fleet_folder(tables: Callable[[], dict[str, pd.DataFrame]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet folder: six nodes, four features, 300 rows, about a tenth of them anomalous."""
    return write_tables(tmp_path_factory.mktemp("telemetry") / "small", tables())


def params_of(*assignments: str, base: tuple[str, ...] = SMALL) -> Params:
    params = override(read_profile("default"), [*base, *assignments])
    params.pop("datasets")
    return params


@dataclass(frozen=True)
class Finished:
    """A finished run: its tables and where they lie."""

    out: Path
    params: Params
    results: pd.DataFrame
    summary: pd.DataFrame
    rounds: pd.DataFrame
    report: dict[str, Any]

    def arm(self, name: str, **where: Any) -> pd.DataFrame:
        rows = self.results[self.results["arm"] == name]
        for column, value in where.items():
            rows = rows[rows[column] == value]
        return rows

    def cells(self, arm: str, paradigm: str | None = None) -> pd.DataFrame:
        cells = self.summary[self.summary["arm"] == arm]
        return cells if paradigm is None else cells[cells["paradigm"] == paradigm]


def finish(folder: Path, params: Params, out: Path, dump_scores: bool = False) -> Finished:
    run = FleetRun(FleetFolder(folder), params, out)
    fleet = run.prepare()
    run.train()
    run.evaluate(dump_scores)
    return Finished(out, params, run.results, run.summary, run.rounds, fleet.report)


RunFleet = Callable[..., Finished]


@pytest.fixture
def run_fleet(fleet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFleet:
    """Runs the least method on a fleet (the small one unless another is given) with some settings changed."""
    monkeypatch.setenv("FTL_WORKERS", "1")

    def run(*assignments: str, folder: Path = fleet_folder, out: Path = tmp_path / "out", **more: Any) -> Finished:
        return finish(folder, params_of(*assignments, base=ONE), out, **more)

    return run


@pytest.fixture(scope="session")
def run_once(fleet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFleet:
    """Like run_fleet, for runs that several tests read."""

    def run(*assignments: str, **more: Any) -> Finished:
        return finish(fleet_folder, params_of(*assignments, base=ONE), tmp_path_factory.mktemp("once") / "out", **more)

    return run


@pytest.fixture(scope="session")
def whole_run(fleet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Every arm, baseline, paradigm and policy, two seeds, with scores; only to be read."""
    return finish(fleet_folder, params_of(), tmp_path_factory.mktemp("whole") / "out", dump_scores=True)


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def ftl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command ``ftl`` in this process, which has imported what takes seconds to import."""
    from ftl.cli import main

    monkeypatch.setenv("FTL_WORKERS", "1")

    def command(*words: str | Path) -> Said:
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return command


def as_options(assignments: tuple[str, ...]) -> list[str]:
    """Assignments as the command line takes them."""
    return [word for assignment in assignments for word in ("-S", assignment)]


@pytest.fixture(scope="session")
def one_part_each() -> tuple[str, ...]:
    """Settings of the least run with every stage."""
    return (*ONE[:-1], "baselines=[pca]")


@pytest.fixture(scope="session")
def least() -> list[str]:
    """The least settings, as words of the command line."""
    return as_options(ONE)
