"""What the report of a whole study takes: 72 cells x 100 nodes x 5 seeds, with its pictures; run by ``make bench``."""

import time
from pathlib import Path

import pytest

from ftl.reporting.report import write_report
from ftl.reporting.run_tables import RunTables
from tests.reporting.synthetic_run import synthetic_run

SIZES = (3, 5, 10, 20, 25, 50)
"""The paper's N: with 2 datasets, 3 paradigms and 2 policies these are its 72 cells."""
LIMIT_SECONDS = 30


@pytest.fixture(scope="module")
def study() -> RunTables:
    """Its summary is computed beforehand, as evaluation does."""
    return synthetic_run(n_nodes=100, n_participants=SIZES, seeds=(0, 1, 2, 3, 4), n_draws=2, n_rounds=50)


@pytest.mark.benchmark
def test_the_report_of_the_whole_matrix_renders_within_its_limit(study: RunTables, tmp_path: Path) -> None:
    cells = study.summary[(study.summary["arm"] == "transfer")]
    assert len(cells) == 72
    began, cpu = time.monotonic(), time.process_time()
    page = write_report(tmp_path, study)
    took, spent = time.monotonic() - began, time.process_time() - cpu
    print(
        f"\n{len(study.results):,} rows: report.html of {page.stat().st_size / 1e6:.1f} MB in {took:.1f} s "
        f"({spent:.1f} s CPU)"
    )
    assert spent < LIMIT_SECONDS
