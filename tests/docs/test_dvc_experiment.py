"""The README's lines on experiments with DVC, in a repository with the same pipeline on a tiny fleet."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.docs.commands import commands_of
from tests.test_dvc_repro import CODE, Copy

LIMIT = 300  # seconds
AFTER_THE_METRICS = ("detectors", "tune", "report", "track")
"""Stages that this leaves out."""

SIZE = ("datasets.d1.n_nodes=6", "datasets.d1.n_windows=960", "datasets.d1.n_train_windows=576")
"""As in the profile smoke: test parts with anomalies, so that metrics are numbers."""

Run = Callable[..., str]


@pytest.fixture
def run_in_repository(tmp_path: Path, checkout: Path) -> Run:
    """Runs a command in a git repository that holds the pipeline on one small fleet; what it said."""
    path = tmp_path / "clone"
    for name in (*CODE, ".gitignore", "pyproject.toml"):
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(checkout / name, target)
    pipeline = yaml.safe_load((path / "dvc.yaml").read_text())
    for stage in AFTER_THE_METRICS:
        del pipeline["stages"][stage]
    (path / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    Copy(path).set("paradigms=[unsupervised]", "local.n_epochs=1", *SIZE)

    def run(*words: str) -> str:
        folder = Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(path)}
        environment |= {f"GIT_{who}_{what}": "reader@example.org" for who in ("AUTHOR", "COMMITTER") for what in
                        ("NAME", "EMAIL")}  # fmt: skip
        environment |= {"FTL_WORKERS": "1", "COLUMNS": "400"}
        done = subprocess.run(words, cwd=path, env=environment, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    run("git", "init", "--quiet")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "the pipeline")
    return run


@pytest.mark.slow
def test_the_experiment_of_the_readme_runs_and_is_held_against_the_baseline(run_in_repository: Run) -> None:
    run_in_repository("dvc", "repro", "--quiet")  # `make repro`, which comes before
    said = {
        command.text: run_in_repository(*command.words)
        for command in commands_of("README.md")
        if command.program in ("dvc", "git")
    }
    (differences,) = (text for command, text in said.items() if command.startswith("dvc metrics diff"))
    assert "delta_f1" in differences
    (shown,) = (text for command, text in said.items() if command.startswith("dvc exp show"))
    assert "rounds10" in shown
    run_in_repository("dvc", "plots", "diff")
