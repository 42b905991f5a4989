"""The Python in the documents, run on small stand-ins."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.docs.commands import PAGES, ROOT, blocks
from tests.docs.conftest import quick

STAND_INS = ("artifacts", "telemetry/node-7.parquet", "mlflow.db")
WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(ROOT / page))]


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_ins: dict[str, Callable[[Path], object]]) -> dict:
    """What the blocks take as given, in a folder with the stand-ins."""
    quick(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in STAND_INS:
        Path(name).parent.mkdir(exist_ok=True)
        stand_ins[name](Path(name))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    table = pd.read_parquet("telemetry/node-7.parquet")
    return {"arriving": [table[:100], table[100:]], "raw_table": table}


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs(page: str, names: dict) -> None:
    before = dict(os.environ)
    for block in blocks(ROOT / page):
        if block.language == "python":
            first = block.lines[0][0]
            code = "\n" * (first - 1) + "\n".join(line for _, line in block.lines)
            exec(compile(code, page, "exec"), names)
    assert {"score", "threshold", "label"} <= set(names["scores"].columns)
    for name in set(os.environ) - set(before):  # what mlflow has set
        del os.environ[name]


def test_there_is_python_to_run() -> None:
    assert "docs/score.md" in WITH_PYTHON
