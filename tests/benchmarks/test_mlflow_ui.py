"""How long MLflow's pages take with 300 cells, and what they look like.

Run: python -m pytest tests/benchmarks/test_mlflow_ui.py -s -m benchmark --basetemp=/where/pictures/go
Needs Chromium. The pictures are for people to look at; the test holds only that the pages `ftl ui`
leads to are drawn.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ftl.tracking.comparison import compare_page, prepare_comparison
from ftl.tracking.record import DatasetInput, Point, RunRecord, flatten
from ftl.tracking.results_records import CELL_METRICS, EXPERIMENTS
from ftl.tracking.servers import Server, end, start, wait_until_healthy
from ftl.tracking.store import write_records
from ftl.tracking.ui import server_command

CHROMIUM = next(
    (found for found in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if found), None
)
ARMS = ("transfer", "local_long", "zero_shot", "full_fine_tune", "single_source")
N_RUNS, PORT, LIMIT = 300, 5177, 240

pytestmark = [pytest.mark.benchmark, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


def cells(n: int) -> list[RunRecord]:
    """Cells of made-up numbers: only how many there are, and how they are named, matters here."""
    rng, now = np.random.default_rng(0), int(time.time() * 1000)
    params = flatten({f"section{k}": {f"parameter{j}": j for j in range(10)} for k in range(7)})
    records = []
    for number in range(n):
        rest, arm = divmod(number, len(ARMS))
        rest, paradigm = divmod(rest, 3)
        rest, size = divmod(rest, 5)
        dataset, policy = f"d{rest // 2 + 1}", ("top_n", "random_n")[rest % 2]
        key = {"dataset": dataset, "paradigm": ("unsupervised", "semi_supervised", "supervised")[paradigm]}
        key |= {"arm": ARMS[arm], "policy": policy, "n_participants": str((3, 5, 10, 20, 50)[size])}
        points = [Point(name, float(rng.normal(0, 0.1))) for name in CELL_METRICS]
        points += [Point("round_train_loss", float(1 / r + rng.normal(0, 0.02)), r) for r in range(1, 51)]
        points += [Point("delta_f1_by_seed", float(rng.normal(0, 0.1)), seed) for seed in range(5)]
        tags = key | {"level": "cell", "cell": "/".join(key.values()), "lineage": dataset, "results": "made-up"}
        records.append(
            RunRecord(
                experiment=EXPERIMENTS["cell"],
                name=" ".join(key.values()),
                tags=tags,
                params=params | key,
                points=tuple(points),
                inputs=(DatasetInput(dataset, dataset, "{}"),),
                artifacts={"node_table.csv": "node,f1\n"},
                start=now - number,
                end=now - number,
            )
        )
    return records


def picture(address: str, file: Path) -> float | None:
    """Seconds until Chromium has loaded, drawn and stored a page; None where that takes longer than LIMIT."""
    began = time.monotonic()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    options += ["--no-first-run", "--hide-scrollbars", "--window-size=1900,1150", "--virtual-time-budget=30000"]
    options += [f"--user-data-dir={file.parent / 'chromium'}", f"--screenshot={file}", address]
    process = subprocess.Popen(
        [str(CHROMIUM), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return None
    finally:
        end([Server("Chromium", address, address, process)])
    return time.monotonic() - began


def test_pages_with_300_runs_are_drawn(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    began = time.monotonic()
    ids = write_records(cells(N_RUNS), uri)
    print(f"\nlogging {len(ids)} cells into a new store: {time.monotonic() - began:.1f} s")
    server = start("MLflow", [*server_command(uri, "127.0.0.1", PORT)], "127.0.0.1", PORT, "/health")
    try:
        began = time.monotonic()
        wait_until_healthy(server)
        print(f"server: {time.monotonic() - began:.1f} s")
        prepared = prepare_comparison(server.address)
        assert prepared is not None
        experiment = prepared.charts.split("/experiments/")[1].split("/")[0]
        pages = {
            "charts": prepared.charts,
            "all_charts": f"{server.address}/#/experiments/{experiment}/runs?compareRunsMode=CHART",
            "compare100": prepared.comparison,
            "list": f"{server.address}/#/experiments/{experiment}/runs?workflowType=machine_learning",
            "compare300": compare_page(server.address, experiment, ids),  # more than `ftl ui` asks for
        }
        for name, address in pages.items():
            seconds, file = picture(address, tmp_path / f"{name}.png"), tmp_path / f"{name}.png"
            print(
                f"{name}: not within {LIMIT} s" if seconds is None else f"{name}: {seconds:.1f} s, {file}", flush=True
            )
            assert name == "compare300" or file.stat().st_size > 30_000  # an empty page has less
    finally:
        end([server])


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-s", "-m", "benchmark"]))
